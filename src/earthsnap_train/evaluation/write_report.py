"""Stage ``report``: all that the report page shows but what belongs to one run (its date, its release, its seconds).

Writes ``report.json``, a ``ReportData`` that ``pipeline.run`` completes and renders.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from earthsnap_train.context import Context
from earthsnap_train.data.manifest import (
    HEADER_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    TAXONOMY_FILE,
    read_header,
    read_manifest,
    read_quarantine,
)
from earthsnap_train.evaluation.family_panel import FamilyPanel
from earthsnap_train.evaluation.figures import FamilyMetrics, Metrics
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.evaluation.pictures import photo_reader
from earthsnap_train.evaluation.predictions import FamilyPredictions
from earthsnap_train.evaluation.report import CurvePoint, DatasetPanel, FindingCount, NodeRow, SplitCounts, Variation
from earthsnap_train.evaluation.report_rows import build_report, node_row, split_counts
from earthsnap_train.models.family import Node
from earthsnap_train.spec.architecture import ArchitectureKind, Routing
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.taxonomy.tree import Taxonomy


class Settings(SpecModel):
    """``nodes``: node -> how many species it was taught. ``routing``: None of a flat release. ``trunk_is_taught``: of one
    trunk for all nodes, that it is not left as it is."""

    name: str
    architecture: ArchitectureKind
    fit_on: Literal["train", "train_val", "full"]
    group_of: dict[str, str]
    nodes: dict[str, int]
    routing: Routing | None
    trunk_is_taught: bool


def run(settings: Mapping[str, object], inputs: Mapping[str, Path], out: Path, context: Context) -> None:
    s = Settings.model_validate(settings)
    manifest = inputs["manifest"]
    rows = [row for row in read_manifest(manifest / MANIFEST_FILE) if row.species_id in s.group_of]
    predictions = FamilyPredictions.read(inputs["family"] / "predictions.parquet")
    metrics = FamilyMetrics.model_validate_json((inputs["family"] / "metrics.json").read_bytes())
    latency = json.loads((inputs["family"] / "notes" / "latency_ms.json").read_text())
    flat = metrics.flat.model_copy(update={"latency_ms": latency.get("flat")}) if metrics.flat else None
    gates = json.loads((inputs["family"] / "gates.json").read_text())
    counts = split_counts([row.species_id for row in rows], [row.split for row in rows])
    data = build_report(
        family=s.name,
        run="",
        release="",
        date="",
        architecture=s.architecture,
        build=_build(s, inputs),
        fit_on=s.fit_on,
        next_command="",
        predictions=predictions,
        metrics=metrics.model_copy(update={"latency_ms": latency["family"], "flat": flat}),
        gates=[GateResult.model_validate(gate) for gate in gates],
        taxonomy=Taxonomy.read(manifest / TAXONOMY_FILE),
        group_of=s.group_of,
        counts=counts,
        nodes=[_node(name, num_species, inputs) for name, num_species in s.nodes.items()],
        ablation=_ablation(inputs),
        dataset=_dataset(manifest, s, counts),
        lineage=(),
        read_photo=photo_reader(manifest, inputs["photographs"]),
    )
    (out / "report.json").write_text(data.model_dump_json())


def _node(name: str, num_species: int, inputs: Mapping[str, Path]) -> NodeRow:
    node = Node.model_validate_json((inputs[f"export/{name}"] / "node.json").read_bytes())
    metrics = Metrics.model_validate_json((inputs[f"evaluate/{name}"] / "metrics.json").read_bytes())
    # A head that was solved rather than trained has no curve.
    taught = inputs.get(f"train/{name}")
    curves = json.loads((taught / "notes" / "curves.json").read_text()) if taught else []
    curve = [
        CurvePoint(
            step=row["step"], train_loss=row.get("loss"), val_loss=row.get("val_loss"), val_top1=row.get("val_top1")
        )
        for row in curves
    ]
    return node_row(name, metrics, num_species=num_species, temperature=node.temperature, seconds=None, curve=curve)


def _build(s: Settings, inputs: Mapping[str, Path]) -> FamilyPanel | None:
    if s.architecture == "flat" or s.routing is None:
        return None
    parent = Node.model_validate_json((inputs["export/parent"] / "node.json").read_bytes())
    # There is none where parents are networks of their own, and none where that of a base was kept.
    notes = inputs["heads"] / "notes" / "parents.json" if "heads" in inputs else None
    tried = json.loads(notes.read_text())["surprise"] if notes and notes.is_file() else {}
    return FamilyPanel(
        architecture=s.architecture,
        targets=parent.targets,
        chosen_among=tuple(tried),
        routing=s.routing,
        trunk_is_taught=s.trunk_is_taught,
    )


def _ablation(inputs: Mapping[str, Path]) -> list[Variation]:
    if "ablation" not in inputs:
        return []
    rows = json.loads((inputs["ablation"] / "ablation.json").read_text())
    return [Variation.model_validate(row) for row in rows]


def _dataset(manifest: Path, s: Settings, counts: Mapping[str, SplitCounts]) -> DatasetPanel:
    found = Counter((row.code, row.severity, row.action) for row in read_quarantine(manifest / QUARANTINE_FILE))
    return DatasetPanel(
        version=read_header(manifest / HEADER_FILE).dataset_version,
        num_species=len(s.group_of),
        num_groups=len(set(s.group_of.values())),
        counts=SplitCounts(
            train=sum(c.train for c in counts.values()),
            val=sum(c.val for c in counts.values()),
            test=sum(c.test for c in counts.values()),
        ),
        num_quarantined=sum(found.values()),
        findings=tuple(
            FindingCount(code=code, severity=severity, action=action, count=count)
            for (code, severity, action), count in sorted(found.items())
        ),
    )
