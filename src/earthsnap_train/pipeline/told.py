"""What a finished run has to tell trackers: jobs that prepare, that tune and teach each node, and one that judges."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from earthsnap_train.evaluation.predictions import FamilyPredictions
from earthsnap_train.evaluation.report import NodeRow
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.run import Finished
from earthsnap_train.pipeline.store import Store
from earthsnap_train.pipeline.told_config import told_config
from earthsnap_train.pipeline.told_machine import Machine
from earthsnap_train.pipeline.told_tables import (
    confusion_table,
    finding_table,
    galleries,
    gate_table,
    node_table,
    photograph_table,
    species_table,
    stage_table,
)
from earthsnap_train.pipeline.told_trials import tuned
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.tracking.port import Asset, Confusion, Rows, TrackedFamily, TrackedRun

PREPARING = ("draw", "ingest", "select", "records", "trunk", "embed", "embed_originals")
JUDGING = (
    "check_parent",
    "heads",
    "export",
    "evaluate",
    "evaluate_heads",
    "calibrate",
    "evaluate_family",
    "bundle",
    "report",
)
MOST_MANIFEST_BYTES = 50_000_000
DESCRIBING = ("release.json", "family.json", "taxonomy.parquet", "MODEL_CARD.md", "report/report.html")
NETWORKS = ("nodes/*.onnx", "trunks/*.onnx")


def told(spec: RunSpec, finished: Finished, store: Store, *, sweep: str | None) -> TrackedFamily | None:
    """None where the run found everything in the store: that has been told before."""
    if all(outcome.cached for outcome in finished.outcomes.values()):
        return None
    return TrackedFamily(
        family=spec.name,
        run=finished.folder.name,
        sweep=sweep,
        config=told_config(spec),
        runs=list(_Telling(spec, finished, store).jobs()),
    )


class _Telling:
    """Reads from artifacts, which are whole even where this run only went on with what a killed one began."""

    def __init__(self, spec: RunSpec, finished: Finished, store: Store) -> None:
        self._name = spec.name
        self._finished, self._data = finished, finished.data
        self._folders = {name: store.path(outcome.artifact.key) for name, outcome in finished.outcomes.items()}
        plan = Plan.model_validate_json((finished.folder / "plan.json").read_bytes())
        self._kinds = {stage.name: stage.kind for stage in plan.stages}
        self._ran = [stage.name for stage in plan.stages if not finished.outcomes[stage.name].cached]
        self._machine = Machine.read(finished.folder)
        self._dataset = dataset_asset(spec.name, finished, self._folders["ingest"])

    def jobs(self) -> Iterator[TrackedRun]:
        yield self._prepare()
        for name in (name for name in self._ran if name.startswith("tune/")):
            machine, uses = self._machine.during([name]), [self._dataset.reference]
            yield tuned(name, self._folders[name], seconds=self._seconds([name]), machine=machine, uses=uses)
        # Not what is taught once more for the release: no judged figures are its own.
        yield from (self._train(name) for name in self._ran if name.startswith("train/"))
        yield self._evaluate()

    def _of_kinds(self, *kinds: str) -> list[str]:
        return [name for name in self._ran if self._kinds.get(name) in kinds]

    def _seconds(self, stages: Sequence[str]) -> float:
        return round(sum(self._finished.outcomes[name].artifact.seconds for name in stages), 3)

    def _prepare(self) -> TrackedRun:
        stages, panel = self._of_kinds(*PREPARING), self._data.dataset
        tables = [photograph_table(self._data), finding_table(self._data), stage_table(self._finished)]
        return TrackedRun(
            name="prepare",
            job_type="prepare",
            machine=self._machine.during(stages),
            summary={
                "num_images": panel.counts.total,
                "num_species": panel.num_species,
                "num_groups": panel.num_groups,
                "num_quarantined": panel.num_quarantined,
                "seconds": self._seconds(stages),
            },
            tables=[table for table in tables if table.rows],
            makes=[self._dataset],
        )

    def _train(self, stage: str) -> TrackedRun:
        node = stage.removeprefix("train/")
        judged = next((row for row in self._data.nodes if row.node == node), None)  # a shared trunk is no node
        return TrackedRun(
            name=stage,
            job_type=f"train-{node.split('/')[0]}",
            rows=_curve(self._folders[stage] / "notes" / "curves.json"),
            machine=self._machine.during([stage]),
            summary={"seconds": self._seconds([stage])} | (_worth(judged) if judged else {}),
            uses=[self._dataset.reference],
        )

    def _evaluate(self) -> TrackedRun:
        stages, data = self._of_kinds(*JUDGING), self._data
        tables = [species_table(data), confusion_table(data), node_table(data), gate_table(data)]
        flat = data.metrics.flat.summary() if data.metrics.flat is not None else {}
        return TrackedRun(
            name="evaluate",
            job_type="evaluate",
            machine=self._machine.during(stages),
            summary={
                **data.metrics.summary(),
                **{f"flat_{name}": value for name, value in flat.items()},
                "seconds": self._seconds(stages),
            },
            tables=[table for table in tables if table.rows],
            galleries=galleries(data),
            confusion=self._confusion(),
            uses=[self._dataset.reference],
            makes=[release_asset(self._name, self._finished)],
        )

    def _confusion(self) -> Confusion:
        """Of groups where there are several: many species make no picture that anyone can read."""
        said = FamilyPredictions.read(self._folders["evaluate/family"] / "predictions.parquet")
        groups = sorted({row.group for row in self._data.species})
        if len(groups) > 1:
            pairs = zip(said.group.tolist(), said.predicted_group.tolist(), strict=True)
            return Confusion(title="Groups: what was taken for what", names=groups, pairs=list(pairs))
        species = sorted(row.name.species_id for row in self._data.species)
        named = zip(said.species_id.tolist(), said.predicted_species.tolist(), strict=True)
        return Confusion(title="Species: what was taken for what", names=species, pairs=list(named))


def _worth(judged: NodeRow) -> dict[str, float]:
    return {
        "test_top1": judged.top1.value,
        "test_top5": judged.top5.value,
        "test_ece": judged.ece,
        "num_species": judged.num_species,
    }


def _curve(path: Path) -> Rows:
    return [(row.pop("step"), row) for row in json.loads(path.read_bytes())]


def dataset_asset(family: str, finished: Finished, ingested: Path) -> Asset:
    """The dataset version: its list of photographs, where that is not too large, and never a photograph."""
    panel = finished.data.dataset
    files = {name: ingested / name for name in ("manifest.json", "taxonomy.parquet")}
    if (manifest := ingested / "manifest.parquet").stat().st_size <= MOST_MANIFEST_BYTES:
        files["manifest.parquet"] = manifest
    return Asset(
        name=f"{family}-dataset",
        kind="dataset",
        version=panel.version[:12],
        facts={
            "dataset_version": panel.version,
            "num_images": panel.counts.total,
            "num_species": panel.num_species,
        },
        files=files,
    )


def release_asset(family: str, finished: Finished) -> Asset:
    release = finished.release
    facts: Mapping[str, str | float] = {
        "digest": release.digest,
        "state": release.state,
        "top1": finished.data.metrics.top1.value,
    }
    networks = [path for pattern in NETWORKS for path in sorted(release.path.glob(pattern))]
    return Asset(
        name=f"{family}-release",
        kind="model",
        version=release.name,
        facts=facts,
        files={name: path for name in DESCRIBING if (path := release.path / name).is_file()},
        networks={path.relative_to(release.path).as_posix(): path for path in networks},
    )
