"""What the door tells of a job that has ended."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ended:
    """``summary``: that of a trained family with its ``folder``, None of other verbs. ``error``: its first line, else empty."""

    code: int
    summary: Mapping[str, object] | None = None
    error: str = ""

    @property
    def was_interrupted(self) -> bool:
        return self.code == 130

    def __float__(self) -> float:
        """For sweepers of others, which want a number: the family's top-1."""
        family = (self.summary or {}).get("family")
        return float(family["top1"]) if isinstance(family, Mapping) else float("nan")
