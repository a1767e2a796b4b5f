"""Requests wait in a bounded line; worker threads take what waits, several photographs at once, oldest first.

The event loop never decodes a pixel nor runs a network. Decoding and networks release Python's lock, so threads are enough.
"""

import asyncio
import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from earthsnap_train.serving.refusal import Refusal

_REMEMBER = 0.1  # weight of the newest measurement in the running mean of seconds a photograph takes

_PATIENT_NICENESS = 10  # much more, and it would sleep with Python's lock in its hands while others want it


@dataclass(kw_only=True, eq=False)
class Waiting:
    """One request in the line. ``answered`` belongs to ``loop``. ``dropped``: nobody waits for it any more."""

    photographs: Sequence[bytes]
    since: float
    loop: asyncio.AbstractEventLoop
    answered: "asyncio.Future[Any]"
    dropped: bool = False


class Later:
    """In place of an answer: this takes so long that it must not keep others waiting."""


# (the photographs of each request of a batch, whether this is the patient thread) -> for each request its answer, the
# Refusal that it gets or, from the others, ``Later``.
AnswerBatch = Callable[[Sequence[Sequence[bytes]], bool], Sequence[object]]


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Who is told how long a request waited, and how many photographs were answered together."""

    waited_s: Callable[[float], None] = field(default=lambda _: None)
    batch_size: Callable[[int], None] = field(default=lambda _: None)


class Workers:
    """``num_threads`` of them, over one line of at most ``max_waiting`` photographs.

    One more thread, of low priority, answers what the others put off: photographs that take long to decode then share the
    processor's spare time, and one at a time its memory.
    """

    def __init__(
        self,
        answer_batch: AnswerBatch,
        *,
        num_threads: int,
        max_batch: int,
        max_waiting: int,
        timeout_s: float,
        observer: Observer,
    ) -> None:
        self._answer_batch = answer_batch
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._observer = observer
        self._line: deque[Waiting] = deque()
        self._later: deque[Waiting] = deque()
        self._num_waiting = 0
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._put_off_one = threading.Condition(lock)  # the patient thread's own: it need not wake for each request
        self._seconds_each = 0.02
        self._ended = False
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(num_threads)
        ]
        self._patient = threading.Thread(target=self._work_patiently, name="patient", daemon=True)
        for thread in (*self._threads, self._patient):
            thread.start()

    @property
    def num_waiting(self) -> int:
        return self._num_waiting

    async def answer(self, photographs: Sequence[bytes]) -> Any:
        """Raises Refusal: 429 where the line is full, 503 past the time limit, or what was wrong with a photograph.

        Cancelling it drops the work.
        """
        loop = asyncio.get_running_loop()
        waiting = Waiting(photographs=photographs, since=time.monotonic(), loop=loop, answered=loop.create_future())
        with self._changed:
            if self._num_waiting and self._num_waiting + len(photographs) > self._max_waiting:
                raise Refusal(429, "busy", "too many photographs are waiting", retry_after_s=self._retry_after_s())
            self._line.append(waiting)
            self._num_waiting += len(photographs)
            self._changed.notify()
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await waiting.answered
        except TimeoutError:
            what = f"no answer within {self._timeout_s:g} s"
            raise Refusal(503, "too_late", what, retry_after_s=self._retry_after_s()) from None
        finally:
            waiting.dropped = True
        if isinstance(result, BaseException):
            raise result
        return result

    def _retry_after_s(self) -> int:
        """Until about half of the line is gone, at the rate that was measured."""
        seconds = self._num_waiting / 2 * self._seconds_each / len(self._threads)
        return max(1, min(60, math.ceil(seconds)))

    def end(self) -> None:
        """Threads end once nothing waits."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            self._put_off_one.notify_all()

    # ---- in the threads

    def _work(self) -> None:
        while (batch := self._take()) is not None:
            if not batch:
                continue
            start = time.monotonic()
            for waiting in batch:
                self._observer.waited_s(start - waiting.since)
            results = self._answer(batch, patient=False)
            num_photographs = sum(len(waiting.photographs) for waiting in batch)
            self._observer.batch_size(num_photographs)
            seconds = (time.monotonic() - start) / num_photographs
            self._seconds_each += _REMEMBER * (seconds - self._seconds_each)
            for waiting, result in zip(batch, results, strict=True):
                if isinstance(result, Later):
                    self._put_off(waiting)
                else:
                    _tell(waiting, result)

    def _answer(self, batch: Sequence[Waiting], *, patient: bool) -> Sequence[object]:
        try:
            return self._answer_batch([waiting.photographs for waiting in batch], patient)
        except Exception as error:  # a bug of ours: told to each request, and the thread goes on
            return [error] * len(batch)

    def _put_off(self, waiting: Waiting) -> None:
        with self._changed:
            self._num_waiting += len(waiting.photographs)
            self._later.append(waiting)
            self._put_off_one.notify()

    def _work_patiently(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # where threads have no priority of their own, all are equal
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _PATIENT_NICENESS)
        while True:
            with self._put_off_one:
                while not self._later:
                    if self._ended:
                        return
                    self._put_off_one.wait()
                waiting = self._later.popleft()
                self._num_waiting -= len(waiting.photographs)
            if not waiting.dropped:
                (result,) = self._answer([waiting], patient=True)
                _tell(waiting, result)

    def _take(self) -> list[Waiting] | None:
        """The oldest requests that fit into one batch, without those that nobody waits for; None at the end."""
        batch: list[Waiting] = []
        room = self._max_batch
        with self._changed:
            while not self._line:
                if self._ended:
                    return None
                self._changed.wait()
            while self._line and (not batch or len(self._line[0].photographs) <= room):
                waiting = self._line.popleft()
                self._num_waiting -= len(waiting.photographs)
                if not waiting.dropped:
                    batch.append(waiting)
                    room -= len(waiting.photographs)
        return batch


def _tell(waiting: Waiting, result: object) -> None:
    def tell() -> None:
        if not waiting.answered.done():
            waiting.answered.set_result(result)

    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        waiting.loop.call_soon_threadsafe(tell)
