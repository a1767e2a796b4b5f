"""Runs the app on uvicorn: one event loop, its own signals, and an end that loses no accepted request."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from earthsnap_train.processes import allow_connections
from earthsnap_train.serving.protocol import Protocol

_MAX_CONNECTIONS = 4096
_SWITCH_S = (
    0.0005  # how long a thread that parses may keep Python's lock from the event loop; the default is ten times that
)


def run(
    app: ASGIApp, listening: socket.socket, *, timeout_s: float, drain: Callable[[], None], ready: Callable[[], None]
) -> None:
    """Until SIGTERM or SIGINT; a second one does not wait for what was begun. ``drain``: told first, refuses new work."""
    allow_connections()
    sys.setswitchinterval(_SWITCH_S)
    config = uvicorn.Config(
        app,
        http=Protocol.within(timeout_s),
        loop="uvloop",
        ws="none",
        proxy_headers=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_keep_alive=5,
    )
    _Server(config, drain, ready).run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: Callable[[], None], ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal once more at the end, which is no clean exit."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_end)
        yield

    def _told_to_end(self) -> None:
        self._drain()
        self.force_exit = self.should_exit
        self.should_exit = True
