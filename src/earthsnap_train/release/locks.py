"""What only one process at a time may do with a registry, by name: ``plants/rollout.lock``, ``watch.lock``."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

WATCH = "watch.lock"  # held by a ``watch`` for as long as it lives, however it ends


class Held(Exception):
    """Somebody else holds the lock, and went on holding it for as long as was waited."""


class Locks(Protocol):
    def hold(self, name: str, *, timeout_s: float) -> AbstractContextManager[None]:
        """Raises Held. Whoever holds it and dies lets go of it, at once or before long."""

    def is_held(self, name: str) -> bool:
        """Whether anybody holds it just now."""


class FileLocks:
    """Files in a registry's folder; the operating system lets go when a holder ends, in whatever way."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def hold(self, name: str, *, timeout_s: float) -> Iterator[None]:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=timeout_s)
        try:
            lock.acquire()
        except Timeout:
            raise Held(name) from None
        try:
            yield
        finally:
            lock.release()

    def is_held(self, name: str) -> bool:
        if not (self.root / name).exists():
            return False
        try:
            with FileLock(self.root / name, timeout=0):
                return False
        except Timeout:
            return True


def watching(locks: Locks) -> bool:
    """Whether a ``watch`` of this registry runs."""
    return locks.is_held(WATCH)
