"""Where an endpoint of this machine leaves its traces: lock, address and log, under ``<registry>/<family>/endpoints/``."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.spec.deployment import EndpointName

# Whoever asks whether an endpoint runs holds its lock for a moment.
LOCK_TIMEOUT_S = 0.3


class Running(BaseModel):
    """``<endpoint>.json``: which process, where it answers, and the folder with its servers' sockets."""

    model_config = ConfigDict(frozen=True)

    pid: int
    url: str
    sockets: str


class Place:
    """Of one endpoint of one family. The operating system lets go of the lock when its holder ends, in whatever way."""

    def __init__(self, registry: Path, family: str, endpoint: EndpointName) -> None:
        self.family = family
        self.endpoint = endpoint
        self.folder = registry / family / "endpoints"
        self.log = self.folder / f"{endpoint}.log"
        self._lock = self.folder / f"{endpoint}.lock"
        self._about = self.folder / f"{endpoint}.json"

    def is_held(self) -> bool:
        """Whether the endpoint runs, or is about to."""
        if not self._lock.exists():
            return False
        try:
            with FileLock(self._lock, timeout=0):
                return False
        except Timeout:
            return True

    def running(self) -> Running | None:
        """None where it does not run, or has not said yet where."""
        try:
            return Running.model_validate_json(self._about.read_bytes()) if self.is_held() else None
        except (FileNotFoundError, ValueError):
            return None

    @contextmanager
    def taken(self, url: str) -> Iterator[Path]:
        """Holds the place and gives a folder for sockets. Raises EnvironmentProblem where another process holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(self._lock, timeout=LOCK_TIMEOUT_S)
            lock.acquire()
        except Timeout:
            running = self.running()
            raise EnvironmentProblem(
                f"the endpoint {self.endpoint} of {self.family} runs already"
                + (f", as process {running.pid} at {running.url}" if running else ""),
                where="endpoint",
                remedy=f"earthsnap stop endpoint={self.endpoint} family={self.family}",
            ) from None
        try:
            self._clear()
            sockets = tempfile.mkdtemp(
                prefix="earthsnap-"
            )  # the path of a Unix socket has at most about 100 characters
            self._write(Running(pid=os.getpid(), url=url, sockets=sockets))
            yield Path(sockets)
        finally:
            self._clear()
            lock.release()

    def _write(self, running: Running) -> None:
        incoming = self._about.with_name(f"{self._about.name}.tmp")
        incoming.write_text(running.model_dump_json())
        incoming.replace(self._about)

    def _clear(self) -> None:
        """What this or an earlier process, which may have been killed, left behind."""
        try:
            sockets = Path(json.loads(self._about.read_bytes())["sockets"])
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return
        if sockets.name.startswith("earthsnap-"):
            shutil.rmtree(sockets, ignore_errors=True)
        self._about.unlink()
