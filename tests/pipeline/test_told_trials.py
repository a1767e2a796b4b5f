"""What a search tells: a small artifact of a stage tune/<node>, written by hand and by the stage itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from earthsnap_train.pipeline.told_trials import tuned
from tests.training.test_search import CHILD, SEARCHED

TRIALS = [
    {"number": 1, "params": {"lr": 0.01, "augmentation.flip": True}, "value": 0.75, "state": "complete", "epochs": 3,
     "seconds": 4.0, "error": "", "curve": [
        {"member": "rosaceae", "epoch": 1, "val_loss": 1.5, "val_top1": 0.25},
        {"member": "rosaceae", "epoch": 2, "val_loss": 0.5, "val_top1": 0.75},
        {"member": "fagaceae", "epoch": 1, "val_loss": 1.0, "val_top1": 0.5}]},
    {"number": 0, "params": {"lr": 0.1, "augmentation.flip": False}, "value": 0.25, "state": "pruned", "epochs": 1,
     "seconds": 2.5, "error": "", "curve": [{"member": "rosaceae", "epoch": 1, "val_loss": 0.25, "val_top1": 0.5}]},
    {"number": 2, "params": {"lr": 1.0}, "value": None, "state": "failed", "epochs": 0, "seconds": 0.5, "curve": [],
     "error": "val_loss is nan after epoch 1"},
    {"number": 3, "params": {"lr": 0.02}, "value": 0.5, "state": "complete", "epochs": 0, "seconds": 1.0, "curve": [],
     "error": ""},
]  # fmt: skip


def artifact(tmp_path: Path, trials: list[dict[str, Any]]) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "trials.json").write_text(json.dumps(trials))
    return tmp_path


def test_trials_are_drawn_by_their_numbers_and_listed_with_their_settings(tmp_path: Path) -> None:
    run = tuned("tune/child/rosaceae", artifact(tmp_path, TRIALS), seconds=7.0, machine=(), uses=["plants-dataset:1"])

    assert (run.name, run.job_type, run.uses) == ("tune/child/rosaceae", "tune-child", ["plants-dataset:1"])
    assert run.rows[0] == (0, {"trial/value": 0.25, "trial/epochs": 1.0, "trial/seconds": 2.5, "param/lr": 0.1})
    assert run.rows[2] == (2, {"trial/epochs": 0.0, "trial/seconds": 0.5, "param/lr": 1.0})
    trials, _ = run.tables
    assert trials.columns == ("number", "state", "value", "epochs", "seconds", "augmentation.flip", "lr")
    assert trials.rows[0] == (1, "complete", 0.75, 3, 4.0, "True", 0.01)
    assert trials.rows[2] == (2, "failed", None, 0, 0.5, None, 1.0)


def test_a_value_of_a_trial_that_was_ended_early_is_no_bound(tmp_path: Path) -> None:
    run = tuned("tune/child", artifact(tmp_path, TRIALS), seconds=7.0, machine=(), uses=())

    assert run.summary == {"num_trials": 4, "num_pruned": 1, "seconds": 7.0, "least_value": 0.5, "greatest_value": 0.75}


def test_a_search_of_which_no_trial_came_to_its_end_has_no_bounds(tmp_path: Path) -> None:
    run = tuned("tune/child", artifact(tmp_path, TRIALS[1:3]), seconds=7.0, machine=(), uses=())

    assert run.summary == {"num_trials": 2, "num_pruned": 1, "seconds": 7.0}


def test_a_curve_says_whose_it_is_and_both_figures_of_each_epoch(tmp_path: Path) -> None:
    _, curves = tuned("tune/child", artifact(tmp_path, TRIALS[:2]), seconds=7.0, machine=(), uses=()).tables

    assert curves.columns == ("number", "member", "epoch", "val_loss", "val_top1")
    assert curves.rows == [
        (1, "rosaceae", 1, 1.5, 0.25),
        (1, "rosaceae", 2, 0.5, 0.75),
        (1, "fagaceae", 1, 1.0, 0.5),
        (0, "rosaceae", 1, 0.25, 0.5),
    ]


def test_what_a_search_writes_is_what_is_told(tiny: Callable[..., Any]) -> None:
    written = tiny(*SEARCHED).out(CHILD)
    trials = json.loads((written / "notes" / "trials.json").read_bytes())

    table, curves = tuned("tune/child", written, seconds=1.0, machine=(), uses=()).tables

    assert [row[0] for row in table.rows] == list(range(6))
    assert {row[1] for row in table.rows} <= {"complete", "pruned", "failed"}
    assert [dict(zip(curves.columns[1:], row[1:], strict=True)) for row in curves.rows] == [
        point for trial in trials for point in trial["curve"]
    ]
