"""How the service's own tuning goes about a search: the part of its request that the declaration decides."""

import math
from collections.abc import Mapping
from typing import Any

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Stage
from earthsnap_train.spec.tuning import Choice, Sought
from launchers.sagemaker.ranges import ranges_of

Json = dict[str, Any]

STRATEGIES = {"tpe": "Bayesian", "random": "Random", "grid": "Grid"}
LEAST_MINUTES = 2
MOST_SEED = 2**31
# Not anchored by ^ and $: whether the service looks at a log line by line is not documented. The words are ours alone.
METRIC_LINE = "earthsnap-trial {name}={value!r};"
METRIC_REGEX = "earthsnap-trial {name}=([-+.0-9e]+);"


def is_by_service(stage: Stage) -> bool:
    """Whether a stage is a search that the service's tuning makes, and no job of ours."""
    search = stage.settings.get("search")
    return stage.kind == "tune" and isinstance(search, dict) and search["engine"] == "sagemaker"


def tuning_config(stage: Stage, *, at_once: int) -> Json:
    """HyperParameterTuningJobConfig. Raises ConfigError, by name, for what the service's tuning cannot do."""
    sought = Sought.model_validate(stage.settings["search"])
    strategy = _strategy(sought, stage)
    num_trials = _num_trials(sought, stage.name)
    limits = {"MaxNumberOfTrainingJobs": num_trials, "MaxParallelTrainingJobs": min(at_once, num_trials)}
    if sought.max_minutes is not None:
        limits["MaxRuntimeInSeconds"] = _limit_s(sought.max_minutes)
    return {
        **strategy,
        "HyperParameterTuningJobObjective": {
            "Type": sought.direction.capitalize(),
            "MetricName": sought.objective,
        },
        "ResourceLimits": limits,
        "ParameterRanges": ranges_of(sought.space, search=stage.name),
        "TrainingJobEarlyStoppingType": "Off",
        "RandomSeed": int(str(stage.settings["seed"])) % MOST_SEED,
    }


def metric_definitions(stage: Stage) -> list[Json]:
    objective = Sought.model_validate(stage.settings["search"]).objective
    return [{"Name": objective, "Regex": METRIC_REGEX.format(name=objective)}]


def _strategy(sought: Sought, stage: Stage) -> Json:
    pruning = sought.pruning
    if pruning.kind == "asha":
        raise ConfigError(
            f"the service's tuning has no ASHA, and {stage.name} asks for it",
            where="tuning.pruning.kind",
            allowed="none, or hyperband together with tuning.sampler=random",
            remedy="tuning.pruning.kind=none, or tuning.engine=optuna",
        )
    if pruning.kind == "none":
        return {"Strategy": STRATEGIES[sought.sampler]}
    if sought.sampler != "random":
        raise ConfigError(
            f"the service's Hyperband chooses what it tries itself, and {stage.name} asks for {sought.sampler}",
            where="tuning.sampler",
            allowed="random",
            remedy="tuning.sampler=random, or tuning.pruning.kind=none",
        )
    if "num_epochs" in sought.space:
        raise ConfigError(
            f"the service's Hyperband deals out epochs, and {stage.name} searches their number",
            where="tuning.space.num_epochs",
            remedy="'~tuning.space.num_epochs', or tuning.pruning.kind=none",
        )
    most = _num_epochs(stage)
    least = max(1, round(pruning.min_share * most))
    if least >= most:
        raise ConfigError(
            f"{stage.name} has trials of {most} epochs, of which none can be saved",
            where="tuning.pruning.min_share",
            remedy="more training.num_epochs, or tuning.pruning.kind=none",
        )
    resources = {"MinResource": least, "MaxResource": most}
    return {"Strategy": "Hyperband", "StrategyConfig": {"HyperbandStrategyConfig": resources}}


def _num_epochs(stage: Stage) -> int:
    """That a whole trial shows, of all networks that share the search."""
    members: Mapping[str, Any] = stage.settings["members"]  # type: ignore[assignment]
    return sum(member["training"]["num_epochs"] for member in members.values())


def _num_trials(sought: Sought, search: str) -> int:
    """Raises ConfigError for a grid that the service would try otherwise than it is declared: it tries all or nothing."""
    if sought.sampler != "grid":
        return sought.num_trials
    sizes = []
    for key, dimension in sought.space.items():
        if not isinstance(dimension, Choice):
            raise ConfigError(
                f"the service's grid knows choices alone, and {search} has a range",
                where=f"tuning.space.{key}.kind",
                allowed="choice",
                remedy="{kind: choice, of: [...]}, or tuning.engine=optuna",
            )
        sizes.append(len(dimension.of))
    if math.prod(sizes) > sought.num_trials:
        raise ConfigError(
            f"the service's grid tries everything: {search} has {math.prod(sizes)} combinations",
            where="tuning.num_trials",
            allowed=f"{math.prod(sizes)} or more",
            remedy="fewer choices, tuning.sampler=random, or tuning.engine=optuna",
        )
    return math.prod(sizes)


def _limit_s(max_minutes: float) -> int:
    if max_minutes < LEAST_MINUTES:
        raise ConfigError(
            "the service's tuning cannot be ended so soon",
            where="tuning.max_minutes",
            allowed=f"{LEAST_MINUTES} or more, or null",
        )
    return round(60 * max_minutes)
