"""What jobs are compared by: figures of ``summary.json``, each with the direction in which it is better."""

from collections.abc import Mapping, Sequence

from earthsnap_train.errors import ConfigError, did_you_mean
from earthsnap_train.evaluation.figures import metric_names
from earthsnap_train.evaluation.gates import dotted
from earthsnap_train.sweep.settings import PREFIX, Direction

NODES = "nodes."
OF_A_NODE = ("top1", "top5", "ece", "temperature")


def check_objectives(directions: Mapping[str, Direction]) -> None:
    """Raises ConfigError for the first figure that no summary can have. Which nodes there are is known only later."""
    for objective in directions:
        node = objective.removeprefix(NODES).rpartition(".")[0] or "parent"
        named = [node] if objective.startswith(NODES) else ["parent", "flat"]
        names = sorted(one for one in metric_names([], flat=True) if "latency" not in one)
        names += [f"{NODES}{node}.{figure}" for node in named for figure in OF_A_NODE]
        if objective not in names:
            near = did_you_mean(objective, names)
            close = [one for one in names if one.rpartition(".")[2] in ("top1", "top5", "macro_recall", "ece")]
            raise ConfigError(
                f"there is no figure {objective!r} in a summary",
                where=f"{PREFIX}objectives",
                allowed=f"among others {', '.join(close)}",
                remedy=near or "summary.json of any run lists every figure",
            )


def figures_of(summary: Mapping[str, object], directions: Mapping[str, Direction]) -> dict[str, float]:
    """Those of the objectives that this summary has."""
    figures = dotted(summary)
    return {name: figures[name] for name in directions if name in figures}


def best_of(figures: Mapping[int, Mapping[str, float]], directions: Mapping[str, Direction]) -> list[int]:
    """Numbers of the jobs that no other beats in every objective; of equals, the first. With one objective it is one."""
    points = {
        number: tuple(own[name] if direction == "maximize" else -own[name] for name, direction in directions.items())
        for number, own in figures.items()
    }
    first = {point: number for number, point in reversed(points.items())}
    return sorted(number for point, number in first.items() if not any(_beats(other, point) for other in first))


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine >= theirs for mine, theirs in zip(one, other, strict=True))
