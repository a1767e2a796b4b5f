"""A rollout of releases that were really trained, answered by the real server, as the container runs it."""

import http.client
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.serving.minutes import VARIABLE
from tests.launchers.sagemaker.hosted_kit import HostedKit
from tests.serving.served import Served, served

NAME = "tiny"


class Containers:
    """Starts one for each folder of a release's files, as they lie in the bucket, and keeps what it printed."""

    def __init__(self, folder: Path) -> None:
        self.bucket = folder / "bucket"
        self._stack = ExitStack()
        self._running: dict[str, Served] = {}

    def __call__(self, place: str, body: bytes, content_type: str, attributes: str | None) -> tuple[int, bytes]:
        if place not in self._running:
            self._running[place] = self._stack.enter_context(served(self.bucket / place, self.bucket))
        headers = {"Content-Type": content_type}
        if attributes is not None:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        connection = http.client.HTTPConnection("127.0.0.1", self._running[place].port, timeout=60)
        connection.request("POST", "/invocations", body, headers)
        response = connection.getresponse()
        said = response.status, response.read()
        connection.close()
        return said

    def last_words(self, place: str) -> list[str]:
        """What a container printed until it was told to end."""
        container = self._running[place]
        container.end()
        assert container.process.stdout is not None
        return container.process.stdout.read().splitlines()

    def end(self) -> None:
        self._stack.close()


@pytest.fixture
def containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Containers]:
    monkeypatch.setenv(VARIABLE, f"{NAME}-prod")  # as the model's environment says
    containers = Containers(tmp_path)
    yield containers
    containers.end()


@pytest.mark.slow
def test_trained_releases_pass_their_tests_over_invocations_alone_and_go_live(
    tmp_path: Path, tiny: Callable[..., Any], containers: Containers
) -> None:
    kit = HostedKit(tmp_path, family=NAME, answer=containers)
    for unsure_below in (0.7, 0.6):  # releases that differ in a threshold; a second training would take longer
        bundle = tmp_path / "bundle"
        shutil.copytree(tiny("training=head").out("bundle"), bundle)
        family = json.loads((bundle / "family.json").read_bytes())
        (bundle / "family.json").write_text(json.dumps(family | {"unsure_below": unsure_below}))
        release, _ = kit.registry.register(NAME, release_digest(bundle), bundle, reasons=(), summary={}, lineage={})
        shutil.rmtree(bundle)
        kit.registry.approve(release.name, why="", origin="test")

        kit.roll_out(release.name)

        assert (kit.live, kit.serves(f"{NAME}-prod")) == (release.name, release.name)
        [passed] = [one for one in kit.registry.ledger.history(release.name) if one.action == "tests passed"]
        assert set(passed.figures) == {"identity", "golden answers", "accuracy", "load", "memory", "bad input"}

    [told] = [line for line in containers.last_words(kit.aws.place(f"{NAME}-stage")) if line.startswith("{")]
    figures = json.loads(told)
    assert figures["Release"] == f"{NAME}-2"
    assert figures["Requests"] > len(list((tmp_path / "registry" / NAME / "2" / "golden").iterdir()))
