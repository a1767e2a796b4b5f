"""Good traffic beside hostile files: how much slower are those who mean no harm?

    PYTHONPATH=. python benchmarks/serving/hostile.py RELEASE [rate=20] [seconds=40] [hostile_rate=20]

The server has core 0 to itself, the load generator core 1. Good requests leave at their appointed times; first alone, then
while every hostile file is sent, at a rate of its own, again and again. One run of each, printed as a table.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil
from load import Outcome, send  # type: ignore[import-not-found]

from earthsnap_train.release.registry import Registry
from earthsnap_train.serving.server import start_of
from tests.conftest import declare, environment
from tests.serving.hostile import Hostile, files

SERVER_CORE, LOAD_CORE = {0}, {1}
LARGE = 1 << 20


async def attack(url: str, hostile: list[Hostile], rate: float, ended: asyncio.Event) -> dict[int | str, int]:
    """One after the other at their appointed times, until ``ended``."""
    counted: dict[int | str, int] = {}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def one(file: Hostile) -> None:
            code: int | str
            try:
                async with session.post(url, data=file.body, headers={"Content-Type": file.content_type}) as response:
                    await response.read()
                    code = response.status
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                code = type(error).__name__
            counted[code] = counted.get(code, 0) + 1

        begun = time.perf_counter()
        tasks = []
        for number, file in enumerate(itertools.cycle(hostile)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            if ended.is_set():
                break
            tasks.append(asyncio.create_task(one(file)))
        await asyncio.gather(*tasks)
    return counted


async def measure(
    url: str, bodies: list[bytes], hostile: list[Hostile], rate: float, seconds: float, many: float
) -> None:
    await send(url, bodies, rate=rate, seconds=5)
    alone: Outcome = await send(url, bodies, rate=rate, seconds=seconds)
    ended = asyncio.Event()
    attacking = asyncio.create_task(attack(url, hostile, many, ended))
    await asyncio.sleep(1)
    beside: Outcome = await send(url, bodies, rate=rate, seconds=seconds)
    ended.set()
    counted = await attacking
    print(f"hostile: {sum(counted.values())} at {many:g}/s, answered {counted}")
    print(f"{'':12}{'alone':>10}{'beside':>10}{'times':>8}")
    for name, share in (("median ms", 0.5), ("p95 ms", 0.95), ("p99 ms", 0.99)):
        first, second = alone.quantile_ms(share), beside.quantile_ms(share)
        print(f"{name:12}{first:10.1f}{second:10.1f}{second / first:8.2f}")
    print(f"{'failed':12}{alone.failed:10}{beside.failed:10}")


def main() -> None:
    release = Path(sys.argv[1])
    given = dict(one.split("=") for one in sys.argv[2:])
    rate, seconds, many = (float(given.pop(n, d)) for n, d in (("rate", 20), ("seconds", 40), ("hostile_rate", 20)))
    serving = declare("name=any", *(f"serving.{key}={value}" for key, value in given.items())).serving
    bodies = [path.read_bytes() for path in sorted((release / "golden").iterdir()) if path.suffix != ".json"]
    hostile = [one for one in files() if len(one.body) <= LARGE or "--large" in sys.argv]
    with tempfile.TemporaryDirectory() as folder:
        start = start_of(
            str(release), find=Registry(Path(folder)).get, journal=Path(folder), serving=serving, port=8179
        )
        server = subprocess.Popen(
            start.command,
            env=environment(),
            preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORE),
            stdout=subprocess.PIPE,
        )
        os.sched_setaffinity(0, LOAD_CORE)
        try:
            assert server.stdout is not None
            print(server.stdout.readline().decode(), end="")
            before = psutil.Process(server.pid).memory_info().rss
            asyncio.run(measure("http://127.0.0.1:8179/v1/identify", bodies, hostile, rate, seconds, many))
            after = psutil.Process(server.pid).memory_info().rss
            print(f"memory {before / (1 << 20):.0f} MB before, {after / (1 << 20):.0f} MB after")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
