"""An endpoint in front of the servers as they are, with releases as they are trained."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.deployments import Deployments, Wanted
from earthsnap_train.release.endpoint import Observed
from earthsnap_train.release.ledger import FileLedger
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.deployment import EndpointName
from launchers.endpoint import LocalEndpoint
from tests.conftest import Tiny, declare, environment
from tests.serving.endpoint_kit import free_port, load

pytestmark = pytest.mark.slow
FAMILY = "tiny"


class Home:
    """A registry with two releases, the second one sharper in one child, and their endpoint."""

    endpoint: EndpointName = "prod"

    def __init__(self, folder: Path, first: Path) -> None:
        self.registry = folder / "registry"
        second = folder / "second"
        shutil.copytree(first, second)
        described = json.loads((second / "family.json").read_bytes())
        described["nodes"]["child/rosaceae"]["temperature"] *= 1.01
        (second / "family.json").write_text(json.dumps(described))
        for bundle in (first, second):
            Registry(self.registry).register(
                FAMILY, release_digest(bundle), bundle, reasons=[], summary={}, lineage={}
            )  # fmt: skip
        paths = [f"paths.registry={self.registry}", f"paths.journal={folder / 'journal'}"]
        self.local = LocalEndpoint(
            declare("status", *paths, f"deployment.prod.port={free_port()}"), FAMILY, self.endpoint
        )
        self.photograph = next(p for p in (first / "golden").iterdir() if p.suffix != ".json").read_bytes()

    def serve(self, stable: str) -> None:
        Deployments(FileLedger(self.registry)).want(FAMILY, self.endpoint, Wanted(stable=stable))
        self.local.ensure()

    def until(self, true: Callable[[Observed], bool]) -> Observed:
        deadline = time.monotonic() + 30
        while not true(seen := self.local.observe()):
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)
        return seen


@pytest.fixture
def home(tmp_path: Path, tiny: Callable[..., Tiny], monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    home = Home(tmp_path, tiny().out("bundle"))
    yield home
    home.local.stop()


def test_a_child_is_swapped_under_load_and_no_request_fails(home: Home) -> None:
    home.serve("tiny-1")
    home.until(lambda seen: seen.ready)

    def swap() -> None:
        home.serve("tiny-2")
        home.until(lambda seen: seen.ready and seen.stable == "tiny-2" and list(seen.releases) == ["tiny-2"])

    traffic = load(home.local.url, rate_per_s=20, during=swap, body=home.photograph)

    assert traffic.all_answered, traffic.codes
    assert traffic.answers[0]["release"] == "tiny-1"
    assert load(home.local.url, num=1, body=home.photograph).by == {"tiny-2": 1}


@pytest.mark.parametrize("broken", ["family.json", "taxonomy.parquet", "nodes/parent.onnx"])
def test_a_release_whose_files_do_not_fit_is_refused_and_the_old_one_keeps_serving(home: Home, broken: str) -> None:
    home.serve("tiny-1")
    home.until(lambda seen: seen.ready)
    file = home.registry / FAMILY / "2" / broken
    file.write_bytes(file.read_bytes() + b" ")

    home.serve("tiny-2")

    seen = home.until(lambda seen: "tiny-2" in seen.releases and seen.releases["tiny-2"].state == "failed")
    assert f"{broken} is not what was registered" in seen.releases["tiny-2"].reason
    assert load(home.local.url, num=5, body=home.photograph).by == {"tiny-1": 5}


def test_a_release_that_the_registry_does_not_know_is_refused_by_name(home: Home) -> None:
    home.serve("tiny-9")
    seen = home.until(lambda seen: seen.releases["tiny-9"].state == "failed")
    assert "there is no release 'tiny-9'" in seen.releases["tiny-9"].reason


def test_servers_of_a_killed_endpoint_end_and_the_next_start_serves_again(home: Home) -> None:
    home.serve("tiny-1")
    home.until(lambda seen: seen.ready)
    front = psutil.Process(json.loads((home.registry / FAMILY / "endpoints" / "prod.json").read_bytes())["pid"])
    servers = front.children()
    assert servers

    front.kill()
    _, left = psutil.wait_procs([s for s in servers if s.status() != psutil.STATUS_ZOMBIE], timeout=10)
    assert not [server for server in left if server.status() != psutil.STATUS_ZOMBIE]
    home.local.ensure()

    home.until(lambda seen: seen.ready)
    assert load(home.local.url, num=5, body=home.photograph).all_answered
