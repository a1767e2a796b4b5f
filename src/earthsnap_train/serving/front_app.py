"""The ASGI application of an endpoint: every request goes to stable or canary, some unseen to the other as well."""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from earthsnap_train.release.deployments import Wanted
from earthsnap_train.serving.front_figures import Figures, Metrics
from earthsnap_train.serving.front_http import (
    RELEASE_HEADER,
    Answer,
    Question,
    Receive,
    Refused,
    Room,
    Scope,
    Send,
    problem,
    read_question,
    send_answer,
    send_refusal,
)
from earthsnap_train.serving.front_server import Server, say
from earthsnap_train.serving.front_servers import Command, Servers
from earthsnap_train.serving.front_turns import GOLDEN, ROOT_OF_TWO, Turns
from earthsnap_train.spec.deployment import EndpointName
from earthsnap_train.spec.serving import Serving

OWN = ("/ping", "/v1/endpoint", "/metrics")  # what the endpoint answers itself

LOOK_EVERY_S = 0.1
MAX_SHADOWS = 4  # under way at once; more are dropped
MAX_LOST = 2  # servers that end while they are asked the same: a photograph that ends them all must not
MAX_BODIES_BYTES = 512_000_000  # of all requests that are under way
NOTICE_S = 0.05  # until the end of a server is noticed
OVER_S = 1.0  # a server's own answer that time is up comes first
# A canary has four times as long as stable took for nearly all, within these bounds.
CANARY_PATIENCE_S, CANARY_PATIENCE_RATIO, ENOUGH_TO_KNOW = 1.0, 4, 20


