"""What a search tells: a small artifact of a stage tune/<node>, written by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.pipeline.told_trials import tuned

TRIALS = [
    {"number": 1, "params": {"lr": 0.01, "augmentation.flip": True}, "value": 0.75, "state": "complete", "epochs": 2,
     "seconds": 4.0, "curve": [0.5, 0.75]},
    {"number": 0, "params": {"lr": 0.1, "augmentation.flip": False}, "value": 0.5, "state": "pruned", "epochs": 1,
     "seconds": 2.5, "curve": [0.5]},
    {"number": 2, "params": {"lr": 1.0}, "value": None, "state": "failed", "epochs": 0, "seconds": 0.5, "curve": []},
]  # fmt: skip


def artifact(tmp_path: Path, trials: list[dict[str, Any]]) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "trials.json").write_text(json.dumps(trials))
    return tmp_path


def test_trials_are_drawn_by_their_numbers_and_listed_with_their_settings(tmp_path: Path) -> None:
    run = tuned("tune/child/rosaceae", artifact(tmp_path, TRIALS), seconds=7.0, machine=(), uses=["plants-dataset:1"])

    assert (run.name, run.job_type, run.uses) == ("tune/child/rosaceae", "tune-child", ["plants-dataset:1"])
    assert run.rows[0] == (0, {"trial/value": 0.5, "trial/epochs": 1.0, "trial/seconds": 2.5, "param/lr": 0.1})
    assert run.rows[2] == (2, {"trial/epochs": 0.0, "trial/seconds": 0.5, "param/lr": 1.0})
    assert run.summary == {"num_trials": 3, "num_pruned": 1, "seconds": 7.0, "least_value": 0.5, "greatest_value": 0.75}
    trials, curves = run.tables
    assert trials.columns == ("number", "state", "value", "epochs", "seconds", "augmentation.flip", "lr")
    assert trials.rows[0] == (1, "complete", 0.75, 2, 4.0, "True", 0.01)
    assert trials.rows[2] == (2, "failed", None, 0, 0.5, None, 1.0)
    assert curves.rows == [(1, 1, "value", 0.5), (1, 2, "value", 0.75), (0, 1, "value", 0.5)]


@pytest.mark.parametrize(
    ("curve", "rows"),
    [
        ([[3, 0.5]], [(1, 3, "value", 0.5)]),
        ([{"epoch": 2, "val_loss": 0.5, "val_top1": 1}], [(1, 2, "val_loss", 0.5), (1, 2, "val_top1", 1)]),
        (None, []),
    ],
)
def test_a_point_of_a_curve_may_say_its_epoch_and_what_it_measured(
    tmp_path: Path, curve: object, rows: list[object]
) -> None:
    run = tuned("tune/parent", artifact(tmp_path, [TRIALS[0] | {"curve": curve}]), seconds=1.0, machine=(), uses=())

    assert run.job_type == "tune-parent"
    assert run.tables[1].rows == rows
