"""The port to the service that runs pipelines. ``AwsService`` is SageMaker, ``OfflineService`` this machine."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from earthsnap_train.errors import EnvironmentProblem

RUNNING = ("Executing", "Stopping")


class NotNow(EnvironmentProblem):
    """A limit is reached, or somebody else is changing the same: the same request is right later."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Of an execution. ``status``: Starting, Executing, Stopping, Stopped, Failed, Succeeded. ``job``: what its log is
    asked by, once it has one."""

    name: str
    status: str
    reason: str
    job: str | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Of one execution. ``status``: Executing, Stopping, Stopped, Failed, Succeeded. ``notes``: what happened to its jobs."""

    status: str
    reason: str
    steps: Mapping[str, Step]
    notes: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING


class Service(Protocol):
    """``look_every_s``: how often it is asked. ``at_once``: pipelines that it runs side by side; None: as many as there
    are. ``outlives``: whether what runs goes on when whoever started it has ended."""

    look_every_s: float
    at_once: int | None
    outlives: bool

    def definition(self, pipeline: str) -> str | None:
        """None where there is no such pipeline."""

    def put(self, pipeline: str, definition: str, *, role: str) -> None:
        """Makes the pipeline, or changes it. ``role``: as whom it acts. Raises NotNow."""

    def start(
        self, pipeline: str, parameters: Mapping[str, str], *,
        token: str, steps: Sequence[str] | None = None, at_once: int | None = None,
    ) -> str:  # fmt: skip
        """Returns the execution; with an equal token the one that was started before. Raises NotNow.

        ``steps``: these alone; None: all. ``at_once``: so many of them side by side; None: as many as can.
        """

    def definition_of(self, execution: str) -> str: ...

    def progress(self, execution: str) -> Progress: ...

    def stop(self, execution: str) -> None: ...

    def log(self, job: str, num_lines: int) -> Sequence[str]:
        """The last lines; none where there is no log."""

    def busy(self, *, without: Collection[str]) -> Mapping[str, int]:
        """Instance type -> how many are at work, those of the jobs ``without`` not counted."""

    def link(self, execution: str) -> str:
        """Where a person looks at it."""
