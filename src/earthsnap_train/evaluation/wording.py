"""How numbers are written for people."""

from collections.abc import Mapping

from earthsnap_train.evaluation.figures import Calibration
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.spec.architecture import NamedFirst


def percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}%"


def points(value: float, digits: int = 1) -> str:
    """A difference of shares in percentage points, with its sign where there is one."""
    rounded = round(100 * value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if rounded else f"{0:.{digits}f}"


def count(value: int) -> str:
    return f"{value:,}"


def big(value: float) -> str:
    """1.2 G, 580 M: for multiply-adds."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def short_time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


WORDS = {
    "top1": "named right",
    "top5": "right name among five",
    "macro_recall": "mean over species",
    "lowest_recall": "weakest species",
    "ece": "off in its certainty",
    "misrouted": "misrouted",
    "misnamed": "misnamed",
    "routing": "right group first",
    "minus_flat": "beside the flat network",
    "answered": "answered",
    "answered_right": "right when it answers",
    "answered_as_species": "answered with a species",
    "species_alone_answered": "answered, were only species named",
    "species_alone_right": "right, were only species named",
    "worst_species": "hardest hit species",
    "num_worse": "species that got worse",
}
RATIOS = (
    "num_worse",
    "num_better",
    "size_ratio",
    "multiply_adds_ratio",
)  # of a comparison, what is no difference of shares


def gate_words(gate: GateResult) -> tuple[str, str, str]:
    """What a gate looks at, what it found, and what it asks for, for people; other metrics keep their own name."""
    part, _, figure = gate.metric.rpartition(".")
    base = figure.removesuffix("_low").removesuffix("_high")
    label = WORDS.get(base, figure)
    if base != figure:
        label += ", lower bound" if figure.endswith("_low") else ", upper bound"
    if part == "champion":
        label += f", beside {gate.beside or 'the champion'}"
    elif part != "family":
        label = f"{part.removeprefix('nodes.')}: {label}"
    if gate.value is None:
        return label, "not judged:", gate.words
    # A near miss must not read as "90.0%, at least 90.0%".
    digits = 1 if gate.passed or abs(gate.value - gate.bound) >= 0.001 else 3
    if base == "minus_flat" or (part == "champion" and base not in RATIOS):
        found, asked = points(gate.value, digits), f"{points(gate.bound, digits)} points"
    elif base in WORDS and base not in RATIOS:
        found, asked = percent(gate.value, digits), percent(gate.bound, digits)
    else:
        found, asked = f"{gate.value:.4g}", f"{gate.bound:.4g}"
    return label, found, f"{'at least' if gate.direction == 'min' else 'at most'} {asked}"


NAMED_FIRST: Mapping[NamedFirst, str] = {
    "likeliest": "",
    "least_expected_distance": (
        "The species named first is not always the likeliest: it is the one that is nearest, on average and in ranks of the "
        "taxonomy, to all that the photograph may show."
    ),
}


def promise(calibration: Calibration) -> str:
    """What stands behind the answers, for people."""
    asked = percent(calibration.accuracy, 0)
    seen = f"{count(calibration.num_clusters)} validation photographs (one of each plant, of {count(calibration.num_images)})"
    likely = f"it says what it holds to be {percent(calibration.unsure_below, 0)} likely"
    if calibration.outcome == "promised":
        return (
            f"Of species that it knows, at least {asked} of what it says is right. {seen} stand behind "
            f"this promise: for {percent(1 - calibration.delta, 0)} of such sets of photographs it is kept."
        )
    if calibration.outcome == "by_hand":
        return f"Nothing is promised: {likely}, as was declared."
    why = (
        f"{seen} are too few to promise that {asked} of what it says is right; it would take "
        f"{count(calibration.num_needed)} or more"
        if calibration.num_needed
        else f"of {seen} too many were named wrong, however sure it was, to promise that {asked} of what it says is right"
    )
    return f"Nothing is promised: {why}. Until then {likely}."


SHADES = (0.5, 0.7, 0.8, 0.9, 0.97)


def shade(recall: float | None) -> str:
    """The step of the colour scale, 0 (worst) to 5, or ``none``."""
    return "none" if recall is None else str(sum(recall >= edge for edge in SHADES))


def of_hundred(right: float, misnamed: float, misrouted: float) -> tuple[int, int, int]:
    """Three shares that make up 1, as whole numbers that make up 100.

    What is right is rounded by itself, so that it is the same number wherever it is said or drawn, and is 100 only where
    nothing is wrong; the mistakes share the rest.
    """
    num_right = min(round(100 * right), 99 if right < 1 else 100)
    wrong = misnamed + misrouted
    num_misnamed = round((100 - num_right) * misnamed / wrong) if wrong else 0
    return num_right, num_misnamed, 100 - num_right - num_misnamed


def setting(value: object) -> str:
    """A setting as one would type it, with three digits."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.3g}" if isinstance(value, float) else str(value)
