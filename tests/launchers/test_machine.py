"""How busy the machine is, written down while a run goes on."""

import json
import os
import time
from pathlib import Path

import pytest

from launchers.machine import Sampler, gpus, read_gpus


def test_processor_and_memory_are_sampled_while_it_is_open(tmp_path: Path) -> None:
    before = time.time()
    with Sampler(tmp_path, every_s=0.05):
        time.sleep(0.5)
    rows = [json.loads(line) for line in (tmp_path / "machine.jsonl").read_text().splitlines()]

    assert len(rows) >= 3
    assert all(before <= row["at"] <= time.time() for row in rows)
    assert all(0 <= row["cpu_percent"] <= 100 and row["memory_gb"] > 0.01 for row in rows)
    time.sleep(0.2)
    assert len((tmp_path / "machine.jsonl").read_text().splitlines()) == len(rows)


def test_gpus_are_read_by_number_and_what_a_driver_does_not_know_is_left_out() -> None:
    assert read_gpus("0, 37, 1024\n1, [N/A], 2048\n") == {
        "gpu0_percent": 37.0,
        "gpu0_memory_gb": pytest.approx(1.073741824),
        "gpu1_memory_gb": pytest.approx(2.147483648),
    }


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found; exit 0", "sleep 30"])
def test_a_driver_that_fails_costs_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("launchers.machine.GPU_TIMEOUT_S", 0.5)

    assert gpus() == {}
