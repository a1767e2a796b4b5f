"""Every error that a person is meant to read.

::

    EarthsnapError              exit code
      ConfigError               2  a key, a value or an option that the declaration does not allow
      DataError                 2  photographs or tables that cannot be used as they are
      TaxonomyError             2  species, ranks or groups that contradict each other
      NotFoundError             2  a release, run, node or file that is not there
      EnvironmentProblem        3  what this machine lacks: a package, disk, memory, a device
      IntegrityError            4  something stored is not what was written
      StageError                5  a stage failed for a reason that is not the user's input

0 is success, 1 a bug of ours (please report it), 130 an interrupt.
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class EarthsnapError(Exception):
    """One clear message: what came, where, what was allowed, and how to mend it.

    ``where`` is a dotted config key, a file, or a stage. ``allowed`` and ``remedy`` are whole sentences or empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", allowed: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.allowed = allowed
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.remedy:
            lines.append(f"  remedy:  {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders, and the default only replays positional arguments.
        return (_rebuild, (type(self), self.what, self.where, self.allowed, self.remedy))


def _rebuild(kind: type[EarthsnapError], what: str, where: str, allowed: str, remedy: str) -> EarthsnapError:
    return kind(what, where=where, allowed=allowed, remedy=remedy)


class ConfigError(EarthsnapError):
    exit_code = 2


class DataError(EarthsnapError):
    exit_code = 2


class TaxonomyError(EarthsnapError):
    exit_code = 2


class NotFoundError(EarthsnapError):
    exit_code = 2


class EnvironmentProblem(EarthsnapError):
    exit_code = 3


class IntegrityError(EarthsnapError):
    exit_code = 4


class StageError(EarthsnapError):
    exit_code = 5


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence naming the nearest known name, or an empty string where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else ""
