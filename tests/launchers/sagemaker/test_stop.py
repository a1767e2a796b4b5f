"""``stop run=NAME`` ends what a run has started and leaves alone what has ended."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from launchers.sagemaker.offline import OfflineService
from tests.conftest import DEMO, Said
from tests.launchers.sagemaker.declared import declared
from tests.launchers.sagemaker.test_execution import LISTS, SLEEPS, processing


def test_a_run_is_found_by_its_name_and_what_it_started_ends(earthsnap: Callable[..., Said], tmp_path: Path) -> None:
    root = tmp_path / "store" / "sagemaker"
    service = OfflineService(root, s3=root / "s3")
    executions = {}
    for name, code in (("long", SLEEPS), ("short", LISTS)):
        service.put(name, json.dumps({"Parameters": [], "Steps": [processing(name, code)]}), role="")
        executions[name] = service.start(name, {}, token=f"{name}-{'t' * 32}")
    folder = tmp_path / "outputs" / "plants" / "2026-11-26_12-00-00"
    folder.mkdir(parents=True)
    spec = declared(*DEMO, "launcher.execute=offline")
    (folder / "config.json").write_text(spec.model_dump_json(by_alias=True))
    events = [{"event": "execution", "execution": one, "pipeline": name} for name, one in executions.items()]
    lines = "".join(f"{json.dumps(one)}\n" for one in [{"event": "note"}, *events]).encode()
    half_written = '{"event": "note", "text": "é'.encode()[:-1]
    (folder / "events.jsonl").write_bytes(lines + half_written)
    _until(lambda: not service.progress(executions["short"]).is_running)
    _until(lambda: bool(service.progress(executions["long"]).steps))
    time.sleep(1)  # its job has begun, and listens

    said = earthsnap("stop", f"run={folder.name}", "--json")

    assert (said.code, said.json) == (0, {"run": folder.name, "stopped": ["long"]})
    _until(lambda: service.progress(executions["long"]).status == "Stopped")
    assert earthsnap("stop", f"run={folder.name}").out == f"nothing of {folder.name} runs elsewhere\n"


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it took more than a minute")


def test_a_run_that_is_not_there_is_told_with_those_that_are(earthsnap: Callable[..., Said], tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "plants" / "2026-11-26_12-00-00"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")

    said = earthsnap("stop", "run=2026-11-26_12-00-01")

    assert said.code == 2
    assert "there is no run '2026-11-26_12-00-01'" in said.err
    assert "Did you mean '2026-11-26_12-00-00'?" in said.err


def test_what_is_to_end_has_to_be_said(earthsnap: Callable[..., Said]) -> None:
    for typed in ((), ("endpoint=stage", "run=x")):
        said = earthsnap("stop", *typed)
        assert said.code == 2
        assert "stop: say what is to end" in said.err
