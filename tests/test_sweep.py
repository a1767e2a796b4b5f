"""Real sweeps of the demo made small: what jobs share, what they leave behind, and how they are stopped."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import DEMO, environment, program

PATIENCE_S = 600
pytestmark = pytest.mark.slow


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """In a session of its own, so that everything that it starts can be told from all else."""
    return subprocess.Popen(
        program("-m", *DEMO, *arguments), cwd=folder, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def jobs(folder: Path) -> list[dict[str, Any]]:
    records = list(folder.glob("outputs/plants/sweeps/*/sweep.json"))
    return json.loads(records[0].read_text())["jobs"] if records else []


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def workers(sweep: "subprocess.Popen[str]") -> set[psutil.Process]:
    """Processes that do a stage's work; the tracker of shared resources is Python's own and ends with the sweep."""
    found = set()
    for one in psutil.Process(sweep.pid).children(recursive=True):
        try:
            if "resource_tracker" not in " ".join(one.cmdline()) and one.status() != psutil.STATUS_ZOMBIE:
                found.add(one)
        except psutil.NoSuchProcess:
            continue
    return found


def of_session(leader: int) -> list[str]:
    left = []
    for one in psutil.process_iter():
        try:
            if os.getsid(one.pid) == leader and one.status() != psutil.STATUS_ZOMBIE:
                left.append(" ".join(one.cmdline()))
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return left


def test_two_jobs_share_what_does_not_differ_and_leave_no_process_behind(tmp_path: Path) -> None:
    sweep = start(tmp_path, "training.lr=0.001,0.003", "--json")
    of_the_first: set[psutil.Process] = set()
    while (states := [job["state"] for job in jobs(tmp_path)])[:1] != ["done"]:
        assert sweep.poll() is None
        if states[:1] == ["running"]:
            of_the_first |= workers(sweep)
        time.sleep(0.05)
    alive = {one for one in of_the_first if one.is_running() and one.status() != psutil.STATUS_ZOMBIE}
    out, err = sweep.communicate(timeout=PATIENCE_S)

    assert sweep.returncode == 0, err
    assert of_the_first
    assert alive == set(), "the first job's processes ended with it"
    until(lambda: of_session(sweep.pid) == [])  # Python's own tracker of resources ends a moment after
    first, second = [json.loads((tmp_path / job["folder"] / "summary.json").read_text()) for job in jobs(tmp_path)]
    shared = {name for name, stage in second["stages"].items() if stage["cached"]}
    assert {"draw", "ingest", "trunk"} <= shared
    assert {name for name in second["stages"] if name.startswith(("records/", "embed/"))} <= shared
    assert not first["stages"]["ingest"]["cached"]
    assert "training.lr 0.001 -> 0.003" in " ".join(stage["reason"] for stage in second["stages"].values())
    assert [job["release"] for job in jobs(tmp_path)] == ["plants-debug-1", "plants-debug-2"]
    printed, _ = json.JSONDecoder().raw_decode(out)
    assert printed["folder"] == jobs(tmp_path)[0]["folder"]
    assert "family.top1" in err, "the table is for people, and stdout for programs"


def test_an_interrupt_leaves_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    sweep = start(tmp_path, "training.lr=0.001,0.003")
    until(lambda: [job["state"] for job in jobs(tmp_path)] == ["running", "waiting"])
    until(lambda: bool(workers(sweep)))

    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate(timeout=PATIENCE_S)

    assert sweep.returncode == 130, err
    assert "stopped; to go on: earthsnap -m hydra.sweeper.resume=outputs/plants/sweeps/" in out
    assert "the same command" not in out + err
    assert [job["state"] for job in jobs(tmp_path)] == ["interrupted", "waiting"]
    until(lambda: of_session(sweep.pid) == [])
