"""One server process of an endpoint: started, watched, asked, started again when it dies, and ended."""

import asyncio
import contextlib
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import psutil
from yarl import URL

from earthsnap_train.errors import EarthsnapError
from earthsnap_train.processes import LIFELINE_VARIABLE
from earthsnap_train.release.endpoint import Served, ServerState
from earthsnap_train.serving.front_figures import Figures
from earthsnap_train.serving.front_http import Answer, Question, problem

START_TIMEOUT_S = 120.0
PING_EVERY_S = 1.0
PING_TIMEOUT_S = 15.0  # one that does not answer for so long hangs
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 15.0  # before it is started again, twice as long each time
STEADY_S = 30.0  # who lived so long begins with the first pause again
# Less than servers keep idle connections (uvicorn: 5 s), so that no question meets one that is being closed.
IDLE_CONNECTION_S = 2.0


class Server:
    """Of one release. ``command`` makes the command that starts it; ``changed`` is called whenever ``state`` has changed."""

    def __init__(
        self,
        release: str,
        command: Callable[[], Sequence[str]],
        socket: Path,
        changed: Callable[[], None],
        started: Callable[[], None],
    ) -> None:
        self.release = release
        self.state: ServerState = "starting"
        self.reason = ""
        self.figures = Figures()
        self._command = command
        self._socket = socket
        self._changed = changed
        self._started = started
        self._in_flight = 0
        self._process: Process | None = None
        self._said: deque[str] = deque(maxlen=50)
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession
        self._end_within_s = 0.0
        self._task = asyncio.create_task(self._keep())

    # ---- asked

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"

    async def ask(self, question: Question, within_s: float) -> Answer:
        """What it says, else 502 where the connection broke, else 503 where time was up.

        A server that was told to end by somebody else has not looked at the question either, and counts as lost.
        """
        began = time.perf_counter()
        self._in_flight += 1
        try:
            async with asyncio.timeout(within_s), self._session.request(
                question.method, self._url(question.target), data=question.body or None, headers=question.headers,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"), allow_redirects=False,
            ) as response:  # fmt: skip
                body = await response.read()
        except TimeoutError:
            message = f"{self.release} did not answer within {within_s:g} s"
            answer = problem(503, "too_slow", message, retry_after_s=1, seconds=time.perf_counter() - began)
        except (aiohttp.ClientError, OSError, RuntimeError):  # RuntimeError: the session closed with the process
            answer = problem(502, "server_lost", f"the server of {self.release} ended while it was asked")
            answer = Answer(status=answer.status, headers=answer.headers, body=answer.body, lost=True)
        else:
            answer = Answer(
                status=response.status, headers=list(response.headers.items()), body=body, release=self.release,
                seconds=time.perf_counter() - began, lost=response.status == 503 and b'"draining"' in body,
            )  # fmt: skip
        finally:
            self._in_flight -= 1
        return answer

    def _url(self, target: str) -> URL:
        if target not in self._urls:
            if len(self._urls) > 100:
                self._urls.clear()
            self._urls[target] = URL(f"http://server{target}", encoded=True)
        return self._urls[target]

    def served(self) -> Served:
        figures = self.figures
        return Served(
            state=self.state, reason=self.reason, memory_mb=self._memory_mb(), requests=figures.requests,
            errors=figures.errors, unsure=figures.unsure, latency_ms=figures.latencies.percentiles(),
            compared=figures.compared, agreed=figures.agreed,
        )  # fmt: skip

    def _memory_mb(self) -> float:
        if self._process is None:
            return 0.0
        try:
            return float(round(psutil.Process(self._process.pid).memory_info().rss / 1e6, 1))
        except psutil.Error:
            return 0.0

    # ---- kept

    async def end(self, within_s: float) -> None:
        """Lets it answer what it has, then ends it. Nothing new may be asked of it from now on."""
        self._set("draining")
        self._end_within_s = within_s
        deadline = time.monotonic() + within_s
        while self._in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def _set(self, state: ServerState, reason: str = "") -> None:
        if self.state != "draining":
            self.state, self.reason = state, reason
            self._changed()

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                reason = await self._live()
            except (EarthsnapError, OSError) as error:  # no process could be started
                reason = str(error).partition("\n")[0]
            if time.monotonic() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            say(self.release, f"ended, starts again in {pause_s:g} s: {reason}")
            self._set("starting" if self.is_ready else "failed", reason)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _live(self) -> str:
        """One life of the process; why it ended."""
        command = await asyncio.to_thread(self._command)
        self._socket.unlink(missing_ok=True)
        self._said.clear()
        watched_end, held_end = os.pipe()
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stderr=PIPE, pass_fds=[watched_end],
                env={**os.environ, LIFELINE_VARIABLE: str(watched_end)},
                start_new_session=True,  # an interrupt at the keyboard is the endpoint's to act upon
            )  # fmt: skip
        except BaseException:
            os.close(held_end)
            raise
        finally:
            os.close(watched_end)
        self._started()
        connector = aiohttp.UnixConnector(path=str(self._socket), limit=0, keepalive_timeout=IDLE_CONNECTION_S)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )  # fmt: skip
        listening = asyncio.create_task(self._listen(process))
        try:
            if (why := await self._come_up(process)) is None:
                say(self.release, f"ready, as process {process.pid}")
                self._set("ready")
                why = await self._watch(process)
            if process.returncode is None:
                process.kill()
                await process.wait()
            await listening
            return why or self._last_words(process)
        finally:
            await self._bury(process)
            listening.cancel()
            os.close(held_end)
            self._process = None
            await self._session.close()

    async def _come_up(self, process: Process) -> str | None:
        """None once it answers, else why it will not; empty where it ended."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._socket.exists() and await self._pings(PING_TIMEOUT_S):
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await process.wait()
            if process.returncode is not None:
                return ""
        return f"did not answer within {START_TIMEOUT_S:g} s of its start"

    async def _watch(self, process: Process) -> str:
        """Returns once it has ended (empty), or hangs."""
        answered = time.monotonic()
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_EVERY_S):
                    await process.wait()
            if process.returncode is None:
                if await self._pings(PING_TIMEOUT_S):
                    answered = time.monotonic()
                elif time.monotonic() - answered > PING_TIMEOUT_S:
                    return f"hung: it did not answer for {PING_TIMEOUT_S:g} s"
        return ""

    async def _pings(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s), self._session.get(self._url("/ping")) as response:
                await response.read()
                return response.status == 200
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    async def _bury(self, process: Process) -> None:
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(self._end_within_s):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _listen(self, process: Process) -> None:
        assert process.stderr is not None
        while line := await _line(process.stderr):
            self._said.append(line.rstrip())
            say(self.release, line.rstrip())

    def _last_words(self, process: Process) -> str:
        """The error that it ended with, without the advice below it, else its last line."""
        code = process.returncode
        how = f"ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        errors = [line for line in self._said if line.startswith("error: ")]
        said = (
            errors[-1].removeprefix("error: ") if errors else next((w for w in reversed(self._said) if w.strip()), "")
        )
        return f"{said} ({how})" if said else how


def say(who: str, line: str) -> None:
    """A line of the endpoint's log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {who} | {line}", file=sys.stderr, flush=True)  # noqa: T201


async def _line(stream: asyncio.StreamReader) -> str:
    """The next, with its end; a line that is too long comes in pieces; empty at the end."""
    try:
        return (await stream.readline()).decode(errors="replace")
    except ValueError:
        return (await stream.read(2**16)).decode(errors="replace")
