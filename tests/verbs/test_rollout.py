"""From approval to live by the commands that people type, with real releases behind real servers."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.registry import Registry
from earthsnap_train.serving.front_place import Place
from tests.conftest import Said, environment, program
from tests.launchers.rollout_kit import ENDPOINTS
from tests.serving.endpoint_kit import free_port, load, sweep

QUICK = (
    "deployment.stage.tests.load_s=1",
    "deployment.prod.canary.min_requests=20",
    "deployment.prod.steps=[{share: 0.2, bake_s: 1}, {share: 0.5, bake_s: 1}]",
    # Two trainings of the same tiny family are no good copies of one another.
    "deployment.prod.canary.min_agreement=0",
    "deployment.prod.canary.max_more_unsure=1",
)


class Typed:
    """Commands about a registry with two approved releases whose heads were taught differently."""

    def __init__(self, folder: Path, tiny: Callable[..., Any], earthsnap: Callable[..., Said]) -> None:
        self.root = folder / "registry"
        self.registry = Registry(self.root)
        for overrides in (("training=head",), ("training=head", "training.num_epochs=2")):
            bundle = folder / "bundle"
            shutil.copytree(tiny(*overrides).out("bundle"), bundle)
            self.registry.register("tiny", release_digest(bundle), bundle, reasons=(), summary={}, lineage={})
            shutil.rmtree(bundle)
        self.ports = [f"deployment.{name}.port={free_port()}" for name in ("stage", "prod")]
        self._earthsnap = earthsnap

    def __call__(self, *arguments: str) -> Said:
        return self._earthsnap(*arguments, *self.ports, *QUICK, "tracking=none")

    def in_a_process(self, *arguments: str) -> Said:
        done = subprocess.run(
            program(*arguments, *self.ports, *QUICK, "tracking=none"), capture_output=True, text=True, check=False
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def processes(self) -> list[psutil.Process]:
        found = []
        for name in ENDPOINTS:
            running = Place(self.root, "tiny", name).running()
            if running is not None:
                found.append(psutil.Process(running.pid))
        return found

    @property
    def prod(self) -> str:
        return f"http://127.0.0.1:{self.ports[1].partition('=')[2]}"


@pytest.fixture
def typed(
    tmp_path: Path, tiny: Callable[..., Any], earthsnap: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Typed]:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # the endpoints are processes of their own
    typed = Typed(tmp_path, tiny, earthsnap)
    yield typed
    left = [one for process in typed.processes() for one in (*process.children(recursive=True), process)]
    for process in left:
        with suppress(psutil.NoSuchProcess):  # one whose parent has just told it to end
            process.kill()
    psutil.wait_procs(left, timeout=10)
    for name in ENDPOINTS:
        sweep(Place(typed.root, "tiny", name))


@pytest.mark.slow
def test_from_approval_to_live_and_back(typed: Typed, tmp_path: Path) -> None:
    for number in (1, 2):
        assert typed("approve", f"release=tiny-{number}").code == 0
    said = typed("rollout", "release=tiny-1")
    assert said.code == 0, said.err + said.out
    assert "passed  golden answers: " in said.out
    assert f"at    {typed.prod}" in said.out

    photograph = next((typed.registry.get("tiny-1").path / "golden").glob("*.png")).read_bytes()
    told: list[Said] = []
    messages = f"deployment.messages.file={tmp_path / 'messages.jsonl'}"
    traffic = load(
        typed.prod, rate_per_s=20, body=photograph,
        during=lambda: told.append(typed.in_a_process("rollout", "release=tiny-2", messages, "--json")),
        **{"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    assert told[0].code == 0, told[0].err + told[0].out
    assert json.loads(told[0].out) == {"release": "tiny-2", "at": "live", "url": typed.prod}
    assert traffic.all_answered, traffic.codes
    assert [json.loads(line)["event"] for line in (tmp_path / "messages.jsonl").read_text().splitlines()] == ["live"]

    again = typed("rollout", "release=tiny-2")
    assert (again.code, "live  tiny-2, as it was already" in again.out) == (0, True)
    assert typed("rollback", "release=tiny-2", "why=odd", messages).code == 0
    assert json.loads((tmp_path / "messages.jsonl").read_text().splitlines()[-1])["event"] == "rolled back"
    assert typed("rollout", "release=tiny-1").code == 0


@pytest.mark.slow
def test_a_release_waits_in_stage_for_a_person(typed: Typed) -> None:
    typed("approve", "release=tiny-1")
    said = typed("rollout", "release=tiny-1", "deployment.prod.confirm=person")
    stage = f"http://127.0.0.1:{typed.ports[0].partition('=')[2]}"
    assert said.code == 0, said.err
    assert f"try it  {stage}/" in said.out
    assert "next    earthsnap promote release=tiny-1" in said.out
    assert load(stage, num=1).num == 1
    said = typed("promote", "release=tiny-1", "deployment.prod.confirm=person")
    assert said.code == 0, said.err
    assert "live  tiny-1" in said.out
    again = typed("promote", "release=tiny-1", "deployment.prod.confirm=person")
    assert (again.code, "as it was already" in again.out) == (0, True)


def test_what_is_not_approved_is_refused_with_the_command_that_mends_it(typed: Typed) -> None:
    said = typed("rollout", "release=tiny-1")
    assert said.code == 2
    assert "earthsnap approve release=tiny-1" in said.err
    said = typed("promote", "release=tiny-1")
    assert said.code == 2
    assert "tiny-1 does not wait in stage" in said.err
    assert typed("rollout", "release=tiny-9").code == 2
    assert typed.processes() == []


def test_a_watch_with_nothing_to_do_ends_at_once(typed: Typed) -> None:
    assert typed("watch", "once=true").code == 0
    assert typed.processes() == []
