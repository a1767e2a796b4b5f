"""An endpoint of this machine, as a process in the background that outlives whoever started it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.endpoint import Observed
from earthsnap_train.serving.front_command import address, endpoint_command
from earthsnap_train.serving.front_place import Place
from earthsnap_train.spec.deployment import EndpointName, local
from earthsnap_train.spec.run import RunSpec

START_TIMEOUT_S = 60.0
OBSERVE_TIMEOUT_S = 10.0
END_TIMEOUT_S = 120.0
LOOK_EVERY_S = 0.05
MOST_LOG_BYTES = 50_000_000
NUM_LAST_LINES = 10
_DIRECT = build_opener(ProxyHandler({}))  # it is on this machine, whatever proxy leads elsewhere


class LocalEndpoint:
    """The port ``release.endpoint.Endpoint`` on this machine. ``command`` starts it; None: this program does."""

    def __init__(
        self, spec: RunSpec, family: str, endpoint: EndpointName, *, command: Sequence[str] | None = None
    ) -> None:  # fmt: skip
        on = local(spec.deployment)
        at = on.stage if endpoint == "stage" else on.prod
        self.url = address(at.host, at.port)
        self._place = Place(Path(spec.paths.registry).resolve(), family, endpoint)
        self._command = command or endpoint_command(spec, family, endpoint)

    def ensure(self) -> None:
        """Starts it where it does not run; returns once it can be observed, which may be before a release is loaded.

        Raises EnvironmentProblem with the last lines of its log where it does not come up.
        """
        process: subprocess.Popen[bytes] | None = None
        log_begin = 0
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._is_up():
                self._let_the_slower_end(process)
                return
            if not self._place.is_held():
                if process is None:
                    process, log_begin = self._start()
                elif process.poll() is not None:  # and no other one was faster to take the place
                    break
            time.sleep(LOOK_EVERY_S)
        raise EnvironmentProblem(
            f"the endpoint {self._place.endpoint} of {self._place.family} does not come up:\n{self._last_lines(log_begin)}",
            where=str(self._place.log),
        )

    def observe(self) -> Observed:
        """What it says of itself. Raises EnvironmentProblem where it does not answer."""
        try:
            with _DIRECT.open(f"{self.url}/v1/endpoint", timeout=OBSERVE_TIMEOUT_S) as response:
                seen = Observed.model_validate_json(response.read())
        except (URLError, OSError, ValueError) as error:
            raise EnvironmentProblem(
                f"the endpoint {self._place.endpoint} of {self._place.family} does not answer at {self.url}: {error}",
                where="endpoint",
                remedy=f"earthsnap serve endpoint={self._place.endpoint} family={self._place.family}, and look at "
                f"{self._place.log}",
            ) from error
        if (seen.family, seen.endpoint) != (self._place.family, self._place.endpoint):
            raise EnvironmentProblem(
                f"at {self.url} is the endpoint {seen.endpoint} of {seen.family}",
                where=f"deployment.{self._place.endpoint}.port",
                remedy="two families on one machine need endpoints at ports of their own",
            )
        return seen

    def stop(self) -> bool:
        """Ends it once it has answered what it had begun; whether it ran."""
        return stop(self._place)

    def _is_up(self) -> bool:
        running = self._place.running()
        if running is None:
            return False
        if running.url != self.url:
            raise EnvironmentProblem(
                f"the endpoint {self._place.endpoint} of {self._place.family} runs at {running.url}, not at {self.url}",
                where=f"deployment.{self._place.endpoint}.port",
                remedy=f"earthsnap stop endpoint={self._place.endpoint} family={self._place.family}, then again",
            )
        try:
            self.observe()
        except EnvironmentProblem:
            return False
        return True

    def _let_the_slower_end(self, process: subprocess.Popen[bytes] | None) -> None:
        """Where another one was faster to take the place: ours would take it after that one is stopped."""
        running = self._place.running()
        if process is not None and running is not None and running.pid != process.pid:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(START_TIMEOUT_S)

    def _start(self) -> tuple[subprocess.Popen[bytes], int]:
        self._place.folder.mkdir(parents=True, exist_ok=True)
        log = self._place.log
        if log.exists() and log.stat().st_size > MOST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as out:
            begin = out.tell()  # the process moves it on
            process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        return process, begin

    def _last_lines(self, begin: int) -> str:
        with self._place.log.open("rb") as log:
            log.seek(begin)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-NUM_LAST_LINES:])


def stop(place: Place) -> bool:
    """Ends the endpoint at this place once it has answered what it had begun; whether it ran."""
    deadline = time.monotonic() + END_TIMEOUT_S
    told = None
    while place.is_held():
        running = place.running()
        if running is not None and running.pid != told:
            told = running.pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, signal.SIGTERM)
        if time.monotonic() > deadline:
            raise EnvironmentProblem(
                f"the endpoint {place.endpoint} of {place.family} has not ended within {END_TIMEOUT_S:g} s",
                where="endpoint",
                remedy=f"kill -9 {told} ends it with all that it serves" if told else f"look at {place.log}",
            )
        time.sleep(LOOK_EVERY_S)
    return told is not None
