"""A real server process, and a client that speaks HTTP to it as strangers do."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsnap_train.release.registry import Registry
from earthsnap_train.serving.server import Start, start_of
from tests.conftest import declare, environment

JPEG = {"Content-Type": "image/jpeg"}


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a refusal."""
        return str(self.json["error"]["code"])


@dataclass(frozen=True, kw_only=True)
class Served:
    process: subprocess.Popen[str]
    port: int
    journal: Path

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(status=response.status, headers=dict(response.getheaders()), body=response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def identify(self, body: bytes, content_type: str = "image/jpeg") -> Reply:
        return self.ask("POST", "/v1/identify", body, {"Content-Type": content_type})

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def say(self, *lines: str) -> socket.socket:
        """A connection on which these header lines, and the empty one after them, were sent."""
        connection = self.connect()
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        return connection

    def metric(self, name: str) -> float:
        """A figure of ``/metrics``; 0 where nothing was counted yet."""
        lines = [line for line in self.get("/metrics").body.decode().splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def start(release: Path, folder: Path, **serving: object) -> Start:
    declared = declare("name=any").serving.model_copy(update={"workers": 1, **serving})
    return start_of(str(release), find=Registry(folder / "registry").get, journal=folder / "journal", serving=declared)


@contextmanager
def served(release: Path, folder: Path, **serving: object) -> Iterator[Served]:
    """``folder``: for the journal. ``serving``: what differs from the default declaration."""
    process = subprocess.Popen(
        start(release, folder, **serving).command,
        env={**os.environ, **environment()},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "answers at http://" in said, said
        yield Served(process=process, port=int(said.rpartition(":")[2]), journal=folder / "journal")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def until(condition: Any, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def reply_on(connection: socket.socket) -> Reply:
    """What was answered on a connection, headers and body."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Reply(status=response.status, headers=dict(response.getheaders()), body=response.read())
