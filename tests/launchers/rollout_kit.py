"""What tests of a rollout need: releases that nobody trained, both endpoints before stand-ins, and a driver that one can kill.

``python rollout_kit.py front SPEC.json ENDPOINT ORDERS`` is such an endpoint, ``... drive SPEC.json RELEASE`` such a driver.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import psutil
from rich.console import Console

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.errors import EarthsnapError
from earthsnap_train.models.family import Family, Node
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.endpoint import Endpoint
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.serving.front import serve_endpoint
from earthsnap_train.serving.front_place import Place
from earthsnap_train.spec.deployment import EndpointName
from earthsnap_train.spec.run import RunSpec
from launchers.endpoint import LocalEndpoint
from launchers.rollout import Arrived, roll_out
from launchers.rollout_progress import Follower

FAMILY = "plants"
FIRST, SECOND, THIRD = (f"{FAMILY}-{number}" for number in (1, 2, 3))
SPECIES = tuple(f"rosa-{name}" for name in ("alba", "canina", "gallica", "rugosa"))
ENDPOINTS: tuple[EndpointName, ...] = ("stage", "prod")
QUICK = (
    "deployment.stage.tests.load_s=0.5",
    "deployment.stage.tests.rate_per_s=20",
    "deployment.prod.canary.min_requests=30",
    "deployment.prod.steps=[{share: 0.1, bake_s: 1}, {share: 0.5, bake_s: 1}]",
)


def make_release(registry: Registry, *, family: str = FAMILY, seed: int = 0, approved: bool = True) -> Release:
    """Registers what looks like a release: its networks are a few bytes, its golden photographs too."""
    folder = registry.root.parent / f"bundle-{family}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "golden").mkdir(parents=True)
    trunk, head = b"trunk", f"head {family} {seed}".encode()
    digests = [hashlib.sha256(data).hexdigest() for data in (trunk, head)]
    node = Node(
        targets="species", classes=SPECIES, temperature=1.0, trunk=digests[0], head=digests[1],
        trunk_multiply_adds=1, head_multiply_adds=1,
    )  # fmt: skip
    made = Family(
        architecture="flat", nodes={"flat": node}, species=SPECIES, group_of=dict.fromkeys(SPECIES, "rosales"), routing=None,
        preprocessing=Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bilinear"),
    )  # fmt: skip
    for name, data in ((f"trunks/{digests[0][:12]}.onnx", trunk), ("nodes/flat.onnx", head), ("taxonomy.parquet", b"")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "family.json").write_text(made.model_dump_json())
    answers = []
    for number in range(8):
        species = SPECIES[number % len(SPECIES)]
        (folder / "golden" / f"{number}.jpg").write_bytes(b"photograph" * 20 + bytes([number]))
        answers.append({"file": f"{number}.jpg", "species_id": species, "top": [[species, 0.95]]})
    (folder / "golden" / "answers.json").write_text(json.dumps(answers))
    release, _ = registry.register(
        family, release_digest(folder), folder, reasons=(), summary={"top1": 0.99, "macro_recall": 0.98}, lineage={}
    )
    if approved:
        registry.approve(release.name, why="", origin="test")
    return registry.get(release.name)


class RolloutKit:
    def __init__(self, folder: Path, *overrides: str) -> None:
        from tests.conftest import declare, environment
        from tests.serving.endpoint_kit import free_port

        os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]
        ports = [f"deployment.{name}.port={free_port()}" for name in ENDPOINTS]
        self.spec = declare("status", f"paths.registry={folder / 'registry'}", *ports, *QUICK, *overrides)
        self.spec_file = folder / "spec.json"
        self.spec_file.write_text(self.spec.model_dump_json(by_alias=True))
        self.registry = Registry(folder / "registry")
        self.deployments = Deployments(self.registry.ledger)
        self.endpoints = endpoints(self.spec, self.spec_file)
        self.folder = folder

    def tell(self, endpoint: EndpointName, release: str, **orders: Any) -> None:
        """How the release behaves at this endpoint from now on."""
        folder = orders_of(self.spec_file, endpoint)
        folder.mkdir(exist_ok=True)
        incoming = folder / f"{release}.tmp"
        incoming.write_text(json.dumps(orders))
        incoming.replace(folder / f"{release}.json")

    def roll_out(self, release: str, *, stop: threading.Event | None = None) -> Arrived:
        return drive(self.spec, self.spec_file, release, stop)

    def start(self, release: str) -> "subprocess.Popen[str]":
        """The same, in a process that one can kill."""
        return subprocess.Popen(
            [sys.executable, __file__, "drive", str(self.spec_file), release],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def pid(self, endpoint: EndpointName) -> int:
        running = Place(self.registry.root, FAMILY, endpoint).running()
        assert running is not None
        return running.pid

    @property
    def photograph(self) -> bytes:
        return (self.registry.get(FIRST).path / "golden" / "0.jpg").read_bytes()

    @property
    def live(self) -> str:
        return f"{FAMILY}-{self.deployments.champion(FAMILY)}"

    def log(self, release: str) -> list[str]:
        return [entry.action for entry in self.registry.ledger.history(release)]

    def figures(self, release: str) -> dict[str, Any]:
        """Of the last decision about it."""
        return self.registry.ledger.history(release)[-1].figures


@contextmanager
def ended_afterwards(kit: RolloutKit) -> Iterator[RolloutKit]:
    from tests.serving.endpoint_kit import sweep

    try:
        yield kit
    finally:
        left = []
        for endpoint in ENDPOINTS:
            if (running := Place(kit.registry.root, FAMILY, endpoint).running()) is not None:
                with suppress(psutil.NoSuchProcess):
                    front = psutil.Process(running.pid)
                    left += [*front.children(recursive=True), front]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(left, timeout=10)
        for endpoint in ENDPOINTS:
            sweep(Place(kit.registry.root, FAMILY, endpoint))


def orders_of(spec_file: Path, endpoint: EndpointName) -> Path:
    return spec_file.with_name(f"orders-{endpoint}")


def endpoints(spec: RunSpec, spec_file: Path) -> Mapping[EndpointName, Endpoint]:
    return {
        name: LocalEndpoint(
            spec, FAMILY, name, command=[sys.executable, __file__, "front", str(spec_file), name]
        )
        for name in ENDPOINTS
    }  # fmt: skip


def drive(spec: RunSpec, spec_file: Path, release: str, stop: threading.Event | None = None) -> Arrived:
    with Follower(Console()) as follower:
        return roll_out(
            release, Registry(Path(spec.paths.registry)), spec.deployment, endpoints(spec, spec_file), follower,
            precision=spec.serving.precision, origin="test", stop=stop,
        )  # fmt: skip


def main(what: str, spec_file: Path, name: str) -> None:
    spec = RunSpec.model_validate_json(spec_file.read_bytes())
    if what == "drive":
        print(drive(spec, spec_file, name))
        return

    def command(release: str, socket: Path) -> list[str]:
        stand_in = Path(__file__).with_name("release_stand_in.py")
        orders = orders_of(spec_file, cast(EndpointName, name))
        return [sys.executable, str(stand_in), release, str(socket), str(orders), spec.paths.registry]

    serve_endpoint(spec, Registry(Path(spec.paths.registry)), FAMILY, cast(EndpointName, name), command=command)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    except EarthsnapError as error:
        sys.exit(f"error: {error}")
