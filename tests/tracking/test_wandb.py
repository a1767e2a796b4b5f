"""What W&B is told of a run. Its own file is read back, as its service would read it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from earthsnap_train.spec.tracking import Wandb
from earthsnap_train.tracking.links import Link, Links
from earthsnap_train.tracking.port import TrackedFamily, TrackedRun
from earthsnap_train.tracking.wandb import WandbTracker
from tests.tracking.conftest import CONFIG
from tests.tracking.wandb_offline import Told, read_all

GROUP = "plants/2026-11-22_10-00-00"
SPEC = {"mode": "auto", "project": "earthsnap", "entity": None, "release_files": "description", "registry": None}
KEY = "0123456789abcdef" * 2 + "01234567"


def tell(told: TrackedFamily, folder: Path, **changes: Any) -> str:
    return WandbTracker(Wandb.model_validate(SPEC | changes)).tell(told, folder)


def written(told: TrackedFamily, folder: Path, **changes: Any) -> dict[str, Told]:
    tell(told, folder, **changes)
    return {one.job_type: one for one in read_all(folder)}


def test_curves_results_and_the_declaration_are_there(told: TrackedFamily, folder: Path) -> None:
    runs = written(told, folder)

    taught = runs["train-child"]
    assert (taught.group, taught.project, taught.tags) == (GROUP, "earthsnap", ["plants"])
    assert taught.name == f"{GROUP} train/child/rosaceae"
    assert {name: taught.config[name] for name in CONFIG} == CONFIG
    assert taught.rows() == [
        {"_step": 5, "loss": 1.5, "lr": 0.1, "val_loss": 1.25},
        {"_step": 10, "loss": 1.0},
    ]
    assert taught.summary["test_top1"] == 0.75
    assert (runs["evaluate"].group, runs["evaluate"].summary["top1"]) == (GROUP, 0.5)
    assert set(runs) == {"prepare", "train-child", "evaluate"}


def test_the_machine_is_drawn_over_its_own_seconds(told: TrackedFamily, folder: Path) -> None:
    taught = written(told, folder)["train-child"]

    rows = [{k: v for k, v in row.items() if k.startswith("machine/")} for row in taught.history]
    assert [row for row in rows if row] == [
        {"machine/seconds": 1, "machine/cpu_percent": 50},
        {"machine/seconds": 3, "machine/cpu_percent": 75, "machine/gpu0_percent": 9},
    ]
    assert taught.axes["machine/*"] == "machine/seconds"


def test_tables_pictures_and_the_confusion_are_there(told: TrackedFamily, folder: Path) -> None:
    judged = written(told, folder)["evaluate"]

    assert judged.table("species") == [
        {"species_id": "rosa-canina", "recall": 0.5, "most_confused_with": "rosa rugosa; or none"},
        {"species_id": "rosa-rugosa", "recall": None, "most_confused_with": None},
    ]
    assert judged.captions("mistakes") == [
        "Rosa canina, named Rosa rugosa with 97.0%",
        "Rosa rugosa, not named with 51.0%",
    ]
    first, second = map(Image.open, judged.pictures("mistakes"))
    assert first.size == second.size == (24, 16)
    assert first.getpixel((5, 5))[0] > 150 > 50 > first.getpixel((5, 5))[2]
    cells = {(row["Actual"], row["Predicted"]): row["nPredictions"] for row in judged.table("confusion_matrix_table")}
    assert cells == {("a", "a"): 1, ("a", "b"): 2, ("b", "a"): 0, ("b", "b"): 1}


def test_the_dataset_and_the_release_are_artifacts_with_names_for_good(told: TrackedFamily, folder: Path) -> None:
    runs = written(told, folder)

    dataset = next(one for one in runs["prepare"].artifacts if one.kind == "dataset")
    assert (dataset.name, "d4ed00e3c324" in dataset.aliases) == ("plants-dataset", True)
    assert (dataset.metadata, dataset.files) == ({"num_images": 9}, {"manifest.json": b'{"num_images": 9}'})
    release = next(one for one in runs["evaluate"].artifacts if one.kind == "model")
    assert (release.name, "plants-1" in release.aliases) == ("plants-release", True)
    assert set(release.files) == {"release.json"}


def test_networks_are_in_the_release_only_where_that_is_wanted(told: TrackedFamily, folder: Path) -> None:
    release = next(
        one for one in written(told, folder, release_files="all")["evaluate"].artifacts if one.kind == "model"
    )

    assert release.files["nodes/parent.onnx"] == b"network"


def test_what_used_what_waits_until_it_can_be_said(told: TrackedFamily, folder: Path) -> None:
    runs = written(told, folder, registry="wandb-registry-model/plants", entity="team")

    links = Links.read(folder)
    assert links is not None
    assert (links.project, links.entity, links.group) == ("earthsnap", "team", GROUP)
    assert set(links.waiting) == {
        Link(kind="use", asset="plants-dataset:d4ed00e3c324", run_id=runs["train-child"].id),
        Link(kind="use", asset="plants-dataset:d4ed00e3c324", run_id=runs["evaluate"].id),
        Link(
            kind="register",
            asset="plants-release:plants-1",
            run_id=runs["evaluate"].id,
            target="wandb-registry-model/plants",
        ),
    }


def test_a_copied_run_folder_has_everything(told: TrackedFamily, folder: Path, tmp_path: Path) -> None:
    tell(told, folder)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere, symlinks=True)
    shutil.rmtree(folder)

    artifacts = [artifact for run in read_all(elsewhere) for artifact in run.artifacts]

    assert len(artifacts) >= 4  # two of ours, and W&B's own for each table
    assert not [path for artifact in artifacts for path in artifact.paths if Path(path).is_absolute()]


def test_a_sweeps_runs_stand_together(told: TrackedFamily, folder: Path) -> None:
    runs = written(replace(told, sweep="2026-11-21_09-00-00"), folder)

    assert {run.group for run in runs.values()} == {f"2026-11-21_09-00-00/{GROUP}"}
    assert runs["evaluate"].tags == ["plants", "2026-11-21_09-00-00"]


def test_a_big_run_is_read_back_whole(folder: Path) -> None:
    rows = [(step, {"loss": 1 / step, f"a name that is long enough for {step}": 1.0}) for step in range(1, 2000)]
    told = TrackedFamily(
        family="plants", run="r", sweep=None, config={}, runs=[TrackedRun(name="n", job_type="train-parent", rows=rows)]
    )

    read = written(told, folder)["train-parent"]

    assert [row["loss"] for row in read.rows()] == [values["loss"] for _, values in rows]


# ---- where it goes


def test_without_a_key_it_stays_here_and_says_how_to_upload(told: TrackedFamily, folder: Path) -> None:
    assert tell(told, folder) == f"W&B      offline, for there is no key; to upload: earthsnap sync run={folder}"


def test_offline_by_choice_needs_no_reason(told: TrackedFamily, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    assert tell(told, folder, mode="offline") == f"W&B      offline; to upload: earthsnap sync run={folder}"


def test_wandbs_own_variable_keeps_a_run_offline(
    told: TrackedFamily, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")

    assert tell(told, folder) == f"W&B      offline; to upload: earthsnap sync run={folder}"


@pytest.mark.parametrize("answers", [False, True], ids=["nobody-there", "somebody-who-never-answers"])
def test_a_service_that_cannot_be_used_is_not_waited_for(
    told: TrackedFamily, folder: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    tell(told, folder, mode="offline")  # what writing takes is no waiting
    shutil.rmtree(folder / "wandb")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen(50)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        tracker = WandbTracker(Wandb.model_validate(SPEC))
        began = time.monotonic()
        tracker._write(told, folder)
        wrote = time.monotonic() - began
        shutil.rmtree(folder / "wandb")
        began = time.monotonic()
        line = tracker.tell(told, folder)
        took = time.monotonic() - began
    assert line.startswith("W&B      offline, for http://127.0.0.1:")
    assert "does not answer; to upload: earthsnap sync" in line
    assert len(read_all(folder)) == len(told.runs)
    assert took < wrote + 5


def test_the_key_is_in_no_file(told: TrackedFamily, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    tell(told, folder, mode="offline")

    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_without_a_key_nobody_is_asked(tmp_path: Path) -> None:
    """In a terminal of its own, where W&B would prompt."""
    import pty

    code = (
        "from pathlib import Path\n"
        "from earthsnap_train.spec.tracking import Wandb\n"
        "from earthsnap_train.tracking.port import TrackedFamily, TrackedRun\n"
        "from earthsnap_train.tracking.wandb import WandbTracker\n"
        f"spec = Wandb.model_validate({SPEC!r})\n"
        "run = TrackedRun(name='n', job_type='j')\n"
        "told = TrackedFamily(family='f', run='r', sweep=None, config={}, runs=[run])\n"
        f"print(WandbTracker(spec).tell(told, Path({str(tmp_path)!r})))"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, check=True
    )
    os.close(theirs)
    os.close(ours)
    assert b"offline, for there is no key" in done.stdout
