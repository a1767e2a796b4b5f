"""A run that was stopped, however and whenever, ends with the very weights of one that never was."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from earthsnap_train.context import Context, Resources, Silence
from earthsnap_train.pipeline.stages import function

OFTEN = Resources(checkpoint_every_s=0.0)
LIVELY = (
    "training.ema_decay=0.9",
    "training.early_stopping_patience=2",
    "training.num_epochs=5",
    "training.lr=0.02",
)
OPTIONS = (
    "training.augmentation.mixup=0.4",
    "training.augmentation.cutmix=1.0",
    "training.label_smoothing=0.1",
    "training.label_smoothing_by=taxonomy",
    "training.rank_weight=0.5",
)
NODE = "train/child/rosaceae"  # 25 photographs in train: 4 steps an epoch, and epochs end within batches


class Stopped(Exception):
    pass


class StopAt(Silence):
    """Stops training in the ``count``-th step that it hears of, before a checkpoint of it can be written."""

    def __init__(self, count: int, stop: Callable[[], None] | None = None) -> None:
        self._left = count
        self._stop = stop

    def progress(self, done: int, total: int, unit: str) -> None:
        self._left -= 1
        if self._left == 0:
            if self._stop is not None:
                self._stop()
            raise Stopped


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def validations(folder: Path) -> list[dict[str, float]]:
    """What a curve holds that is not measured by the clock."""
    rows = json.loads((folder / "notes" / "curves.json").read_text())
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    return [{name: row[name] for name in ("step", "val_loss", "val_top1")} for row in rows if "val_loss" in row]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), LIVELY], ids=["plain", "averaged-and-stopping-early"])
@pytest.mark.parametrize(
    ("method", "stops"),
    [
        ("head", [1]),  # before the first checkpoint
        ("head", [4]),  # where validation was due
        ("head", [7, 2, 5]),  # again and again, within epochs
        ("full", [5]),  # just after a validation
        ("full", [6, 3]),
        ("head_then_full", [16]),  # at the head's last step
        ("head_then_full", [17]),  # at the network's first
        ("head_then_full", [19, 2]),
    ],
)
def test_a_stopped_training_ends_with_the_weights_of_one_that_was_not(
    tiny: Callable[..., Any], tmp_path: Path, method: str, stops: list[int], options: tuple[str, ...]
) -> None:
    family = tiny(f"training={method}", *options)
    whole = family.out(NODE)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for number, count in enumerate(stops):
        with pytest.raises(Stopped):
            family.run(NODE, tmp_path / f"stopped{number}", resources=OFTEN, events=StopAt(count), scratch=scratch)
    family.run(NODE, tmp_path / "resumed", resources=OFTEN, scratch=scratch)
    assert written(tmp_path / "resumed") == written(whole)
    assert validations(tmp_path / "resumed") == validations(whole)


@pytest.mark.slow
def test_a_stopped_training_mixes_on_as_one_that_was_not(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=full", *OPTIONS)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(Stopped):
        family.run(NODE, tmp_path / "stopped", resources=OFTEN, events=StopAt(6), scratch=scratch)
    torch.rand(3)  # someone else draws
    family.run(NODE, tmp_path / "resumed", resources=OFTEN, scratch=scratch)
    assert written(tmp_path / "resumed") == written(family.out(NODE))
    assert validations(tmp_path / "resumed") == validations(family.out(NODE))


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_one_that_was_not(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=full", *LIVELY)
    stage = family.plan.stage(NODE)
    task = {
        "settings": stage.settings,
        "inputs": {name: str(path) for name, path in family.inputs(stage).items()},
        "out": str(tmp_path / "killed"),
        "scratch": str(tmp_path / "scratch"),
    }
    for name in ("killed", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "task.json").write_text(json.dumps(task))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    killed = subprocess.run([sys.executable, __file__, str(tmp_path / "task.json")], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert torch.load(tmp_path / "scratch/network/last.ckpt", weights_only=False)["global_step"] == 6
    family.run(NODE, tmp_path / "resumed", resources=OFTEN, scratch=tmp_path / "scratch")
    assert written(tmp_path / "resumed") == written(family.out(NODE))
    assert validations(tmp_path / "resumed") == validations(family.out(NODE))


def test_a_checkpoint_that_a_crash_of_the_machine_spoilt_counts_as_none(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    family = tiny("training=head")
    (tmp_path / "scratch/head").mkdir(parents=True)
    (tmp_path / "scratch/head/last.ckpt").write_bytes(b"")
    (tmp_path / "scratch/curves.jsonl").write_text('{"step": 4, "val_lo')
    family.run(NODE, tmp_path / "resumed", scratch=tmp_path / "scratch")
    assert written(tmp_path / "resumed") == written(family.out(NODE))


def _be_killed(task: dict[str, Any]) -> None:
    stop = StopAt(7, lambda: os.kill(os.getpid(), signal.SIGKILL))
    context = Context(scratch=Path(task["scratch"]), resources=OFTEN, events=stop)
    inputs = {name: Path(path) for name, path in task["inputs"].items()}
    function("train")(task["settings"], inputs, Path(task["out"]), context)


if __name__ == "__main__":
    _be_killed(json.loads(Path(sys.argv[1]).read_text()))
