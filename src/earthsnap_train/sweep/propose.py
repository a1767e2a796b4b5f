"""The values of the next job of a sweep, from optuna's samplers; the trials inside a run are ``training/study.py``.

A proposal is a function of what came before and of the number it is for: the sampler is made anew each time, from a seed
and that number, and is told of all earlier jobs. So a sweep that was killed goes on as if it had not been.
"""

import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from earthsnap_train.spec.tuning import Choice, Dimension, FloatRange, IntRange
from earthsnap_train.sweep.axes import Axis, Setting, Values, is_varied
from earthsnap_train.sweep.record import Job
from earthsnap_train.sweep.settings import SweepSettings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

SIGNIFICANT_DIGITS = 6


def propose(
    axes: Sequence[Axis], before: Sequence[Job], declared: Mapping[str, object], settings: SweepSettings
) -> tuple[Values, dict[str, Any]]:
    """(values, what the sampler wants to know of this job later). ``declared``: what holds where no axis says otherwise."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            directions=list(settings.directions.values()),
            sampler=_sampler(settings, len(before) + 1, has_conditions=any(axis.dimension.when for axis in axes)),
        )
        study.add_trials([_told(job, axes, settings) for job in before])
        trial = study.ask()
        values: Values = {}
        for axis in axes:
            if is_varied(axis, values, declared):
                values[axis.name] = _suggested(trial, axis)
        return values, dict(study.get_trials(deepcopy=False)[-1].system_attrs)


def _sampler(settings: SweepSettings, number: int, *, has_conditions: bool) -> "BaseSampler":
    from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

    seed = zlib.crc32(f"{settings.seed}/{number}".encode())
    match settings.sampler:
        case "tpe":
            return TPESampler(multivariate=True, group=has_conditions, seed=seed)
        case "nsga2":
            return NSGAIISampler(population_size=settings.population, seed=seed)
    return RandomSampler(seed=seed)


def _told(job: Job, axes: Sequence[Axis], settings: SweepSettings) -> "FrozenTrial":
    """A job that gave no figures counts as failed, so that every number stays what it is."""
    from optuna.trial import TrialState, create_trial

    is_done = job.state == "done"
    return create_trial(
        state=TrialState.COMPLETE if is_done else TrialState.FAIL,
        params=job.values,
        distributions={axis.name: _distribution(axis.dimension) for axis in axes if axis.name in job.values},
        values=[job.objectives[name] for name in settings.directions] if is_done else None,
        system_attrs=job.for_sampler,
    )


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case FloatRange():
            return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
        case IntRange(low=low, high=high, step=step):
            return IntDistribution(low, high - (high - low) % step, log=dimension.log, step=step)
        case Choice(of=words):
            return CategoricalDistribution(words)


def _suggested(trial: "Trial", axis: Axis) -> Setting:
    match axis.dimension:
        case FloatRange(low=low, high=high, log=log):
            # As short as people would write it, and still within the range.
            short = float(f"{trial.suggest_float(axis.name, low, high, log=log):.{SIGNIFICANT_DIGITS}g}")
            return min(max(short, low), high)
        case IntRange(low=low, high=high, step=step, log=log):
            return trial.suggest_int(axis.name, low, high - (high - low) % step, step=step, log=log)
        case Choice(of=words):
            return str(trial.suggest_categorical(axis.name, words))
