"""Which values a trial gets: a function of the seed, the trial's number and the trials before it, and of nothing else."""

import hashlib
import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from earthsnap_train.spec.tuning import Choice, IntRange, Sought, Value

MOST_STARTUP_TRIALS = 10  # drawn at random before the estimator has enough to go by


def make_sampler(sought: Sought, *, seed: int, declared: Mapping[str, Value]) -> BaseSampler:
    """``declared``: what the first trial tries, so that a search never ends below what it began from."""
    if sought.sampler == "grid":
        return Grid(all_of(sought, seed=seed))
    if sought.sampler == "random":
        return Repeatable(lambda own: RandomSampler(seed=own), seed=seed, first=declared)
    startup = max(2, min(MOST_STARTUP_TRIALS, sought.num_trials // 3))
    return Repeatable(lambda own: TPESampler(seed=own, n_startup_trials=startup), seed=seed, first=declared)


def all_of(sought: Sought, *, seed: int) -> list[dict[str, Value]]:
    """Every combination of a grid, in a seeded order: what a smaller budget leaves out is no corner of it."""
    dimensions = {key: d for key, d in sought.space.items() if isinstance(d, Choice | IntRange)}
    found = [
        dict(zip(dimensions, values, strict=True))
        for values in itertools.product(*(d.values for d in dimensions.values()))
    ]
    random.Random(seed).shuffle(found)
    return found


class Repeatable(BaseSampler):
    """A sampler made anew for each draw, so that a search which was stopped is asked for what it would have been."""

    def __init__(self, make: Callable[[int], BaseSampler], *, seed: int, first: Mapping[str, Value]) -> None:
        self._make = make
        self._seed = seed
        self._first = first

    def _for(self, trial: FrozenTrial, key: str = "") -> BaseSampler:
        digest = hashlib.blake2b(f"{self._seed}/{trial.number}/{key}".encode(), digest_size=4).digest()
        return self._make(int.from_bytes(digest))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._for(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._for(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if trial.number == 0 and param_name in self._first:
            return self._first[param_name]
        return self._for(trial, param_name).sample_independent(study, trial, param_name, param_distribution)


class Grid(BaseSampler):
    """Trial number n gets the nth combination."""

    def __init__(self, combinations: list[dict[str, Value]]) -> None:
        self._combinations = combinations

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._combinations[trial.number][param_name]
