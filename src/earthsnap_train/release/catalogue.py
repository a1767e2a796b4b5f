"""The port to a catalogue: the place beside the ledger where an organisation lists its models, and approves them too.

A registry without one is a folder of this machine. With one, releases' files lie there and are brought here when they are
needed, and what people decide there counts as much as what they decide here (``agreement``).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from earthsnap_train.release.registry import Release

State = Literal["PendingApproval", "Approved", "Rejected"]


class Decision(BaseModel):
    """What the catalogue says of a release. ``who``: as far as it tells."""

    model_config = ConfigDict(frozen=True)

    state: State
    who: str
    why: str


class Catalogue(Protocol):
    def publish(
        self,
        family: str,
        digest: str,
        folder: Path,
        *,
        reasons: Sequence[str],
        summary: Mapping[str, float],
        lineage: Mapping[str, str],
        describe: Callable[[int], bytes],
    ) -> int:
        """Keeps the files of ``folder`` and an entry about them; returns the number that the entry has.

        Done again, after a kill or by another process, it goes on with what is there. ``describe``: what ``release.json``
        says, once the number is known.
        """

    def bring(self, release: "Release") -> None:
        """Makes ``release.folder`` what is kept there. Raises IntegrityError where that is not what was registered."""

    def attach(self, release: "Release", name: str, data: bytes) -> None:
        """Keeps a file beside a release; the first of that name stays."""

    def states(self, family: str) -> Mapping[int, State]:
        """By number, of every release of the family that has an entry."""

    def decision(self, release: "Release") -> Decision: ...

    def decide(self, release: "Release", state: State, why: str) -> None:
        """Says it there too."""

    def erase(self, release: "Release") -> None:
        """Makes what is kept there what ``release.folder`` is now, and leaves no earlier version of what changed."""
