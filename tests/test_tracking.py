"""What others are told of a run. W&B's own file is read back, as its service would read it."""

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.spec.tracking import NoTracking, Wandb
from earthsnap_train.tracking import TrackedRun, WandbTracker, key_is_there, tracker

RUNS = (
    TrackedRun(
        name="train/child/rosaceae",
        job_type="train-child",
        rows=[(5, {"loss": 1.5, "lr": 0.1}), (5, {"val_loss": 1.25}), (10, {"loss": 1.0})],
        summary={"test_top1": 0.75},
    ),
    TrackedRun(name="evaluate", job_type="evaluate", rows=[], summary={"top1": 0.5}),
)
GROUP = "plants/2026-11-22_10-00-00"
CONFIG = {"seed": 3, "training": {"lr": 0.5}}


@dataclass
class Told:
    """One run as its .wandb file has it."""

    group: str = ""
    name: str = ""
    job_type: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)


def records(log: bytes) -> Iterator[bytes]:
    """LevelDB's log: after a header of 7 bytes, blocks of 32 KiB with pieces of records (checksum, length, kind, bytes)."""
    assert log[:4] == b":W&B"
    block_bytes, header_bytes, last_kinds = 32768, 7, (1, 4)
    place, record = header_bytes, b""
    while place + header_bytes <= len(log):
        if block_bytes - place % block_bytes < header_bytes:
            place += block_bytes - place % block_bytes
        _, length, kind = struct.unpack_from("<IHB", log, place)
        record += log[place + header_bytes : place + header_bytes + length]
        place += header_bytes + length
        if kind in last_kinds:
            yield record
            record = b""


def values_of(items: Iterable[Any]) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def read_back(path: Path) -> Told:
    from wandb.proto import wandb_internal_pb2

    told = Told()
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        match record.WhichOneof("record_type"):
            case "run":
                run = record.run
                told.group, told.name, told.job_type = run.run_group, run.display_name, run.job_type
                told.project = run.project
                told.config |= {item.key: json.loads(item.value_json) for item in run.config.update}
            case "history":
                told.history.append(values_of(record.history.item))
            case "summary":
                told.summary |= values_of(record.summary.update)
    return told


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    # What telling sets for itself is gone afterwards.
    monkeypatch.setenv("WANDB_DATA_DIR", "")
    monkeypatch.setenv("WANDB_SILENT", "")


def tell(folder: Path, mode: str = "auto") -> str:
    spec = Wandb.model_validate({"kind": "wandb", "mode": mode, "project": "earthsnap", "entity": None})
    return WandbTracker(spec).tell(RUNS, group=GROUP, config=CONFIG, folder=folder)


def test_a_run_is_written_offline_as_it_was(tmp_path: Path) -> None:
    line = tell(tmp_path)
    sync = f"wandb sync {tmp_path}/wandb/offline-run-*"
    assert line == f"W&B      offline, for there is no key; to upload: {sync}"
    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    taught, evaluated = sorted(map(read_back, files), key=lambda told: told.job_type, reverse=True)
    assert (taught.group, taught.project, taught.job_type) == (GROUP, "earthsnap", "train-child")
    assert taught.name == f"{GROUP} train/child/rosaceae"
    assert {name: taught.config[name] for name in CONFIG} == CONFIG
    rows = [{k: v for k, v in row.items() if k == "_step" or not k.startswith("_")} for row in taught.history]
    assert rows == [{"_step": 5, "loss": 1.5, "lr": 0.1, "val_loss": 1.25}, {"_step": 10, "loss": 1.0}]
    assert taught.summary["test_top1"] == 0.75
    assert (evaluated.group, evaluated.job_type, evaluated.summary["top1"]) == (GROUP, "evaluate", 0.5)


def test_offline_by_choice_needs_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert tell(tmp_path, mode="offline").startswith("W&B      offline; to upload")


@pytest.mark.slow
@pytest.mark.parametrize("answers", [False, True], ids=["nobody-there", "somebody-who-never-answers"])
def test_a_service_that_cannot_be_used_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answers:
            server.listen(50)
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        line = tell(tmp_path)
    assert line.startswith("W&B      offline, for the service could not be used (")
    assert "\n" not in line
    assert len(list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))) == len(RUNS)


def test_without_a_key_nobody_is_asked_even_where_online_is_wanted(tmp_path: Path) -> None:
    """In a terminal of its own, where W&B would prompt."""
    import pty

    code = (
        "from pathlib import Path; from earthsnap_train.tracking import *; from earthsnap_train.spec.tracking import Wandb\n"
        "spec = Wandb(kind='wandb', mode='online', project='p', entity=None)\n"
        "run = TrackedRun(name='n', job_type='j', rows=[], summary={})\n"
        f"print(WandbTracker(spec).tell([run], group='g', config={{}}, folder=Path({str(tmp_path)!r})))"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, check=True
    )
    os.close(theirs)
    os.close(ours)
    assert b"offline, for there is no key" in done.stdout


def test_a_key_is_found_in_the_environment_and_in_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not key_is_there()
    login = tmp_path / ".netrc"
    login.write_text("machine example.org\n  login user\n  password x\n")
    login.chmod(0o600)
    assert not key_is_there()
    login.write_text("machine api.wandb.ai\n  login user\n  password x\n")
    assert key_is_there()
    login.unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert key_is_there()


def test_tracking_nobody_imports_no_wandb(tmp_path: Path) -> None:
    assert tracker(NoTracking(kind="none")).tell(RUNS, group=GROUP, config=CONFIG, folder=tmp_path) == ""
    code = (
        "import sys; from pathlib import Path; from earthsnap_train.tracking import tracker\n"
        "from earthsnap_train.spec.tracking import NoTracking\n"
        "tracker(NoTracking(kind='none')).tell([], group='', config={}, folder=Path('.'))\n"
        "assert 'wandb' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
