"""The service's own tuning on this machine: what each trial gets to try, how good its log says it was, which was the best.

It draws by the request's seed, or takes a grid in its order, and learns nothing from trials before: Bayesian and Hyperband
are the service's. Trials run one after the other.
"""

import hashlib
import itertools
import json
import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsnap_train.errors import StageError
from launchers.sagemaker.names import TUNING_JOB, short

Json = Mapping[str, Any]
RANGES = ("ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges")
MOST_FAILED_AT_FIRST = 5  # the service gives up where none of so many has succeeded
OBJECTIVE_KEY = "_tuning_objective_metric"  # which the service adds to what it has chosen


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial's container. ``log``: what it printed; ``reason``: of a failure."""

    code: int
    log: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """``value``: as its log says last; None where it failed or said nothing."""

    training_job: str
    given: Mapping[str, str]
    value: float | None


def tune(step: str, request: Json, run: Callable[[str, Json], Ended]) -> Json:
    """What DescribeHyperParameterTuningJob would say in the end. ``run``: a training job by its name and request.

    Raises StageError where no trial succeeds.
    """
    config = request["HyperParameterTuningJobConfig"]
    objective = config["HyperParameterTuningJobObjective"]
    definition = request["TrainingJobDefinition"]
    metrics = {one["Name"]: one["Regex"] for one in definition["AlgorithmSpecification"]["MetricDefinitions"]}
    name = short(step, TUNING_JOB)
    until = time.monotonic() + config["ResourceLimits"].get("MaxRuntimeInSeconds", math.inf)
    trials: list[Trial] = []
    reason = ""
    for number, chosen in enumerate(drawn(config), 1):
        given = {**definition.get("StaticHyperParameters", {}), **chosen, OBJECTIVE_KEY: objective["MetricName"]}
        training_job = f"{name}-{number:03d}-{_digest(chosen)}"
        ended = run(training_job, {**definition, "HyperParameters": given})
        value = read_metric(ended.log.read_text(errors="replace"), metrics[objective["MetricName"]])
        trials.append(Trial(training_job=training_job, given=chosen, value=None if ended.code else value))
        reason = reason if trials[-1].value is not None else ended.reason or "it printed no value of its objective"
        none_yet = all(trial.value is None for trial in trials)
        if time.monotonic() > until or (none_yet and number >= MOST_FAILED_AT_FIRST):
            break
    best = best_of(trials, objective["Type"])
    if best is None:
        raise StageError(f"no trial of {len(trials)} succeeded, the last of them: {reason}", where=step)
    return {
        "HyperParameterTuningJobName": name,
        "BestTrainingJob": {"TrainingJobName": best.training_job, "TunedHyperParameters": dict(best.given)},
    }


def drawn(config: Json) -> Iterator[dict[str, str]]:
    """As many as the request allows."""
    ranges = {one["Name"]: (kind, one) for kind in RANGES for one in config["ParameterRanges"].get(kind, ())}
    most = config["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    if config["Strategy"] == "Grid":
        every = itertools.product(*(one["Values"] for _, one in ranges.values()))
        yield from (dict(zip(ranges, values, strict=True)) for values in itertools.islice(every, most))
        return
    generator = random.Random(config["RandomSeed"])
    for _ in range(most):
        yield {name: _drawn(kind, one, generator) for name, (kind, one) in ranges.items()}


def _drawn(kind: str, one: Json, generator: random.Random) -> str:
    if kind == "CategoricalParameterRanges":
        return str(generator.choice(one["Values"]))
    low, high = float(one["MinValue"]), float(one["MaxValue"])
    if one["ScalingType"] == "Logarithmic":
        value = math.exp(generator.uniform(math.log(low), math.log(high)))
    else:
        value = generator.uniform(low, high)
    value = min(max(value, low), high)
    return str(round(value)) if kind == "IntegerParameterRanges" else repr(value)


def read_metric(log: str, regex: str) -> float | None:
    """The last that was printed, which is what the service goes by."""
    found = re.findall(regex, log)
    return float(found[-1]) if found else None


def best_of(trials: list[Trial], direction: str) -> Trial | None:
    """Of equals the first. ``direction``: Minimize or Maximize."""
    sign = 1 if direction == "Minimize" else -1
    known = [(sign * trial.value, at) for at, trial in enumerate(trials) if trial.value is not None]
    return trials[min(known)[1]] if known else None


def _digest(chosen: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:8]
