"""Trials on several devices, here two processes of a CPU: one each, or both together on one trial."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from earthsnap_train.context import Resources, Silence
from earthsnap_train.errors import StageError

NODE = "tune/parent"
SEARCHED = (
    "tuning=quick", "tuning.num_trials=5", "tuning.subset=null", "tuning.pruning.min_epochs=1",
    "tuning.pruning.reduction_factor=2",
)  # fmt: skip
TWO = Resources(devices=(0, 1))
TOGETHER = Resources(devices=(0, 1), devices_per_trial=2)


@pytest.fixture(autouse=True)
def leaves_no_process() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [p for p in psutil.Process().children(recursive=True) if p not in before and not _of_python(p)]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []


def _of_python(process: psutil.Process) -> bool:
    """Its own resource tracker, which lives as long as the one that started it."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return True


def tried(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "notes" / "trials.json").read_text())
    return rows


@pytest.mark.slow
def test_trials_run_one_on_each_device_and_come_to_what_they_come_to_alone(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    # Drawn at random, a trial's values do not depend on which others have ended.
    family = tiny(
        "training=head", *SEARCHED, "training.num_epochs=8", "tuning.sampler=random", "tuning.pruning.kind=none"
    )
    family.run(NODE, tmp_path / "out", resources=TWO)
    assert [row | {"seconds": 0} for row in tried(tmp_path / "out")] == [
        row | {"seconds": 0} for row in tried(family.out(NODE))
    ]
    assert (tmp_path / "out/best.json").read_bytes() == (family.out(NODE) / "best.json").read_bytes()


@pytest.mark.slow
def test_a_process_that_dies_costs_its_trial_and_no_more(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=head", *SEARCHED, "training.num_epochs=40", "tuning.max_failures=1")

    def kill_one() -> None:
        while not list((tmp_path / "scratch").glob("trials/0000/*/curves.jsonl")):
            time.sleep(0.005)
        desks = [p for p in psutil.Process().children() if not _of_python(p)]
        os.kill(desks[0].pid, signal.SIGKILL)

    (tmp_path / "scratch").mkdir()
    killer = threading.Thread(target=kill_one)
    killer.start()
    family.run(NODE, tmp_path / "out", resources=TWO, scratch=tmp_path / "scratch")
    killer.join()
    failed = [row for row in tried(tmp_path / "out") if row["state"] == "failed"]
    assert [row["error"] for row in failed] == ["its process was ended from outside"]
    assert len(tried(tmp_path / "out")) == 5


@pytest.mark.slow
def test_a_search_that_fails_ends_the_trials_beside_it(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=head", *SEARCHED, "++tuning.space.lr.low=1.0e+38", "++tuning.space.lr.high=2.0e+38",
                  "tuning.max_failures=0")  # fmt: skip
    with pytest.raises(StageError, match="1 trial failed"):
        family.run(NODE, tmp_path / "out", resources=TWO)


@pytest.mark.slow
def test_devices_that_teach_a_trial_together_prune_it_too_and_leave_nothing_behind(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    family = tiny("training=full", *SEARCHED, "training.num_epochs=3", "tuning.num_trials=4", "tuning.sampler=random")
    ranks: set[int] = set()

    class Looking(Silence):
        def progress(self, done: int, total: int, unit: str) -> None:
            ranks.update(p.pid for p in psutil.Process().children(recursive=True) if not _of_python(p))

    family.run(NODE, tmp_path / "out", resources=TOGETHER, events=Looking())
    rows = tried(tmp_path / "out")
    alone = tried(family.out(NODE))
    assert [row["state"] for row in rows] == [row["state"] for row in alone]
    assert "pruned" in [row["state"] for row in rows]
    assert [row["value"] for row in rows] == pytest.approx([row["value"] for row in alone], rel=1e-2)
