"""Which trackers a declaration asks for; each is imported only where it is wanted."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from earthsnap_train.spec.tracking import Tracking
from earthsnap_train.tracking.port import TrackedFamily, Tracker


def trackers(spec: Tracking) -> list[Tracker]:
    """Raises EnvironmentProblem where one needs a package that is not here: best asked before a run begins."""
    chosen: list[Tracker] = []
    if spec.wandb is not None:
        from earthsnap_train.tracking.wandb import WandbTracker

        chosen.append(WandbTracker(spec.wandb))
    if spec.tensorboard is not None:
        from earthsnap_train.tracking.tensorboard import TensorBoardTracker

        chosen.append(TensorBoardTracker(spec.tensorboard))
    if spec.csv is not None:
        from earthsnap_train.tracking.csv import CsvTracker

        chosen.append(CsvTracker(spec.csv))
    return chosen


def tell_all(chosen: Sequence[Tracker], told: TrackedFamily, folder: Path) -> Iterator[str]:
    """A line of each. One that fails takes nothing from the others, nor from a run that has ended well."""
    for tracker in chosen:
        try:
            yield tracker.tell(told, folder)
        except Exception as error:  # whatever a tracker's own library may raise
            yield f"not told: {type(tracker).__name__}: {type(error).__name__}: {error}"
