"""An execution of a run's pipeline: as the bucket knows it, for whoever comes after, and as it is followed."""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from launchers.sagemaker.room import Share
from launchers.sagemaker.steps import Job, Pipeline


class Record(BaseModel):
    """Which execution of a pipeline is a run's now. ``attempt``: how many there were, this one included.

    ``machines``: that it may use at once, of types that are limited.
    """

    model_config = ConfigDict(frozen=True)

    attempt: int
    execution: str
    jobs: tuple[str, ...]
    machines: dict[str, int]


@dataclass
class Running:
    """An execution that is followed. ``begun``: jobs that were told of."""

    pipeline: Pipeline
    execution: str
    jobs: tuple[Job, ...]
    share: Share
    begun: set[str] = field(default_factory=set)
    machines: set[str] = field(default_factory=set)  # its jobs, as the service names them
    num_notes: int = 0  # that were passed on
