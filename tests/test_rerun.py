"""Running again: nothing where nothing changed, what the plan said where something did, and two at once beside each other."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DEMO, FinishedRun, Said

Command = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, finished_run: FinishedRun) -> Path:
    """The finished run's own folder, to change at will."""
    shutil.copytree(finished_run.folder, tmp_path / "copy")
    return tmp_path / "copy"


def summaries(folder: Path) -> list[Any]:
    """Of every run, oldest first."""
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("outputs/plants-debug/2*/summary.json"))]


def test_nothing_is_done_twice(folder: Path, earthsnap_process: Command) -> None:
    said = earthsnap_process(*DEMO, cwd=folder)

    assert said.code == 0, said.err
    first, second = summaries(folder)
    assert all(stage["cached"] for stage in second["stages"].values())
    assert second["family"] == first["family"]
    assert second["release"] == first["release"] | {"new": False}
    assert second["lineage"] == first["lineage"]
    assert "plants-debug-1 waits for approval, as it was already" in said.out


@pytest.mark.slow
def test_a_sweep_does_what_was_planned_in_a_folder_for_each_job_and_one_store(
    folder: Path, earthsnap_process: Command
) -> None:
    rates = ("0.01", "0.02")
    planned = [earthsnap_process("plan", *DEMO, f"nodes.child.lr={rate}", "--json", cwd=folder).json for rate in rates]

    said = earthsnap_process(*DEMO, "-m", f"nodes.child.lr={','.join(rates)}", cwd=folder)

    assert said.code == 0, said.err
    first, *swept = summaries(folder)
    assert [one["release"]["name"] for one in (first, *swept)] == ["plants-debug-1", "plants-debug-2", "plants-debug-3"]
    for plan, summary in zip(planned, swept, strict=True):
        states = {name: state["status"] for name, state in plan["stages"].items()}
        ran = {name for name, stage in summary["stages"].items() if not stage["cached"]}
        assert states.keys() == summary["stages"].keys()
        assert not ran & {name for name, status in states.items() if status == "cached"}
        assert {name for name, status in states.items() if status == "will run"} <= ran
        assert summary["stages"]["train/parent"]["cached"]
        assert all(summary["stages"][n]["reason"].startswith("training.lr 0.0") for n in ran if n.startswith("train/"))
        assert summary["lineage"]["dataset"] == first["lineage"]["dataset"]


@pytest.mark.slow
def test_what_was_searched_and_what_was_taught_once_more_are_told(folder: Path, earthsnap_process: Command) -> None:
    changes = ("training.fit_on=train_val", "tuning=quick", "tracking=csv")
    said = earthsnap_process(*(one for one in DEMO if not one.startswith("tracking=")), *changes, cwd=folder)

    assert said.code == 0, said.err
    run = sorted(folder.glob("outputs/plants-debug/2*"))[-1]
    with (run / "csv/runs.csv").open() as file:
        jobs = {row["job"] for row in csv.DictReader(file)}
    stages = summaries(folder)[-1]["stages"]
    assert {"tune/parent", "tune/child", "evaluate"} < jobs
    assert any(name.startswith("refit/") for name in stages)
    assert not any(name.startswith("refit/") for name in jobs)
    assert {name for name in jobs if name.startswith("train/")} == {
        name for name, stage in stages.items() if name.startswith("train/") and not stage["cached"]
    }
    assert "How the settings were found" in (run / "report.html").read_text()
