"""The servers that an endpoint keeps: those that are wanted, and the release before until the wanted one is ready."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from earthsnap_train.release.deployments import Wanted
from earthsnap_train.release.endpoint import Observed
from earthsnap_train.serving.front_figures import Figures, Metrics
from earthsnap_train.serving.front_server import Server, say
from earthsnap_train.spec.deployment import EndpointName

# (release, socket) -> the command that serves this release on that Unix socket; raises EarthsnapError where none can.
Command = Callable[[str, Path], Sequence[str]]


class Servers:
    """Makes it so. ``stable``: who answers now. ``sockets``: a folder for them; ``end_within_s``: to answer what they have."""

    def __init__(self, command: Command, sockets: Path, end_within_s: float, metrics: Metrics) -> None:
        self.wish: Wanted | None = None
        self.stable: str | None = None
        self._command = command
        self._sockets = sockets
        self._end_within_s = end_within_s
        self._metrics = metrics
        self._servers: dict[str, Server] = {}
        self._leaving: dict[asyncio.Task[None], Server] = {}
        self._num_started = 0
        self._measured = False
        self._change = asyncio.Event()

    # ---- who may be asked

    def ready(self, release: str | None) -> Server | None:
        server = self._servers.get(release) if release is not None else None
        return server if server is not None and server.is_ready else None

    def canary(self) -> Server | None:
        """Where it is ready, and somebody watches it."""
        wish = self.wish
        return self.ready(wish.canary) if wish is not None and time.time() < wish.watched_until else None

    def any(self, *, but: Server | None) -> Server | None:
        """Stable, else whoever else is loaded and may be asked."""
        standby = self.wish.standby if self.wish is not None else None
        able = (self.ready(self.stable), self.ready(standby), self.canary())
        return next((server for server in able if server is not None and server is not but), None)

    async def change(self, within_s: float) -> None:
        """Waits until a server's state changed, or time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._change.wait()

    # ---- as it is wanted

    def want(self, wish: Wanted | None) -> None:
        before = self.wish.revision if self.wish is not None else 0
        self.wish = wish
        revision = wish.revision if wish is not None else 0
        if revision != before:
            self._metrics.revision.set(revision)
            self._measured = False
            self._begin_figures()
            self._settle()

    @property
    def all_ready(self) -> bool:
        wish = self.wish
        return wish is not None and self.stable == wish.stable and all(map(self.ready, wish.releases))

    def _settle(self) -> None:
        """Starts and ends what has to, and moves the traffic; after each change of the wish or of a server."""
        wish = self.wish
        if wish is None:
            self.stable = None
        elif self.stable != wish.stable and self.ready(wish.stable):
            if self.stable is not None:
                self._metrics.swaps.inc()
            say(wish.stable, "answers" if self.stable is None else f"answers instead of {self.stable}")
            self.stable = wish.stable
        needed = [] if wish is None else [*wish.releases, *([self.stable] if self.stable is not None else [])]
        for release in list(self._servers):
            if release not in needed:
                self._let_go(self._servers.pop(release))
        for release in dict.fromkeys(needed):
            if release not in self._servers:
                self._start(release)
            if self._servers[release].state == "starting" and self.ready(self.stable) is None:
                break  # whoever is to answer has the processor for itself until it does
        if not self._measured and self.all_ready:
            self._measured = True  # so that canary and stable are measured in the same time
            self._begin_figures()
        self._change.set()
        self._change = asyncio.Event()

    def _begin_figures(self) -> None:
        for server in self._servers.values():
            server.figures = Figures()

    def _start(self, release: str) -> None:
        self._num_started += 1
        socket = self._sockets / f"{self._num_started}.sock"
        started = self._metrics.starts.labels(release).inc
        command = partial(self._command, release, socket)
        self._servers[release] = Server(release, command, socket, self._settle, started)

    def _let_go(self, server: Server) -> None:
        task = asyncio.create_task(server.end(self._end_within_s))
        self._leaving[task] = server
        task.add_done_callback(self._leaving.pop)

    async def end(self) -> None:
        """Ends all of them, once they have answered."""
        self.wish = None
        self._settle()
        await asyncio.gather(*self._leaving)

    def observed(self, family: str, endpoint: EndpointName) -> Observed:
        wish = self.wish
        seen = {server.release: server.served() for server in (*self._leaving.values(), *self._servers.values())}
        return Observed(
            family=family, endpoint=endpoint, revision=wish.revision if wish else 0, stable=self.stable,
            canary=wish.canary if wish else None, share=wish.share if wish else 0.0,
            standby=wish.standby if wish else None, ready=self.all_ready, releases=seen,
        )  # fmt: skip
