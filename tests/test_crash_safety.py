"""A run that is killed at any moment leaves nothing half, and the same command comes to the same release."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from earthsnap_train.pipeline.store import Store
from tests.conftest import SMALL, draw_folder, environment, program

POINTS = ("written", "hashed", "described", "published", "cleaned")
NUM_KILLS = int(os.environ.get("EARTHSNAP_KILLS", "5"))
LATEST_KILL_S = 16.0

PUBLISH = """
import os, signal, sys
from pathlib import Path
from earthsnap_train.pipeline.store import Store

root, last = Path(sys.argv[1]), sys.argv[2]
store = Store(root, passing=lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == last else None)
store.scratch("k")
with store.lock("k"), store.building("k") as folder:
    (folder / "part").mkdir()
    (folder / "part" / "a.bin").write_bytes(b"a" * 100_000)
    (folder / "b.json").write_text("{}")
    store.publish(folder, key="k", kind="draw", stage="draw", made_of={}, seconds=1.0, num_images=0)
"""


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_of_the_commit_leaves_nothing_or_the_whole(point: str, tmp_path: Path) -> None:
    def publish(last: str) -> int:
        return subprocess.run([sys.executable, "-c", PUBLISH, str(tmp_path), last], env=environment()).returncode

    assert publish(point) == -signal.SIGKILL
    store = Store(tmp_path)
    found = store.find("k")
    assert (found is not None) == (point in ("published", "cleaned"))
    if found is None:
        assert publish("never") == 0
    store.verify("k")
    assert not list((tmp_path / "building").iterdir())
    artifact = store.find("k")
    assert artifact is not None
    assert sorted(artifact.files) == ["b.json", "part/a.bin"]


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_release(tmp_path: Path) -> None:
    species = {f"{family}/{family.lower()}-{name}": 12 for family in ("Rosa", "Quercus") for name in ("alba", "rubra")}
    photographs = draw_folder(tmp_path / "photographs", species=species)
    overrides = [*SMALL, f"dataset.source.root={photographs}", "launcher.checkpoint_every_s=0"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
    delays = random.Random(0)
    for _ in range(NUM_KILLS):
        process = subprocess.Popen(
            program(*overrides), cwd=killed, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=delays.uniform(0.5, LATEST_KILL_S))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _require_whole(killed / "store")
    assert _release(killed, overrides) == _release(whole, overrides)
    _require_whole(killed / "store")


def _require_whole(root: Path) -> None:
    """Whatever lies under artifacts/ is what its artifact.json says, to the last bit."""
    store = Store(root)
    folder = root / "artifacts"
    for key in [path.name for path in folder.iterdir()] if folder.is_dir() else []:
        assert (folder / key / "artifact.json").is_file(), key
        store.verify(key)
    assert not (root / "broken").exists()


def _release(folder: Path, overrides: list[str]) -> str:
    done = subprocess.run(
        program(*overrides, "--json"), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    digest: str = json.loads(done.stdout)["release"]["digest"]
    return digest
