"""What a finished run tells, from its artifacts to the files that trackers wrote."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from earthsnap_train.pipeline.told_machine import Machine
from tests.conftest import PLANTS, FinishedRun
from tests.tracking.wandb_offline import Told, read_all


@pytest.fixture(scope="module")
def runs(finished_run: FinishedRun) -> dict[str, Told]:
    """Job -> what W&B was told of it."""
    return {run.name.rpartition(" ")[2]: run for run in read_all(finished_run.run_folder)}


def figures(told: Told) -> dict[str, Any]:
    return {name: value for name, value in told.summary.items() if not name.startswith("_")}


def test_every_job_of_the_family_stands_in_one_group(finished_run: FinishedRun, runs: dict[str, Told]) -> None:
    stages = finished_run.summary["stages"]
    taught = [name for name, stage in stages.items() if name.startswith("train/") and not stage["cached"]]

    assert set(runs) == {"prepare", *taught, "evaluate"}
    assert {run.group for run in runs.values()} == {f"plants-debug/{finished_run.run_folder.name}"}
    assert {name: run.job_type for name, run in runs.items()} == {
        "prepare": "prepare", "evaluate": "evaluate", "train/parent": "train-parent",
        **{name: "train-child" for name in taught if name.startswith("train/child/")},
    }  # fmt: skip


def test_figures_are_those_of_the_summary(finished_run: FinishedRun, runs: dict[str, Told]) -> None:
    summary = finished_run.summary
    judged = figures(runs["evaluate"])

    assert {name: judged[name] for name in summary["family"]} == pytest.approx(summary["family"])
    assert judged["flat_top1"] == pytest.approx(summary["flat"]["top1"])
    assert figures(runs["train/parent"])["test_top1"] == pytest.approx(summary["nodes"]["parent"]["top1"])
    assert figures(runs["train/parent"])["seconds"] == summary["stages"]["train/parent"]["seconds"]


def test_curves_are_the_artifacts_own(finished_run: FinishedRun, runs: dict[str, Told]) -> None:
    for name in (name for name in runs if name.startswith("train/")):
        head = json.loads(
            (finished_run.folder / "store/heads/plants-debug" / f"{name.replace('/', '--')}.json").read_bytes()
        )
        curve = finished_run.folder / "store" / "artifacts" / head["key"] / "notes" / "curves.json"
        last = json.loads(curve.read_bytes())[-1]
        assert runs[name].rows()[-1]["_step"] == last["step"]
        assert {k: v for k, v in runs[name].rows()[-1].items() if k != "_step"}.items() >= {
            k: v for k, v in last.items() if k != "step"
        }.items()


def test_every_species_and_every_mistake_can_be_looked_at(finished_run: FinishedRun, runs: dict[str, Told]) -> None:
    judged = runs["evaluate"]
    species = judged.table("species")

    assert len(species) == finished_run.summary["family"]["num_classes"]
    assert species[0]["recall"] == min(row["recall"] for row in species)
    assert sum(row["test_images"] for row in species) == finished_run.summary["family"]["num_images"]
    mistakes = sum(row["num_images"] for row in judged.table("confusions"))
    share = finished_run.summary["family"]["misrouted"] + finished_run.summary["family"]["misnamed"]
    assert mistakes == round(share * finished_run.summary["family"]["num_images"])
    pictures = judged.pictures("mistakes")
    assert 0 < len(pictures) <= 18
    assert all(max(Image.open(path).size) <= 240 for path in pictures)
    assert all(", named " in caption for caption in judged.captions("mistakes"))
    cells = judged.table("confusion_matrix_table")
    assert sum(row["nPredictions"] for row in cells) == finished_run.summary["family"]["num_images"]


def test_the_dataset_version_and_the_release_are_there(finished_run: FinishedRun, runs: dict[str, Told]) -> None:
    dataset = next(one for one in runs["prepare"].artifacts if one.kind == "dataset")
    version = finished_run.summary["lineage"]["dataset"]
    release = next(one for one in runs["evaluate"].artifacts if one.kind == "model")

    assert (dataset.metadata["dataset_version"], version[:12] in dataset.aliases) == (version, True)
    assert json.loads(dataset.files["manifest.json"])["dataset_version"] == version
    assert release.metadata["digest"] == finished_run.summary["release"]["digest"]
    assert finished_run.summary["release"]["name"] in release.aliases
    assert not [name for name in release.files if name.endswith(".onnx")]


def test_nothing_of_this_machine_or_of_anybodys_secrets_is_told(runs: dict[str, Told]) -> None:
    config = runs["evaluate"].config

    assert {"seed", "dataset", "training", "architecture"} <= set(config)
    assert not {"paths", "deployment", "tracking", "job"} & set(config)


def test_the_machine_was_looked_at_while_stages_ran(finished_run: FinishedRun, runs: dict[str, Told]) -> None:
    rows = [row for row in runs["prepare"].history if "machine/seconds" in row]

    assert rows
    assert all(0 <= row["machine/cpu_percent"] <= 100 for row in rows)
    assert all(row["machine/seconds"] <= finished_run.summary["seconds"] for row in rows)


def test_the_other_trackers_were_told_the_same(finished_run: FinishedRun, runs: dict[str, Told]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = finished_run.run_folder
    table = list(csv.DictReader((folder / "csv" / "runs.csv").open(newline="")))
    said = {(row["job"], row["name"]): float(row["value"]) for row in table}
    events = EventAccumulator(str(folder / "tensorboard" / "evaluate")).Reload()

    top1 = finished_run.summary["family"]["top1"]
    assert said["evaluate", "top1"] == pytest.approx(top1)
    assert events.Scalars("result/top1")[0].value == pytest.approx(top1, abs=1e-6)
    assert {job for job, _ in said} == set(runs)


def test_a_run_that_finds_everything_in_the_store_tells_nothing(finished_run: FinishedRun, tmp_path: Path) -> None:
    from earthsnap_train.pipeline.run import run
    from earthsnap_train.pipeline.store import Store
    from earthsnap_train.pipeline.told import told
    from earthsnap_train.release.registry import Registry
    from launchers.local import launch
    from tests.conftest import declare

    paths = [f"paths.{name}={finished_run.folder / name}" for name in ("store", "groupings")]
    spec = declare(*PLANTS, f"paths.registry={tmp_path}/registry", *paths)
    store = Store(finished_run.folder / "store")
    (tmp_path / "run").mkdir()

    def here(prepared: Any, store: Store, *, only: Any = None) -> Any:
        return launch(prepared.plan, spec.launcher, store, prepared.places, lambda event: None, only=only)

    finished = run(spec, tmp_path / "run", here, store, Registry(tmp_path / "registry"))

    assert told(spec, finished, store, sweep=None) is None


def test_the_machine_is_cut_to_when_stages_ran(tmp_path: Path) -> None:
    events = [
        (10.0, "a", "started"),
        (12.0, "b", "started"),
        (14.0, "a", "done"),
        (20.0, "b", "done"),
        (21.0, "c", "started"),
    ]
    lines = [json.dumps({"at": at, "stage": stage, "event": kind}) for at, stage, kind in events]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    samples = [json.dumps({"at": at, "cpu_percent": at}) for at in (9.0, 11.0, 13.0, 19.0, 25.0)]
    (tmp_path / "machine.jsonl").write_text("\n".join(samples))

    machine = Machine.read(tmp_path)

    assert machine.during(["a"]) == [(1, {"cpu_percent": 11.0}), (3, {"cpu_percent": 13.0})]
    assert machine.during(["a", "b"])[-1] == (9, {"cpu_percent": 19.0})
    assert machine.during(["c"]) == []  # it did not end


def test_a_long_job_is_thinned_out(tmp_path: Path) -> None:
    spans = [{"at": 0.0, "stage": "a", "event": "started"}, {"at": 20_000.0, "stage": "a", "event": "done"}]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, spans)))
    samples = [json.dumps({"at": 2.0 * number, "cpu_percent": 1.0}) for number in range(10_000)]
    (tmp_path / "machine.jsonl").write_text("\n".join(samples))

    rows = Machine.read(tmp_path).during(["a"])

    assert 400 <= len(rows) <= 500
    assert rows[-1][0] > 19_900


def test_a_machine_that_nobody_looked_at_has_nothing_to_tell(tmp_path: Path) -> None:
    assert Machine.read(tmp_path).during(["a"]) == []
