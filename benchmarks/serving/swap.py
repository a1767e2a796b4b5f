"""What users notice of a release with another child taking the place of the one before, under open-loop load.

    python benchmarks/serving/swap.py REGISTRY [--rate 30] [--port 8190] [--rounds 3]

REGISTRY is copied, so nothing in it changes. A second release is made of its newest one by changing the temperature of one
child, and production goes to and fro between them. The endpoint runs on all cores but the last, the load on that one.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from load import Outcome, send

from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.deployments import Deployments, Wanted
from earthsnap_train.release.endpoint import Observed
from earthsnap_train.release.ledger import FileLedger
from earthsnap_train.release.registry import Registry

QUIET_S = 8.0
BEFORE_S = 2.0
LONGEST_SWAP_S = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("registry", type=Path)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        registry = Path(folder) / "registry"
        shutil.copytree(asked.registry, registry)
        family, names = two_releases(registry, Path(folder) / "other")
        golden = sorted(p for p in (registry / family / "1" / "golden").iterdir() if p.suffix != ".json")
        cores = sorted(os.sched_getaffinity(0))
        Deployments(FileLedger(registry)).want(family, "prod", Wanted(stable=names[0]))
        endpoint = subprocess.Popen(
            [sys.executable, "-m", "earthsnap_train", "serve", "endpoint=prod", f"family={family}",
             f"paths.registry={registry}", f"paths.journal={folder}/journal", f"deployment.prod.port={asked.port}"],
            preexec_fn=lambda: os.sched_setaffinity(0, cores[:-1] or cores),
        )  # fmt: skip
        os.sched_setaffinity(0, cores[-1:])
        try:
            swap = Swap(
                registry, family, f"http://127.0.0.1:{asked.port}", asked.rate, [p.read_bytes() for p in golden]
            )
            wait_for(swap.url, names[0])
            asyncio.run(swap.measure(names, asked.rounds))
        finally:
            endpoint.send_signal(signal.SIGTERM)
            endpoint.wait()


def two_releases(registry: Path, other: Path) -> tuple[str, list[str]]:
    """The family, the newest release, and one that differs from it in one child."""
    newest = Registry(registry).releases()[-1]
    shutil.copytree(newest.path, other, ignore=shutil.ignore_patterns("release.json", "report"))
    described = json.loads((other / "family.json").read_bytes())
    child = next(name for name in described["nodes"] if name.startswith("child/"))
    described["nodes"][child]["temperature"] *= 1.0001
    (other / "family.json").write_text(json.dumps(described))
    made, _ = Registry(registry).register(
        newest.family, release_digest(other), other, reasons=[], summary={}, lineage={}
    )  # fmt: skip
    return newest.family, [newest.name, made.name]


def wait_for(url: str, release: str) -> None:
    deadline = time.monotonic() + LONGEST_SWAP_S
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/v1/endpoint") as answer:
                seen = Observed.model_validate_json(answer.read())
            if seen.ready and seen.stable == release and list(seen.releases) == [release]:
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"{release} did not come up")


class Swap:
    def __init__(self, registry: Path, family: str, url: str, rate: float, bodies: list[bytes]) -> None:
        self.deployments = Deployments(FileLedger(registry))
        self.family, self.url, self.rate, self.bodies = family, url, rate, bodies

    async def measure(self, names: list[str], num_rounds: int) -> None:
        await self.load(2)
        print("| | requests | failed | p50 ms | p99 ms | longest ms | swap took s |\n|---|---|---|---|---|---|---|")
        for number in range(num_rounds):
            quiet = await self.load(QUIET_S)
            row("quiet", quiet, "")
            to = names[(number + 1) % 2]
            swapping = asyncio.create_task(asyncio.to_thread(self.swap, to))
            during = await self.load(QUIET_S)
            row(f"swap to {to}", during, f"{await swapping:.1f}")

    async def load(self, seconds: float) -> Outcome:
        return await send(f"{self.url}/invocations", self.bodies, rate=self.rate, seconds=seconds)

    def swap(self, to: str) -> float:
        """Seconds from the wish until the release before has ended."""
        time.sleep(BEFORE_S)
        began = time.monotonic()
        self.deployments.want(self.family, "prod", Wanted(stable=to))
        wait_for(self.url, to)
        return time.monotonic() - began


def row(label: str, outcome: Outcome, took: str) -> None:
    print(f"| {label} | {outcome.sent} | {outcome.failed} | {outcome.quantile_ms(0.5):.1f} | "
          f"{outcome.quantile_ms(0.99):.1f} | {outcome.quantile_ms(1):.1f} | {took} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
