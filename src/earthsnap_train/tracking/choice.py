"""Which trackers a declaration asks for; each is imported only where it is wanted."""

from earthsnap_train.spec.tracking import Tracking
from earthsnap_train.tracking.port import Tracker


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
