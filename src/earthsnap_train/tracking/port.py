"""The Tracker port, and what a family run has to tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Cell = str | float | int | None
Rows = Sequence[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Units stand in the names of columns; shares are between 0 and 1."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A photograph made small, as the bytes of an image file."""

    image: bytes
    caption: str


@dataclass(frozen=True, kw_only=True)
class Gallery:
    name: str
    pictures: Sequence[Picture]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """What was taken for what. ``pairs``: (true name, predicted name) of each photograph."""

    title: str
    names: Sequence[str]
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Asset:
    """Something immutable that runs use and make. ``version`` names it for good.

    ``files``: name inside -> where it lies. ``networks``: the same of what is large, and not for everybody's account.
    """

    name: str
    kind: str
    version: str
    facts: Mapping[str, Cell]
    files: Mapping[str, Path]
    networks: Mapping[str, Path] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """One job of a family run. ``job_type``: prepare, tune-child, train-parent, ..., evaluate.

    ``rows``: (step, what was measured there). ``machine``: (seconds since the job began, how busy the machine was).
    ``uses``: references of assets that other jobs made; ``makes``: assets of its own.
    """

    name: str
    job_type: str
    rows: Rows = ()
    machine: Rows = ()
    summary: Mapping[str, float] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    galleries: Sequence[Gallery] = ()
    confusion: Confusion | None = None
    uses: Sequence[str] = ()
    makes: Sequence[Asset] = ()


@dataclass(frozen=True, kw_only=True)
class TrackedFamily:
    """``run``: the name of the run's folder. ``sweep``: the name of the sweep's, where the run is one of a sweep's."""

    family: str
    run: str
    sweep: str | None
    config: Mapping[str, object]
    runs: Sequence[TrackedRun]

    @property
    def group(self) -> str:
        return "/".join(name for name in (self.sweep, self.family, self.run) if name)


class Tracker(Protocol):
    """Somewhere to which a family run is told."""

    def tell(self, told: TrackedFamily, folder: Path) -> str:
        """Returns one line for the person who started the run. ``folder``: the run's own."""
