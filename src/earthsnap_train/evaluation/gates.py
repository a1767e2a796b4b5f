"""What a release must reach before anyone is asked to approve it."""

import difflib
import operator
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from earthsnap_train.errors import ConfigError, did_you_mean
from earthsnap_train.evaluation.compare_figures import FIGURES, Comparison, Difference
from earthsnap_train.evaluation.figures import Measured, names_beside_flat
from earthsnap_train.spec.evaluation import CHAMPION, Gate

NUM_NAMED = 3
NO_FLAT = "there is no flat baseline"


class GateResult(Measured):
    """``direction`` "min" passes at or above ``bound``, "max" at or below it. ``words``: of whom, where that needs saying.

    ``beside``: the release that it was compared with, of a gate below ``champion.``.
    ``value``: None where it was not judged, and then ``words`` says why; that stops nothing.
    """

    metric: str
    direction: Literal["min", "max"]
    bound: float
    value: float | None
    passed: bool
    words: str = ""
    beside: str = Field(default="", exclude_if=operator.not_)

    @property
    def verdict(self) -> Literal["passed", "failed", "unjudged"]:
        if self.value is None:
            return "unjudged"
        return "passed" if self.passed else "failed"

    @property
    def reason(self) -> str:
        """A sentence for the person who asks why."""
        if self.value is None:
            return f"{self.metric} is not judged: {self.words}"
        wanted = "at least" if self.direction == "min" else "at most"
        verb = "is" if self.passed else "is only" if self.direction == "min" else "is as high as"
        sentence = f"{self.metric} {verb} {self.value:.4g}; {wanted} {self.bound:.4g} is required"
        of_whom = ": ".join(part for part in (f"beside {self.beside}" if self.beside else "", self.words) if part)
        return f"{of_whom}; {sentence}" if of_whom else sentence


def judge(metrics: Mapping[str, object], gates: Mapping[str, Gate]) -> tuple[GateResult, ...]:
    """``metrics`` is the nested mapping of summary.json; gates are judged in the order of their declaration.

    One that asks for more than a flat baseline is not judged where there is none, so that a declaration may change its
    architecture and keep its gates. Raises ConfigError for a gate on any other metric that this run does not have.
    """
    figures = dotted(metrics)
    check_names(gates, figures.keys() | names_beside_flat())
    return tuple(_judged(name, gate, figures.get(name)) for name, gate in gates.items())


def _judged(name: str, gate: Gate, value: float | None) -> GateResult:
    if gate.min is not None:
        passed = value is None or value >= gate.min
        result = GateResult(metric=name, direction="min", bound=gate.min, value=value, passed=passed)
    else:
        assert gate.max is not None
        passed = value is None or value <= gate.max
        result = GateResult(metric=name, direction="max", bound=gate.max, value=value, passed=passed)
    return result if value is not None else result.model_copy(update={"words": NO_FLAT})


def judge_champion(comparison: Comparison, gates: Mapping[str, Gate]) -> tuple[GateResult, ...]:
    """The gates below ``champion.``, as far as there is a figure: without a common photograph there are few."""
    figures = {f"{CHAMPION}{name}": value for name, value in comparison.figures().items()}
    judged = judge(figures, {name: gate for name, gate in gates.items() if name in figures})
    about = [{"words": _of_whom(comparison, gate), "beside": comparison.old.release} for gate in judged]
    return tuple(gate.model_copy(update=known) for gate, known in zip(judged, about, strict=True))


def _of_whom(comparison: Comparison, gate: GateResult) -> str:
    """The species that a gate on species is about, the hardest hit where it is about none; else the figure on both sides."""
    judged = comparison.judged
    if judged is None:
        return ""
    figure = gate.metric.removeprefix(CHAMPION)
    if figure in ("worst_species", "num_worse"):
        lost_too_much = gate.bound if figure == "worst_species" else 0.0
        hit = [one.in_words for one in judged.of("worse") if one.recall.minus.value < lost_too_much]
        if not hit and judged.species[0].recall.minus.value < 0:
            return f"hardest hit: {judged.species[0].in_words}"
        more = [f"and {len(hit) - NUM_NAMED} more species"] if len(hit) > NUM_NAMED else []
        return "; ".join([*hit[:NUM_NAMED], *more])
    base = figure.removesuffix("_low").removesuffix("_high")
    if base in FIGURES:
        pair: Difference = getattr(judged, base)
        return f"{base} {pair.old:.3f} -> {pair.new:.3f} on {judged.pairs.num_images} photographs ({pair.change})"
    return ""


def champion_metric_names() -> frozenset[str]:
    """Every name that a gate on the comparison with the champion may have."""
    return frozenset(f"{CHAMPION}{name}" for name in Comparison.figure_names())


def check_names(gates: Mapping[str, Gate], known: Iterable[str]) -> None:
    """Raises ConfigError for the first gate on a name that is not ``known``, so that a typo stops before training."""
    names = sorted(known)
    for gate in gates:
        if gate not in names:
            near = difflib.get_close_matches(gate, names, n=5, cutoff=0.4) or names[:5]
            raise ConfigError(
                f"there is no metric {gate!r} in this run",
                where=f"evaluation.gates.{gate}",
                allowed=f"among others {', '.join(near)}",
                remedy=did_you_mean(gate, names) or "summary.json of any run lists every metric.",
            )


def dotted(nested: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Every number of a nested mapping by its dotted name; what is no number is passed over."""
    figures: dict[str, float] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            figures |= dotted(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            figures[f"{prefix}{key}"] = float(value)
    return figures
