"""The tables and galleries that trackers get: what the report knows, as rows."""

import base64
from collections.abc import Iterable

from earthsnap_train.evaluation.figures import Name
from earthsnap_train.evaluation.report import ReportData
from earthsnap_train.evaluation.wording import percent
from earthsnap_train.pipeline.run import Finished
from earthsnap_train.tracking.port import Gallery, Picture, Table

PASSED = {"passed": "yes", "failed": "no", "unjudged": "not judged"}


def species_table(data: ReportData) -> Table:
    """Lowest recall first, as in the report; without a figure those that have no test photograph."""
    return Table(
        name="species",
        columns=(
            "species_id", "scientific_name", "common_name", "group", "train_images", "val_images", "test_images",
            "recall", "recall_low", "recall_high", "precision", "most_confused_with", "num_confused",
        ),
        rows=[
            (
                row.name.species_id, row.name.scientific, row.name.common, row.group, row.counts.train, row.counts.val,
                row.counts.test, *((row.recall.value, row.recall.low, row.recall.high) if row.recall else (None,) * 3),
                row.precision, row.confused_with.label if row.confused_with else None, row.num_confused,
            )
            for row in data.species
        ],
    )  # fmt: skip


def photograph_table(data: ReportData) -> Table:
    return Table(
        name="photographs",
        columns=("species_id", "scientific_name", "group", "train_images", "val_images", "test_images"),
        rows=[
            (row.name.species_id, row.name.scientific, row.group, row.counts.train, row.counts.val, row.counts.test)
            for row in sorted(data.species, key=lambda row: row.name.species_id)
        ],
    )


def finding_table(data: ReportData) -> Table:
    return Table(
        name="findings",
        columns=("finding", "severity", "action", "num_images"),
        rows=[(one.code, one.severity, one.action, one.count) for one in data.dataset.findings],
    )


def stage_table(finished: Finished) -> Table:
    return Table(
        name="stages",
        columns=("stage", "seconds", "from_store", "reason"),
        rows=[
            (name, outcome.artifact.seconds, "yes" if outcome.cached else "no", outcome.reason)
            for name, outcome in finished.outcomes.items()
        ],
    )


def confusion_table(data: ReportData) -> Table:
    label = {row.name.species_id: row.name.label for row in data.species}
    return Table(
        name="confusions",
        columns=("truth", "named", "num_images", "share_of_truth"),
        rows=[
            (label.get(one.truth, one.truth), label.get(one.predicted, one.predicted), one.num_images, one.share)
            for one in data.metrics.confusions
        ],
    )


def node_table(data: ReportData) -> Table:
    return Table(
        name="nodes",
        columns=("node", "num_species", "test_images", "top1", "top5", "ece", "temperature", "seconds"),
        rows=[
            (
                row.node, row.num_species, row.num_images, row.top1.value, row.top5.value, row.ece, row.temperature,
                row.seconds,
            )
            for row in data.nodes
        ],
    )  # fmt: skip


def gate_table(data: ReportData) -> Table:
    return Table(
        name="gates",
        columns=("metric", "value", "bound", "direction", "passed"),
        rows=[(gate.metric, gate.value, gate.bound, gate.direction, PASSED[gate.verdict]) for gate in data.gates],
    )


def galleries(data: ReportData) -> list[Gallery]:
    """The report's own pictures, which are few and small: the surest mistakes, and look-alikes."""
    mistakes = [
        Picture(
            image=_bytes(one.picture),
            caption=f"{one.truth.label}, {_named(one.predicted)} with {percent(one.confidence)} ({one.cause})",
        )
        for one in data.mistakes
        if one.picture is not None
    ]
    sides = [side for pair in data.confused for side in ((pair.first, pair.second), (pair.second, pair.first))]
    look_alikes = [
        Picture(image=_bytes(picture), caption=f"{own.name.label}, {_named(other.name)}")
        for own, other in sides
        for picture in own.mistaken
    ]
    return list(
        _not_empty(Gallery(name="mistakes", pictures=mistakes), Gallery(name="look_alikes", pictures=look_alikes))
    )


def _named(name: Name | None) -> str:
    return f"named {name.label}" if name is not None else "not named"


def _not_empty(*galleries: Gallery) -> Iterable[Gallery]:
    return (gallery for gallery in galleries if gallery.pictures)


def _bytes(uri: str) -> bytes:
    """Of a picture as the page holds it (``data:image/webp;base64,...``)."""
    return base64.b64decode(uri.partition(",")[2])
