"""What a stage is given besides its settings and its inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Events(Protocol):
    """Where a stage says how far it is and what it measured. Never a part of its result."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """``done`` of ``total`` units; call it freely, the listener thins it out."""

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        """Figures at an optimisation step (or any other counter): loss, learning rate, images per second."""

    def note(self, text: str) -> None:
        """One line that a person should read."""


class Silence:
    """Events that nobody listens to; the fake of the port."""

    def progress(self, done: int, total: int, unit: str) -> None: ...

    def measure(self, step: int, values: Mapping[str, float]) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one stage may use here. ``workers``: processes it may start; ``threads``: of one numerical operation.

    ``devices_per_trial``: how many of ``devices`` one trial of a search uses; the others work on further trials.
    ``num_hosts``: machines, each with these devices, that run this very stage at once and teach one network together.
    ``save_now``: a file; while it is there a checkpoint is due at every step, for this process will soon be ended.
    """

    workers: int = 1
    threads: int = 1
    accelerator: str = "cpu"
    devices: tuple[int, ...] = ()
    devices_per_trial: int = 1
    num_hosts: int = 1
    checkpoint_every_s: float = 60.0
    save_now: Path | None = None

    @property
    def num_replicas(self) -> int:
        """Processes that teach one network together, on all machines."""
        return max(1, len(self.devices)) * self.num_hosts


@dataclass(frozen=True, kw_only=True)
class Context:
    """``scratch`` survives a kill and is named by the stage's key; ``previous`` is the last artifact of this stage.

    ``previous`` may make the work faster, never its result different.
    """

    scratch: Path
    previous: Path | None = None
    resources: Resources = field(default_factory=Resources)
    events: Events = field(default_factory=Silence)
