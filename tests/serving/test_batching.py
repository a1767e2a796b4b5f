"""The line of requests: bounded, oldest first, several at once, nothing lost and nothing done in vain."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from earthsnap_train.serving.batching import Later, Observer, Workers
from earthsnap_train.serving.refusal import Refusal

Answer = Callable[[Sequence[Sequence[bytes]], bool], Sequence[object]]


class Gate:
    """Answers each request with its own photographs, and each batch only once it is let through."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.batches: list[list[list[bytes]]] = []
        self.began = threading.Semaphore(0)
        self.let_through = threading.Semaphore(0)
        self.is_open = is_open

    def __call__(self, requests: Sequence[Sequence[bytes]], patient: bool) -> list[object]:
        self.batches.append([list(photographs) for photographs in requests])
        self.began.release()
        if not self.is_open:
            assert self.let_through.acquire(timeout=30)
        return [list(photographs) for photographs in requests]


def workers(answer: Answer, **changes: Any) -> Workers:
    settings: dict[str, Any] = {
        "num_threads": 1, "max_batch": 4, "max_waiting": 8, "timeout_s": 30.0, "observer": Observer(), **changes,
    }  # fmt: skip
    return Workers(answer, **settings)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def within_time() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(within_time())


async def line_of(line: Workers, gate: Gate, *requests: list[bytes]) -> list["asyncio.Task[Any]"]:
    """The first is being worked on, and the others wait in this order."""
    tasks = []
    for number, photographs in enumerate(requests):
        tasks.append(asyncio.create_task(line.answer(photographs)))
        await asyncio.sleep(0)
        if number == 0:
            await asyncio.to_thread(gate.began.acquire)
    return tasks


def test_what_waits_is_answered_together_oldest_first_and_each_gets_its_own() -> None:
    gate = Gate()
    line = workers(gate)

    async def scenario() -> None:
        tasks = await line_of(line, gate, [b"a"], [b"b"], [b"c", b"d"], [b"e", b"f"], [b"g"])
        gate.is_open = True
        gate.let_through.release()
        assert await asyncio.gather(*tasks) == [[b"a"], [b"b"], [b"c", b"d"], [b"e", b"f"], [b"g"]]

    run(scenario)
    assert gate.batches == [[[b"a"]], [[b"b"], [b"c", b"d"]], [[b"e", b"f"], [b"g"]]]
    line.end()


def test_a_full_line_refuses_and_says_when_to_come_back() -> None:
    gate = Gate()
    line = workers(gate, max_waiting=2)

    async def scenario() -> None:
        tasks = await line_of(line, gate, [b"a"], [b"b"], [b"c"])
        with pytest.raises(Refusal) as refused:
            await line.answer([b"d"])
        assert (refused.value.status, refused.value.code) == (429, "busy")
        assert int(refused.value.headers["Retry-After"]) >= 1
        gate.is_open = True
        gate.let_through.release()
        assert await asyncio.gather(*tasks) == [[b"a"], [b"b"], [b"c"]]
        assert await line.answer([b"d"]) == [b"d"]

    run(scenario)
    line.end()


def test_one_request_of_more_photographs_than_may_wait_is_taken_where_nothing_waits() -> None:
    line = workers(Gate(is_open=True), max_waiting=1)

    async def scenario() -> None:
        assert await line.answer([b"a", b"b", b"c"]) == [b"a", b"b", b"c"]

    run(scenario)
    line.end()


def test_what_waited_too_long_is_refused_and_never_worked_on() -> None:
    gate = Gate()
    line = workers(gate, timeout_s=0.05)

    async def scenario() -> None:
        for task in await line_of(line, gate, [b"a"], [b"b"]):
            with pytest.raises(Refusal) as refused:
                await task
            assert (refused.value.status, refused.value.code) == (503, "too_late")
            assert refused.value.retry_after_s
        gate.is_open = True
        gate.let_through.release()
        assert await line.answer([b"c"]) == [b"c"]

    run(scenario)
    assert gate.batches == [[[b"a"]], [[b"c"]]]
    line.end()


def test_what_nobody_waits_for_any_more_is_dropped() -> None:
    gate = Gate()
    line = workers(gate)

    async def scenario() -> None:
        first, second, third = await line_of(line, gate, [b"a"], [b"b"], [b"c"])
        second.cancel()
        await asyncio.sleep(0)
        gate.is_open = True
        gate.let_through.release()
        assert await asyncio.gather(first, third) == [[b"a"], [b"c"]]

    run(scenario)
    assert gate.batches == [[[b"a"]], [[b"c"]]]
    assert line.num_waiting == 0
    line.end()


def test_a_refusal_is_that_requests_alone() -> None:
    gate = Gate()

    def answer(requests: Sequence[Sequence[bytes]], patient: bool) -> list[object]:
        gate(requests, patient)
        return [Refusal(400, "bad", "it is") if photographs[0] == b"b" else b"good" for photographs in requests]

    line = workers(answer)

    async def scenario() -> None:
        tasks = await line_of(line, gate, [b"a"], [b"b"], [b"c"])
        gate.is_open = True
        gate.let_through.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [results[0], results[2]] == [b"good", b"good"]
        assert isinstance(results[1], Refusal)

    run(scenario)
    line.end()


def test_a_bug_is_told_to_its_requests_and_the_thread_goes_on() -> None:
    calls = []

    def answer(requests: Sequence[Sequence[bytes]], patient: bool) -> list[object]:
        calls.append(requests)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return [b"good"]

    line = workers(answer)

    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="a bug"):
            await line.answer([b"a"])
        assert await line.answer([b"b"]) == b"good"

    run(scenario)
    line.end()


def test_what_takes_long_is_put_off_to_the_patient_thread_and_others_pass_it() -> None:
    slow = threading.Event()
    who: list[str] = []

    def answer(requests: Sequence[Sequence[bytes]], patient: bool) -> list[object]:
        if patient:
            assert slow.wait(30)
            who.append(threading.current_thread().name)
        return [Later() if photographs[0] == b"slow" and not patient else photographs for photographs in requests]

    line = workers(answer)

    async def scenario() -> None:
        late = asyncio.create_task(line.answer([b"slow"]))
        await asyncio.sleep(0)
        assert await line.answer([b"quick"]) == [b"quick"]
        assert not late.done()
        slow.set()
        assert await late == [b"slow"]

    run(scenario)
    assert who == ["patient"]
    assert line.num_waiting == 0
    line.end()


def test_who_watches_hears_how_long_requests_waited_and_how_many_were_answered_together() -> None:
    gate = Gate()
    waited: list[float] = []
    sizes: list[int] = []
    line = workers(gate, observer=Observer(waited_s=waited.append, batch_size=sizes.append))

    async def scenario() -> None:
        tasks = await line_of(line, gate, [b"a"], [b"b", b"c"], [b"d"])
        gate.is_open = True
        gate.let_through.release()
        await asyncio.gather(*tasks)

    run(scenario)
    assert sizes == [1, 3]
    assert len(waited) == 3
    assert min(waited) >= 0
    line.end()
