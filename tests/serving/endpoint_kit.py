"""What tests of an endpoint need: the endpoint itself before stand-ins, wishes in a registry, and traffic."""

import asyncio
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.deployments import Deployments, Wanted
from earthsnap_train.release.endpoint import Observed
from earthsnap_train.release.ledger import FileLedger
from earthsnap_train.serving.front_place import Place
from earthsnap_train.spec.deployment import EndpointName
from earthsnap_train.spec.run import RunSpec
from launchers.endpoint import LocalEndpoint
from tests.conftest import declare, environment

FAMILY = "plants"
OLD, NEW = "plants-1", "plants-2"


def free_port() -> int:
    """Below those that the system gives to whoever asks for any, so that nobody gets it before it is taken."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


class EndpointKit:
    """One endpoint with a registry of its own. Releases need not be registered: stand-ins answer for any name."""

    def __init__(self, folder: Path, *overrides: str, endpoint: EndpointName = "prod", port: int | None = None) -> None:
        self.registry, self.orders = folder / "registry", folder / "orders"
        self.orders.mkdir(parents=True, exist_ok=True)
        self.spec: RunSpec = declare(
            "status", f"paths.registry={self.registry}", f"deployment.{endpoint}.port={port or free_port()}", *overrides
        )
        spec = folder / f"{endpoint}.spec.json"
        spec.write_text(self.spec.model_dump_json(by_alias=True))
        front = Path(__file__).with_name("front_of_stand_ins.py")
        self.command = [sys.executable, str(front), str(spec), FAMILY, endpoint, str(self.orders)]
        self.name: EndpointName = endpoint
        self.place = Place(self.registry, FAMILY, endpoint)
        self.local = LocalEndpoint(self.spec, FAMILY, endpoint, command=self.command)

    def start(self) -> None:
        os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
        self.local.ensure()

    def want(self, stable: str, **others: Any) -> None:
        if "watched_until" not in others and "canary" in others:
            others["watched_until"] = time.time() + 600
        Deployments(FileLedger(self.registry)).want(FAMILY, self.name, Wanted(stable=stable, **others))

    def forget_wish(self) -> None:
        """As after a first release that was rolled back."""
        with FileLedger(self.registry).writing() as connection:
            connection.execute("DELETE FROM endpoints")

    def serve(self, stable: str, **others: Any) -> None:
        """Wants it, starts the endpoint, and waits until it is so."""
        self.want(stable, **others)
        self.start()
        self.until(lambda seen: seen.ready)

    def until(self, true: Callable[[Observed], bool], *, within_s: float = 20) -> Observed:
        """A release that is not there yet is none of which anything is true."""
        deadline = time.monotonic() + within_s
        while True:
            seen = self.local.observe()
            with suppress(KeyError):
                if true(seen):
                    return seen
            assert time.monotonic() < deadline, f"{seen}\n{self.log}"
            time.sleep(0.02)

    def until_silent(self) -> None:
        """It takes no more requests."""
        with suppress(EnvironmentProblem):
            while self.local.observe():
                time.sleep(0.01)

    def tell(self, release: str, **orders: Any) -> None:
        """How the release's stand-in behaves from now on."""
        incoming = self.orders / f"{release}.tmp"
        incoming.write_text(json.dumps(orders))
        incoming.replace(self.orders / f"{release}.json")

    def num_asked(self, release: str) -> int:
        asked = self.orders / f"{release}.asked"
        return int(asked.read_text()) if asked.exists() else 0

    @property
    def pid(self) -> int:
        running = self.place.running()
        assert running is not None
        return running.pid

    def servers(self) -> dict[str, psutil.Process]:
        """The stand-ins that run, by their release; whoever started them."""
        found = {}
        for file in self.orders.glob("*.pid"):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(file.suffixes[-2][1:]))
                if process.status() != psutil.STATUS_ZOMBIE:
                    found[file.name.partition(".")[0]] = process
        return found

    @property
    def log(self) -> str:
        return self.place.log.read_text() if self.place.log.exists() else ""


@dataclass(kw_only=True)
class Traffic:
    """What the users of a load got: codes, how often each release answered, and latencies in seconds."""

    codes: dict[int, int] = field(default_factory=dict)
    by: dict[str, int] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)

    @property
    def num(self) -> int:
        return sum(self.codes.values())

    @property
    def all_answered(self) -> bool:
        return set(self.codes) == {200}


async def ask(
    session: aiohttp.ClientSession, url: str, traffic: Traffic, body: bytes, headers: Mapping[str, str]
) -> None:  # fmt: skip
    began = time.perf_counter()
    try:
        async with session.post(f"{url}/invocations", data=body, headers=headers) as response:
            said = await response.json()
            code, by = response.status, response.headers.get("X-Earthsnap-Release", "")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        code, by, said = 0, "", {"error": repr(error)}
    traffic.latencies_s.append(time.perf_counter() - began)
    traffic.codes[code] = traffic.codes.get(code, 0) + 1
    traffic.by[by] = traffic.by.get(by, 0) + 1
    traffic.answers.append(said)


def load(
    url: str,
    *,
    rate_per_s: float = 100,
    num: int | None = None,
    during: Callable[[], None] | None = None,
    body: bytes = b"a photograph",
    **headers: str,
) -> Traffic:
    """Open-loop: each request at its time, whether or not earlier ones were answered. ``num``, or for as long as ``during``."""

    async def run() -> Traffic:
        traffic = Traffic()
        sent = {"Content-Type": "image/jpeg", **headers}
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            other = asyncio.create_task(asyncio.to_thread(during)) if during is not None else None
            began = time.perf_counter()
            asked: list[asyncio.Task[None]] = []
            while (num is None or len(asked) < num) and (num is not None or (other is not None and not other.done())):
                await asyncio.sleep(max(0.0, began + len(asked) / rate_per_s - time.perf_counter()))
                asked.append(asyncio.create_task(ask(session, url, traffic, body, sent)))
            if other is not None:
                await other
            await asyncio.gather(*asked)
        return traffic

    return asyncio.run(run())


@contextmanager
def running_endpoint(kit: EndpointKit) -> Iterator[EndpointKit]:
    """Ends whatever of it still runs."""
    try:
        yield kit
    finally:
        running = kit.place.running()
        left = [*kit.servers().values(), *([psutil.Process(running.pid)] if running else [])]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        while kit.servers() or kit.place.is_held():
            time.sleep(0.01)
        sweep(kit.place)


def sweep(place: Place) -> None:
    """A killed endpoint leaves a folder of sockets to its next start: this is one, which ends at once and in order."""
    with place.taken("http://nobody"):
        pass
