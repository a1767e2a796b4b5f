"""What evaluation measured, as it is written down; without numpy, so that a plan can check its gates at once."""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from earthsnap_train.spec.architecture import NamedFirst


class Measured(BaseModel):
    """Base of every figure that evaluation writes down; dumps to JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figures(Measured):
    """Figures that summary.json lists and that gates may name."""

    def summary(self) -> dict[str, float]:
        """The numbers by name, as in summary.json; an estimate gives ``name``, ``name_low`` and ``name_high``."""
        numbers: dict[str, float] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Estimate):
                numbers |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
            elif isinstance(value, int | float):
                numbers[name] = value
        return numbers

    @classmethod
    def figure_names(cls) -> tuple[str, ...]:
        """The keys that ``summary`` can have."""
        names: list[str] = []
        for name, field in cls.model_fields.items():
            kinds = get_args(field.annotation) or (field.annotation,)
            if Estimate in kinds:
                names += [name, f"{name}_low", f"{name}_high"]
            elif float in kinds or int in kinds:
                names.append(name)
        return tuple(names)


class Name(Measured):
    """Of a species. ``label`` is what people call it: the common name, else the scientific one."""

    species_id: str
    scientific: str
    common: str | None

    @property
    def label(self) -> str:
        return self.common or self.scientific


class Estimate(Measured):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


class ReliabilityBin(Measured):
    """Photographs of like confidence: how sure the model said it was, and how often it was right."""

    num_images: int
    confidence: float
    right: float


class ClassMetrics(Measured):
    """One class. ``precision`` and the confusion are None where the class was never named, or never confused."""

    name: str
    num_images: int
    recall: Estimate
    precision: float | None
    most_confused_with: str | None
    num_confused: int


class Confusion(Measured):
    """Photographs of ``truth`` that were called ``predicted``; ``share`` of all photographs of ``truth``."""

    truth: str
    predicted: str
    num_images: int
    share: float


class Metrics(Figures):
    """``ece``: expected calibration error in equal-mass bins. ``confusions``: most frequent first, at most 500."""

    num_images: int
    num_classes: int
    top1: Estimate
    top5: Estimate
    macro_recall: Estimate
    lowest_recall: float
    ece: float
    mean_confidence: float
    classes: tuple[ClassMetrics, ...]
    confusions: tuple[Confusion, ...]
    reliability: tuple[ReliabilityBin, ...]


class Cost(Measured):
    """Of naming one photograph, preparation included in the latency; None where it was not measured."""

    multiply_adds: float
    latency_ms: float | None


class SpeciesMetrics(Metrics):
    """A classifier of all species, whatever its architecture, judged by species and by groups.

    ``misrouted``: the named species lies outside the true group. ``misnamed``: inside it, but wrong. With ``top1`` they
    add up to 1. ``severity``: ranks from the truth up to its lowest common ancestor with the answer, mean over all
    photographs; ``mistake_severity``: over the mistakes alone, 0 without any (Bertinetto et al. 2020, CVPR).
    """

    misrouted: Estimate
    misnamed: Estimate
    mistake_severity: float
    severity: Estimate
    multiply_adds: float | None
    latency_ms: float | None


class ThresholdPoint(Measured):
    """``answered``: share of photographs of which something at least so likely is said. ``right``: of those; 1 of none."""

    unsure_below: float
    answered: float
    right: float


class Threshold(Measured):
    """The least probability of what is said, and what stands behind it.

    ``promised``: kept by the test. ``by_hand``: declared. ``too_few``, ``too_often_wrong``: no threshold passes the test,
    for want of photographs or since mistakes are too many at each; then it is the ``accuracy`` that was asked for.
    ``num_needed``: about how many clusters of val a promise would take at least. ``curve``: on val, strict thresholds first.
    """

    unsure_below: float
    outcome: Literal["promised", "by_hand", "too_few", "too_often_wrong"]
    num_needed: int | None
    curve: tuple[ThresholdPoint, ...]


class Calibration(Threshold):
    """The threshold at any rank. ``species_alone``: were only species named, for the same promise.

    ``num_images``: of val; one of each of the ``num_clusters`` was looked at.
    """

    accuracy: float
    delta: float
    num_images: int
    num_clusters: int
    species_alone: Threshold


class AnsweredRank(Measured):
    """``answered``: share of all photographs whose answer is of this rank. ``right``: of those, None without any."""

    rank: str
    answered: Estimate
    right: Estimate | None


class AnsweredGroup(Measured):
    """The same of the photographs of one group, whatever it was taken for."""

    group: str
    num_images: int
    answered: Estimate
    right: Estimate | None


class Answering(Figures):
    """What is said and what is refused. An answer is right where it is the true species or a taxon above it.

    ``answered``: share of photographs of which something is said; ``answered_right``: of those, 1 without any;
    ``answered_as_species``: share of photographs that get a species, right or wrong. ``species_alone_``: were only
    species named. ``curve``: of the test photographs, as ``calibration`` has it of val. ``by_rank``: highest first.
    """

    answered: Estimate
    answered_right: Estimate
    answered_as_species: Estimate
    species_alone_answered: Estimate
    species_alone_right: Estimate
    calibration: Calibration
    by_rank: tuple[AnsweredRank, ...]
    by_group: tuple[AnsweredGroup, ...]
    curve: tuple[ThresholdPoint, ...]
    species_alone_curve: tuple[ThresholdPoint, ...]


class FamilyMetrics(SpeciesMetrics):
    """``routing``: how often the parent's first choice is the true group. ``oracle_top1``: with that always right.

    ``minus_flat``: family minus flat top-1 on the same photographs, with a paired interval. ``answering``: None in
    figures of releases that were made without it; its own are among the family's. ``named_first``: how the family's first
    answers were chosen; ``flat`` always names the likeliest.
    """

    routing: Estimate
    oracle_top1: Estimate
    children_run: float
    flat: SpeciesMetrics | None
    minus_flat: Estimate | None
    answering: Answering | None = None
    named_first: NamedFirst = Field(default="likeliest", exclude_if="likeliest".__eq__)

    def summary(self) -> dict[str, float]:
        return super().summary() | (self.answering.summary() if self.answering else {})

    @classmethod
    def figure_names(cls) -> tuple[str, ...]:
        return (*super().figure_names(), *Answering.figure_names())


def figures(family: FamilyMetrics, nodes: Mapping[str, Metrics]) -> dict[str, Mapping[str, object]]:
    """``family``, ``flat`` (where there is one) and ``nodes`` as summary.json has them, and as gates name them."""
    flat = {"flat": family.flat.summary()} if family.flat else {}
    return {"family": family.summary(), **flat, "nodes": {name: metrics.summary() for name, metrics in nodes.items()}}


def metric_names(nodes: Iterable[str], *, flat: bool) -> frozenset[str]:
    """Every name that a gate of such a run may have, known before anything is trained."""
    names = {f"family.{name}" for name in FamilyMetrics.figure_names() if flat or not name.startswith("minus_flat")}
    names |= {f"flat.{name}" for name in SpeciesMetrics.figure_names() if flat}
    # A latency says something about one machine on one day: no gate may turn on it.
    names -= {"family.latency_ms", "flat.latency_ms"}
    return frozenset(names | {f"nodes.{node}.{name}" for node in nodes for name in Metrics.figure_names()})


def names_beside_flat() -> frozenset[str]:
    """Those that a run has only where a flat baseline stands beside the family."""
    return metric_names((), flat=True) - metric_names((), flat=False)
