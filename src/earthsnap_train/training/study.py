"""Optuna's study of one search, in a file that a kill at any moment leaves whole. One process owns it."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.storages import RDBStorage
from optuna.trial import Trial, TrialState
from sqlalchemy.engine import URL

from earthsnap_train.spec.tuning import Dimension, FloatRange, IntRange, Pruning, Sought, Value, in_order
from earthsnap_train.training.found import Attempt, Tried
from earthsnap_train.training.sampler import make_sampler

NAME = "search"  # of the one study in the file; Hyperband draws a trial's bracket from it
LEAST_FOR_IMPORTANCES = 4
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class Study:
    """Asks for the next trial, hears how trials are doing, and is told what came of them.

    ``declared``: what the first trial tries. ``num_epochs``: of a whole trial. Trials that were under way when the last
    owner ended come again, under their number and with their values.
    """

    def __init__(
        self, path: Path, sought: Sought, *, seed: int, declared: Mapping[str, Value], num_epochs: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._sought = sought
        self._rungs = rungs(sought.pruning, num_epochs)
        self.num_trials = sought.most_trials
        storage = _open(path, sought)
        self._study = optuna.load_study(
            study_name=NAME,
            storage=storage,
            sampler=make_sampler(sought, seed=seed, declared=declared),
            pruner=_pruner(sought.pruning, num_epochs),
        )
        self._trials: dict[int, Trial] = {}

    @property
    def is_exhausted(self) -> bool:
        """Whether every trial has been asked for."""
        trials = self._study.get_trials(deepcopy=False)
        return len(trials) >= self.num_trials and not any(t.state == TrialState.WAITING for t in trials)

    @property
    def seconds(self) -> float:
        """That all trials took which have ended."""
        return sum(one.attempt.seconds for one in self.tried())

    def ask(self) -> tuple[int, dict[str, Value]]:
        """The next trial's number and values."""
        trial = self._study.ask()
        self._trials[trial.number] = trial
        values: dict[str, Value] = {}
        for key in in_order(self._sought.space):
            dimension = self._sought.space[key]
            if dimension.applies(values):
                values[key] = _suggest(trial, key, dimension)
        return trial.number, values

    def examine(self, number: int, epoch: int, value: float) -> bool:
        """Whether a trial may go on that has come so far. Optuna hears only of the rungs, where it decides."""
        if epoch not in self._rungs:
            return True
        trial = self._trials[number]
        reached = max(self._study.trials[number].intermediate_values, default=0)
        if epoch < reached:  # seen again after a restart: it did go on from here
            return True
        if epoch > reached:
            trial.report(value, epoch)
        return not trial.should_prune()

    def tell(self, number: int, attempt: Attempt) -> None:
        trial = self._trials.pop(number)
        trial.set_user_attr("attempt", json.dumps(asdict(attempt)))
        self._study.tell(trial, attempt.value if attempt.state == "complete" else None, state=STATES[attempt.state])

    def tried(self) -> list[Tried]:
        """By number."""
        return [
            Tried(number=t.number, values=t.params, attempt=Attempt(**json.loads(t.user_attrs["attempt"])))
            for t in self._study.get_trials(deepcopy=False)
            if t.state.is_finished()
        ]

    def best(self) -> Tried | None:
        """None where no trial came to its end. Of equals the first."""
        whole = [one for one in self.tried() if one.attempt.state == "complete"]
        sign = 1 if self._sought.direction == "minimize" else -1
        return min(whole, key=lambda one: (sign * (one.attempt.value or 0.0), one.number), default=None)

    def importances(self) -> dict[str, float]:
        """Share of each key in what tells the best trials from the others; empty where too few were taught to their end."""
        whole = [t for t in self._study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
        if len(whole) < LEAST_FOR_IMPORTANCES:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
            except (ValueError, RuntimeError):  # every trial came to the same
                return {}
        return {key: round(share, 4) for key, share in found.items()}


def rungs(pruning: Pruning, num_epochs: int) -> set[int]:
    """Epochs after which a trial may be ended."""
    found: set[int] = set()
    epoch = _first_rung(pruning, num_epochs)
    while pruning.kind != "none" and epoch < num_epochs:
        found.add(epoch)
        epoch *= pruning.reduction_factor
    return found


def _first_rung(pruning: Pruning, num_epochs: int) -> int:
    return max(1, round(pruning.min_share * num_epochs))


def _pruner(pruning: Pruning, num_epochs: int) -> BasePruner:
    least, factor = _first_rung(pruning, num_epochs), pruning.reduction_factor
    match pruning.kind:
        case "none":
            return NopPruner()
        case "asha":
            return SuccessiveHalvingPruner(min_resource=least, reduction_factor=factor)
        case "hyperband":
            return HyperbandPruner(min_resource=least, max_resource=num_epochs, reduction_factor=factor)


def _open(path: Path, sought: Sought) -> RDBStorage:
    """The file comes to its place by one rename: a kill while it is made leaves none."""
    if not path.exists():
        made = path.with_suffix(".new")
        made.unlink(missing_ok=True)
        storage = _storage(made)
        optuna.create_study(study_name=NAME, storage=storage, direction=sought.direction)
        storage.remove_session()
        storage.engine.dispose()
        made.replace(path)
    storage = _storage(path)
    study_id = storage.get_study_id_from_name(NAME)
    for trial in storage.get_all_trials(study_id, states=(TrialState.RUNNING,)):
        storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
    return storage


def _storage(path: Path) -> RDBStorage:
    """A folder may have any name, and an address gives some letters a meaning of their own."""
    return RDBStorage(URL.create("sqlite", database=str(path)).render_as_string())


def _suggest(trial: Trial, key: str, dimension: Dimension) -> Value:
    if isinstance(dimension, FloatRange):
        return trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, IntRange):
        return trial.suggest_int(key, dimension.low, dimension.high, step=dimension.step, log=dimension.log)
    found: Any = trial.suggest_categorical(key, dimension.of)
    return found  # type: ignore[no-any-return]
