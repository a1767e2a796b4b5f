"""Processes that leave nothing behind, whichever way their parent ends, and what one may use."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait


def usable_cores() -> int:
    """Cores that this process may run on; a container's share rather than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pool(workers: int, prepare: Callable[..., None] | None = None, *arguments: object) -> ProcessPoolExecutor:
    """Fresh processes that end with their parent, even one that was killed. ``prepare(*arguments)`` runs first in each."""
    return ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(prepare, arguments),
    )


def _begin(prepare: Callable[..., None] | None, arguments: tuple[object, ...]) -> None:
    # An interrupt at the keyboard reaches every process; it is the parent's to act upon.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    if prepare is not None:
        prepare(*arguments)


def end_with_parent() -> None:
    """From now on this process ends when the one that started it does, even if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


# A process that is to end with the one that started it is given the reading end of a pipe, by its number in this
# variable. Nobody ever writes; that the pipe closes says that the other is gone, in whatever way.
LIFELINE_VARIABLE = "EARTHSNAP_LIFELINE"


def end_with_lifeline() -> None:
    """From now on this process ends when whoever holds the other end of its lifeline does; without one nothing happens."""
    number = os.environ.pop(LIFELINE_VARIABLE, None)
    if number is not None:
        threading.Thread(target=lambda: (os.read(int(number), 1), os._exit(1)), daemon=True).start()


def allow_connections() -> None:
    """As many open files as this process may have at all: every connection is one."""
    import resource  # not on every system

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
