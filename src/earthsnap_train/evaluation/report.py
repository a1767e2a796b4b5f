"""The page on which a person approves a release or refuses it: everything it shows, and its HTML."""

from typing import Literal

import jinja2

from earthsnap_train.evaluation import charts, search_charts
from earthsnap_train.evaluation.family_panel import FamilyPanel, worth
from earthsnap_train.evaluation.figures import Estimate, FamilyMetrics, Measured, Name
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.evaluation.search_panel import SearchPanel
from earthsnap_train.evaluation.wording import (
    NAMED_FIRST,
    big,
    count,
    gate_words,
    of_hundred,
    percent,
    points,
    promise,
    setting,
    shade,
    short_time,
)
from earthsnap_train.spec.architecture import ArchitectureKind

Cause = Literal["misrouted", "misnamed"]


class SplitCounts(Measured):
    train: int
    val: int
    test: int

    @property
    def total(self) -> int:
        return self.train + self.val + self.test


class SpeciesRow(Measured):
    """``recall`` is None for a species without a test photograph, ``precision`` for one that was never named."""

    name: Name
    group: str
    counts: SplitCounts
    recall: Estimate | None
    precision: float | None
    confused_with: Name | None
    num_confused: int
    picture: str | None


class Taxon(Measured):
    """A taxon of a rank with those below it; a species at the leaves. ``recall``: mean over its species."""

    rank: str
    label: str
    species_id: str | None
    num_species: int
    recall: float | None
    below: tuple["Taxon", ...]

    @property
    def leaves(self) -> tuple["Taxon", ...]:
        return tuple(leaf for taxon in self.below for leaf in taxon.leaves) if self.below else (self,)


class LookAlike(Measured):
    """One side of a confused pair: its portrait, and photographs of it that were given the other's name."""

    name: Name
    group: str
    num_images: int
    num_mistaken: int
    portrait: str | None
    mistaken: tuple[str, ...]


class ConfusedPair(Measured):
    first: LookAlike
    second: LookAlike


class Mistake(Measured):
    """``portrait``: what the named species looks like."""

    uri: str
    picture: str | None
    truth: Name
    predicted: Name | None
    confidence: float
    cause: Cause
    portrait: str | None


class CurvePoint(Measured):
    """What training measured at an optimisation step; None where it was not measured there."""

    step: int
    train_loss: float | None = None
    val_loss: float | None = None
    val_top1: float | None = None


class NodeRow(Measured):
    """``num_images``: in the node's test split. ``temperature`` is None where none was fitted. ``curve``: by step."""

    node: str
    num_species: int
    num_images: int
    top1: Estimate
    top5: Estimate
    ece: float
    temperature: float | None
    seconds: float | None
    curve: tuple[CurvePoint, ...]


class Variation(Measured):
    """A family with one part changed. ``minus_declared``: its top-1 less that of the family as declared, on the same
    photographs; None for that one itself, which comes first."""

    name: str
    top1: float
    macro_recall: float
    mistake_severity: float
    ece: float
    minus_declared: Estimate | None


class FindingCount(Measured):
    code: str
    severity: str
    action: str
    count: int


class CoverPhoto(Measured):
    name: Name
    picture: str


class DatasetPanel(Measured):
    """``version``: the dataset's digest."""

    version: str
    num_species: int
    num_groups: int
    counts: SplitCounts
    num_quarantined: int
    findings: tuple[FindingCount, ...]


class StageRow(Measured):
    """``seconds`` is None for a stage whose artifact was there already and whose time is not known."""

    name: str
    key: str
    seconds: float | None
    cached: bool


class ReportData(Measured):
    """Everything the page shows. ``date`` is given in, so that equal inputs give an equal page.

    ``verdict``: ``rejected`` exactly when a gate failed. ``fit_on``: the splits that the released weights learnt from.
    ``next_command``: what a person types next. ``cover``: a few species that it knows well. ``champion``: how it compares
    with the release in production, of which ``comparison.html`` beside this page tells more; empty where none is.
    ``parent``: whether that of the release's base was kept, and why; empty where there is no base. ``build``: None of a
    flat release.
    """

    family: str
    run: str
    release: str
    date: str
    architecture: ArchitectureKind
    build: FamilyPanel | None = None
    fit_on: Literal["train", "train_val", "full"]
    next_command: str
    champion: str = ""
    parent: str = ""
    cover: tuple[CoverPhoto, ...]
    metrics: FamilyMetrics
    gates: tuple[GateResult, ...]
    species: tuple[SpeciesRow, ...]
    taxonomy: tuple[Taxon, ...]
    confused: tuple[ConfusedPair, ...]
    mistakes: tuple[Mistake, ...]
    nodes: tuple[NodeRow, ...]
    dataset: DatasetPanel
    searches: tuple[SearchPanel, ...] = ()
    ablation: tuple[Variation, ...] = ()
    lineage: tuple[StageRow, ...]

    @property
    def verdict(self) -> Literal["awaiting_approval", "rejected"]:
        return "awaiting_approval" if all(gate.passed for gate in self.gates) else "rejected"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the gates stopped it."""
        return tuple(gate.reason for gate in self.gates if not gate.passed)


def render(data: ReportData) -> str:
    """One self-contained HTML page: no network, light and dark, for desk, phone and paper."""
    return environment().get_template("report.html.j2").render(data=data, metrics=data.metrics)


def environment() -> jinja2.Environment:
    """What the pages of evaluation share: their templates, the words of their figures, and that everything is escaped."""
    shared = jinja2.Environment(
        loader=jinja2.PackageLoader("earthsnap_train.evaluation", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared.filters |= {word.__name__: word for word in (percent, points, count, short_time, big, setting)}
    shared.globals |= {"charts": charts, "search_charts": search_charts}
    shared.globals |= {
        "shade": shade,
        "of_hundred": of_hundred,
        "gate_words": gate_words,
        "promise": promise,
        "worth": worth,
        "named_first": NAMED_FIRST,
    }
    return shared
