"""Work on many files in several processes, of which any may die.

A decoder that crashes takes its process with it. What it was given is then tried again one file at a time, so that the
file at fault is found and all others are done.
"""

import contextlib
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64


def work_through(
    work: Callable[[Sequence[T]], list[R]], items: Sequence[T], *, num_workers: int, chunk: int = CHUNK
) -> Iterator[tuple[T, R | None]]:
    """Yields (item, its result), in whatever order they come; None where the process dies on that item alone.

    ``work`` is importable by name (processes are spawned) and gives one result an item. What it raises is raised here.
    """
    chunks = deque(items[at : at + chunk] for at in range(0, len(items), chunk))
    workers = [_Worker(work) for _ in range(min(num_workers, len(chunks)))]
    try:
        for worker in workers:
            worker.give(chunks)
        while busy := {worker.connection: worker for worker in workers if worker.given}:
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                given, results = worker.take()
                if results is not None:
                    yield from zip(given, results, strict=True)
                elif len(given) == 1:
                    yield given[0], None
                else:
                    chunks.extendleft([item] for item in reversed(given))
                worker.give(chunks)
    finally:
        for worker in workers:
            worker.stop()


class _Worker(Generic[T, R]):
    """One process and what it has been given; started again when it has died."""

    connection: Connection
    process: BaseProcess

    def __init__(self, work: Callable[[Sequence[T]], list[R]]) -> None:
        self._work = work
        self.given: Sequence[T] = ()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, self._work), daemon=True)
        self.process.start()
        there.close()  # so that the end of the process ends the connection

    def give(self, chunks: deque[Sequence[T]]) -> None:
        self.given = chunks.popleft() if chunks else ()
        if self.given:
            if not self.process.is_alive():
                self._start()
            with contextlib.suppress(BrokenPipeError):  # it died just now: ``take`` will see it
                self.connection.send(self.given)

    def take(self) -> tuple[Sequence[T], list[R] | None]:
        """What was given, and its results; None where the process died over it."""
        try:
            results = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.connection.close()
            self.process.join()
            return self.given, None
        if isinstance(results, Exception):
            raise results
        return self.given, results

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


def _serve(connection: Connection, work: Callable[[Sequence[T]], list[R]]) -> None:
    while True:
        try:
            items = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            connection.send(work(items))
        except Exception as error:
            connection.send(error)
