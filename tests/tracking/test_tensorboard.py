"""What TensorBoard is told. Its event files are read back with its own reader."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from earthsnap_train.spec.tracking import TensorBoard
from earthsnap_train.tracking.port import TrackedFamily
from earthsnap_train.tracking.tensorboard import TensorBoardTracker
from tests.conftest import Said


def read(told: TrackedFamily, folder: Path, job: str, num_pictures: int = 18) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    line = TensorBoardTracker(TensorBoard(num_pictures=num_pictures)).tell(told, folder)
    assert line == f"TensorBoard  tensorboard --logdir {folder / 'tensorboard'}"
    events = EventAccumulator(str(folder / "tensorboard" / job), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


def test_curves_have_their_steps_and_results_stand_beside_them(told: TrackedFamily, folder: Path) -> None:
    events = read(told, folder, "train/child/rosaceae")

    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(5, 1.5), (10, 1.0)]
    assert [(one.step, one.value) for one in events.Scalars("val_loss")] == [(5, 1.25)]
    assert [(one.step, one.value) for one in events.Scalars("machine/cpu_percent")] == [(1, 50.0), (3, 75.0)]
    assert events.Scalars("result/test_top1")[0].value == 0.75


def test_tables_are_text_and_mistakes_are_pictures_with_captions(told: TrackedFamily, folder: Path) -> None:
    events = read(told, folder, "evaluate")

    words = events.Tensors("species")[0].tensor_proto.string_val[0].decode()
    assert words.splitlines()[0] == "| species_id | recall | most_confused_with |"
    assert words.splitlines()[2] == "| rosa-canina | 0.5 | rosa rugosa; or none |"
    first = events.Images("mistakes/01")[0]
    assert Image.open(io.BytesIO(first.encoded_image_string)).size == (first.width, first.height) == (24, 16)
    assert events.SummaryMetadata("mistakes/01").summary_description == "Rosa canina, named Rosa rugosa with 97.0%"
    assert '"lr": 0.5' in events.Tensors("declaration")[0].tensor_proto.string_val[0].decode()


def test_pictures_are_no_more_than_was_asked_for(told: TrackedFamily, folder: Path) -> None:
    assert read(told, folder, "evaluate", num_pictures=1).Tags()["images"] == ["mistakes/01"]


def test_without_the_package_it_is_told_before_a_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earthsnap: Callable[..., Said]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it could not be found

    said = earthsnap("+experiment=plants", "tracking=[csv,tensorboard]")

    assert said.code == 3
    assert 'pip install "earthsnap_train[tensorboard]"' in said.err
    assert not (tmp_path / "outputs").exists()