class Front:
    """``wanted`` reads the wish; ``shadow_share``: of the requests, asked of stable and canary alike while there is one."""

    def __init__(
        self,
        *,
        family: str,
        endpoint: EndpointName,
        wanted: Callable[[], Wanted | None],
        command: Command,
        sockets: Path,
        serving: Serving,
        shadow_share: float,
    ) -> None:
        self.family = family
        self.endpoint = endpoint
        self._wanted = wanted
        self._command = command
        self._sockets = sockets
        self._limits = serving
        self._max_bytes = int(serving.max_body_mb * 1_000_000)
        self._shadow_share = shadow_share
        self._metrics = Metrics()
        self._servers: Servers
        self._following: asyncio.Task[None]
        self._shadows: set[asyncio.Task[None]] = set()
        self._canary_turns, self._shadow_turns = Turns(GOLDEN), Turns(ROOT_OF_TWO)
        self._canary_patience_s = 0.0
        self._complaint = ""
        self._room = Room(left_bytes=MAX_BODIES_BYTES)
        # Those who waited for a restart come a few at a time, or the server would refuse most of them.
        self._after_restart = asyncio.Semaphore(max(1, serving.max_waiting // 2))

    # ---- ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            await self.begin()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.end()
            await send({"type": "lifespan.shutdown.complete"})

    async def begin(self) -> None:
        timeout_s = self._limits.timeout_s
        self._servers = Servers(self._command, self._sockets, timeout_s + OVER_S, self._metrics)
        await self._look()
        self._following = asyncio.create_task(self._follow())

    async def end(self) -> None:
        self._following.cancel()
        for task in self._shadows:
            task.cancel()
        await self._servers.end()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look()

    async def _look(self) -> None:
        """Sees what is wanted, and acts upon it where it has changed."""
        try:
            self._servers.want(await asyncio.to_thread(self._wanted))
            self._complaint = ""
        except Exception as error:  # whatever it is: what was wanted last goes on
            if self._complaint != (complaint := f"cannot do what is wanted: {error!r}"):
                self._complaint = complaint
                say(self.endpoint, complaint)
        self._canary_patience_s = self._patience_s()

    def _patience_s(self) -> float:
        """How long a canary may take before stable answers in its place."""
        longest_s = max(CANARY_PATIENCE_S, self._limits.timeout_s / 4)
        stable = self._servers.ready(self._servers.stable)
        if stable is None or stable.figures.latencies.num < ENOUGH_TO_KNOW:
            return longest_s
        usual = stable.figures.latencies.percentiles()
        assert usual is not None
        return min(longest_s, max(CANARY_PATIENCE_S, CANARY_PATIENCE_RATIO * usual.p95 / 1000))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        try:
            question = await read_question(
                scope, receive, max_bytes=self._max_bytes, within_s=self._limits.timeout_s, room=self._room
            )
        except Refused as refused:
            await send_refusal(receive, send, refused.answer)
            return
        if question is None:
            return
        try:
            if method in ("GET", "HEAD") and question.pinned is None and path in OWN:
                answer = self._own(path)
            else:
                answer = await self._answer(question)
        finally:
            self._room.left_bytes += len(question.body)
        await send_answer(send, answer)

    def _own(self, path: str) -> Answer:
        if path == "/metrics":
            body = generate_latest(self._metrics.registry)
            return Answer(status=200, headers=[("content-type", CONTENT_TYPE_LATEST)], body=body)
        if path == "/v1/endpoint":
            said = self._servers.observed(self.family, self.endpoint).model_dump_json().encode()
            return Answer(status=200, headers=[("content-type", "application/json")], body=said)
        stable = self._servers.ready(self._servers.stable)
        if stable is None:
            return problem(503, "not_ready", "no release is ready here", retry_after_s=1)
        return Answer(status=200, headers=[], body=b"", release=stable.release)

    # ---- who answers

    async def _answer(self, question: Question) -> Answer:
        if question.pinned is not None:
            return await self._by_pinned(question, question.pinned)
        if question.is_feedback and (answered := self._servers.ready(question.answered_by)) is not None:
            return await answered.ask(question, self._limits.timeout_s + OVER_S)
        if not question.is_about_photographs:
            return await self._by_stable(question)
        canary, wish = self._servers.canary(), self._servers.wish
        if canary is None or wish is None:
            return await self._by_stable(question)
        if not self._canary_turns.take(wish.share):
            answer = await self._by_stable(question)
            if answer.ok and answer.release == self._servers.stable and self._shadow_turns.take(self._shadow_share):
                self._ask_unseen(canary, question, answer)
            return answer
        return await self._by_canary(canary, question, wish.share)

    async def _by_canary(self, canary: Server, question: Question, share: float) -> Answer:
        """Whatever it does not answer is stable's to answer, and its own error unless stable refuses it likewise."""
        figures = canary.figures
        first = await canary.ask(question, self._canary_patience_s)
        if first.ok:
            self._count(canary, figures, first, is_error=False)
            if self._shadow_share and self._shadow_turns.take(self._shadow_share / share):
                self._ask_unseen(self._servers.ready(self._servers.stable), question, first)
            return first
        self._metrics.retries.labels(canary.release).inc()
        second = await self._by_stable(question, num_lost=int(first.lost), but=canary)
        self._count(canary, figures, first, is_error=not (first.is_refusal and second.is_refusal))
        return second

    async def _by_stable(self, question: Question, *, num_lost: int = 0, but: Server | None = None) -> Answer:
        """Asks another where a server ended meanwhile, and waits where none is ready, as long as there is time."""
        deadline = time.monotonic() + self._limits.timeout_s
        waited = False
        while (left_s := deadline - time.monotonic()) > 0:
            server = self._servers.any(but=but)
            if server is None:
                if self._servers.wish is None:
                    return problem(503, "nothing_served", "no release is wanted here", retry_after_s=10)
                waited = True
                await self._servers.change(left_s if but is None else min(left_s, NOTICE_S))
                but = None
                continue
            figures = server.figures
            async with self._after_restart if waited else nullcontext():
                answer = await server.ask(question, deadline - time.monotonic() + OVER_S)
            if question.is_about_photographs:
                self._count(server, figures, answer, is_error=answer.is_failure)
            if not answer.lost:
                return answer
            num_lost += 1
            if num_lost >= MAX_LOST:
                return problem(503, "server_lost", "the server ended while it was asked", retry_after_s=1)
            self._metrics.retries.labels(server.release).inc()
            but = server
        return problem(503, "not_ready", "no release is ready here", retry_after_s=1)

    async def _by_pinned(self, question: Question, release: str) -> Answer:
        server = self._servers.ready(release)
        if server is None:
            return problem(404, "not_loaded", f"{RELEASE_HEADER}: {release} is not loaded here")
        figures = server.figures
        # Tests and probes name a release, users do not: what they are told belongs in no journal.
        answer = await server.ask(question.unseen, self._limits.timeout_s + OVER_S)
        if question.is_about_photographs:
            self._count(server, figures, answer, is_error=answer.is_failure, how="pinned")
            if answer.ok and self._shadow_share and server is self._servers.canary():
                self._ask_unseen(self._servers.ready(self._servers.stable), question, answer)
        return answer

    def _count(self, server: Server, figures: Figures, answer: Answer, *, is_error: bool, how: str = "user") -> None:
        figures.count(answer, is_error=is_error)
        self._metrics.count(server.release, answer, how)

    # ---- unseen

    def _ask_unseen(self, other: Server | None, question: Question, answer: Answer) -> None:
        """Asks another release the same, which nobody waits for."""
        if other is None or len(self._shadows) >= MAX_SHADOWS:
            self._metrics.dropped.inc()
            return
        task = asyncio.create_task(self._shadow(other, question, answer))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, other: Server, question: Question, seen: Answer) -> None:
        first = self._servers.ready(seen.release)
        pair = [server.figures for server in (first, other) if server is not None]
        unseen = await other.ask(question.unseen, self._canary_patience_s)
        if unseen.status == 429:  # it is we who ask too much
            self._metrics.dropped.inc()
            return
        self._count(other, pair[-1], unseen, is_error=not unseen.ok, how="shadow")
        if unseen.ok:
            for figures in pair:
                figures.compare(agreed=unseen.species == seen.species)
