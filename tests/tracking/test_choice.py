"""Who is told, and what is imported for it."""

import subprocess
import sys
from pathlib import Path

from earthsnap_train.spec.tracking import Csv, TensorBoard, Tracking, Wandb
from earthsnap_train.tracking.choice import tell_all, trackers
from earthsnap_train.tracking.csv import CsvTracker
from earthsnap_train.tracking.port import TrackedFamily
from tests.conftest import environment
from tests.tracking.test_wandb import SPEC


def test_everybody_who_is_chosen_is_told() -> None:
    everybody = Tracking(
        wandb=Wandb.model_validate(SPEC), tensorboard=TensorBoard(num_pictures=1), csv=Csv(separator="tab")
    )

    assert [type(one).__name__ for one in trackers(everybody)] == ["WandbTracker", "TensorBoardTracker", "CsvTracker"]
    assert trackers(Tracking()) == []


class Failing:
    def tell(self, told: TrackedFamily, folder: Path) -> str:
        raise OSError("the disk is full")


def test_one_that_fails_takes_nothing_from_the_others(told: TrackedFamily, folder: Path) -> None:
    lines = list(tell_all([Failing(), CsvTracker(Csv(separator="comma"))], told, folder))

    assert lines == ["not told: Failing: OSError: the disk is full", f"CSV      {folder / 'csv'}"]
    assert (folder / "csv" / "runs.csv").is_file()


def test_nothing_heavy_is_imported_by_a_choice() -> None:
    code = (
        "import sys; from earthsnap_train.tracking.choice import trackers\n"
        "from earthsnap_train.spec.tracking import Tracking\n"
        "trackers(Tracking.model_validate({'csv': {'separator': 'comma'}, 'tensorboard': {'num_pictures': 0},\n"
        f"                                  'wandb': {SPEC!r}}}))\n"
        "heavy = {'wandb', 'wandb_workspaces', 'tensorboard', 'torch', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], env=dict(environment()), check=True)
