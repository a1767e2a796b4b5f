"""A catalogue that a test can read and write, and cut off."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from earthsnap_train.release.catalogue import Decision, State
from earthsnap_train.release.registry import Release


class Killed(BaseException):
    pass


class Page:
    """A catalogue that is a dict. ``is_cut``: it takes no decision any more. ``asked``: of which families it told."""

    def __init__(self) -> None:
        self.entries: dict[int, Decision] = {}
        self.told: list[tuple[int, State, str]] = []
        self.erased: list[str] = []
        self.asked: list[str] = []
        self.is_cut = False

    def publish(
        self, family: str, digest: str, folder: Path, *, reasons: Sequence[str], summary: Mapping[str, float],
        lineage: Mapping[str, str], describe: Callable[[int], bytes],
    ) -> int:  # fmt: skip
        number = len(self.entries) + 1
        state: State = "Rejected" if reasons else "PendingApproval"
        self.entries[number] = Decision(state=state, who="a role", why="; ".join(reasons))
        return number

    def bring(self, release: Release) -> None: ...

    def attach(self, release: Release, name: str, data: bytes) -> None: ...

    def erase(self, release: Release) -> None:
        self.erased.append(release.name)

    def states(self, family: str) -> Mapping[int, State]:
        self.asked.append(family)
        return {number: entry.state for number, entry in self.entries.items()}

    def decision(self, release: Release) -> Decision:
        return self.entries[release.number]

    def decide(self, release: Release, state: State, why: str) -> None:
        if self.is_cut:
            raise Killed
        self.told.append((release.number, state, why))
        self.entries[release.number] = Decision(state=state, who="a role", why=why)
