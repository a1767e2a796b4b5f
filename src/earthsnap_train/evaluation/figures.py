"""What evaluation measured, as it is written down; without numpy, so that a plan can check its gates at once."""

from collections.abc import Iterable, Mapping
from typing import get_args

from pydantic import BaseModel, ConfigDict


class Measured(BaseModel):
    """Base of every figure that evaluation writes down; dumps to JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class Metrics(Measured):
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


class FamilyMetrics(SpeciesMetrics):
    """``routing``: how often the parent's first choice is the true group. ``oracle_top1``: with that always right.

    ``minus_flat``: family minus flat top-1 on the same photographs, with a paired interval.
    """

    routing: Estimate
    oracle_top1: Estimate
    children_run: float
    flat: SpeciesMetrics | None
    minus_flat: Estimate | None


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
