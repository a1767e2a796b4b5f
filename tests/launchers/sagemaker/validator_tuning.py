"""What botocore's model does not say of CreateHyperParameterTuningJob: rules between its fields, by the service's pages."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
MOST_KEYS = 30
NUMERIC = {"ContinuousParameterRanges": float, "IntegerParameterRanges": int}


def tuning_problems(arguments: Json, where: str) -> Iterator[str]:
    """One line each. ``arguments``: with every function replaced."""
    config = arguments.get("HyperParameterTuningJobConfig", {})
    definition = arguments.get("TrainingJobDefinition")
    if definition is None:
        yield f"{where}: no definition of its training jobs"
        return
    yield from _ranges(config.get("ParameterRanges", {}), definition.get("StaticHyperParameters", {}), where)
    yield from _strategy(config, where)
    yield from _objective(config, definition, where)
    limits = config.get("ResourceLimits", {})
    if limits.get("MaxParallelTrainingJobs", 1) > limits.get("MaxNumberOfTrainingJobs", math.inf):
        yield f"{where}: more training jobs side by side than there are"
    if "ResourceConfig" not in definition:
        yield f"{where}: no machines"
    if "InputDataConfig" not in definition:
        yield f"{where}: nothing to read"


def _ranges(ranges: Json, static: Json, where: str) -> Iterator[str]:
    names = [one.get("Name") for kind in ranges.values() for one in kind]
    if not names or len(names) > MOST_KEYS:
        yield f"{where}: {len(names)} keys are searched"
    for name, count in Counter([*names, *static]).items():
        if count > 1:
            yield f"{where}: {name} is searched or set {count} times"
    for kind, number in NUMERIC.items():
        for one in ranges.get(kind, ()):
            try:
                low, high = number(one.get("MinValue")), number(one.get("MaxValue"))
            except (TypeError, ValueError):
                yield f"{where}: the ends of {one.get('Name')} are no numbers"
                continue
            if not low < high:
                yield f"{where}: {one.get('Name')} ends before it begins"
            if one.get("ScalingType") == "Logarithmic" and low <= 0:
                yield f"{where}: {one.get('Name')} is logarithmic and begins at {low}"


def _strategy(config: Json, where: str) -> Iterator[str]:
    strategy, ranges = config.get("Strategy"), config.get("ParameterRanges", {})
    if (strategy == "Hyperband") != ("StrategyConfig" in config):
        yield f"{where}: Hyperband, and only that, has a StrategyConfig"
    if strategy == "Hyperband":
        resources = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
        if not resources.get("MinResource", math.inf) < resources.get("MaxResource", -math.inf):
            yield f"{where}: Hyperband without resources to deal out"
        if config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
            yield f"{where}: Hyperband stops trials itself"
    if strategy == "Grid":
        if set(ranges) != {"CategoricalParameterRanges"}:
            yield f"{where}: a grid of ranges"
        combinations = math.prod(len(one.get("Values", ())) for one in ranges.get("CategoricalParameterRanges", ()))
        if config.get("ResourceLimits", {}).get("MaxNumberOfTrainingJobs", combinations) != combinations:
            yield f"{where}: a grid of {combinations} that is to try another number"
    elif "MaxNumberOfTrainingJobs" not in config.get("ResourceLimits", {}):
        yield f"{where}: no number of training jobs"


def _objective(config: Json, definition: Json, where: str) -> Iterator[str]:
    """A container of our own is known only by what it prints."""
    metrics = {one.get("Name"): one.get("Regex", "")
               for one in definition.get("AlgorithmSpecification", {}).get("MetricDefinitions", ())}  # fmt: skip
    objective = config.get("HyperParameterTuningJobObjective")
    if objective is None:
        yield f"{where}: no objective"
    elif objective.get("MetricName") not in metrics:
        yield f"{where}: its objective {objective.get('MetricName')!r} is none of its metrics"
    for name, regex in metrics.items():
        try:
            if re.compile(regex).groups != 1:
                yield f"{where}: the metric {name} is not one group of its expression"
        except re.error:
            yield f"{where}: the metric {name} has no expression"
