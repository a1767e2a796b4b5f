"""What goes up to W&B's service, from this folder or a copied one, and what happens when nobody answers any more."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.spec.tracking import Wandb
from earthsnap_train.tracking.links import Links
from earthsnap_train.tracking.port import TrackedFamily
from earthsnap_train.tracking.upload import upload
from earthsnap_train.tracking.wandb import WandbTracker
from tests.conftest import Said
from tests.tracking.test_wandb import GROUP, KEY, SPEC
from tests.tracking.wandb_service import Arrived, service

LONG_S = 60.0


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> Iterator[Arrived]:
    with service() as there:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", there.url)
        yield there


def write(told: TrackedFamily, folder: Path, **changes: Any) -> str:
    return WandbTracker(Wandb.model_validate(SPEC | {"mode": "offline"} | changes)).tell(told, folder)


def run_of(arrived: Arrived, job_type: str) -> str:
    return next(name for name, run in arrived.runs.items() if run["jobType"] == job_type)


@pytest.mark.slow
def test_a_copied_folder_goes_up_whole(told: TrackedFamily, folder: Path, tmp_path: Path, arrived: Arrived) -> None:
    write(told, folder, registry="wandb-registry-model/plants")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere, symlinks=True)
    shutil.rmtree(folder)

    uploaded = upload(elsewhere, most_s=LONG_S)

    assert (uploaded.num_runs, uploaded.missing) == (3, "")
    taught, judged = run_of(arrived, "train-child"), run_of(arrived, "evaluate")
    assert arrived.runs[taught]["groupName"] == GROUP
    assert [line["loss"] for line in arrived.history[taught] if "loss" in line] == [1.5, 1.0]
    assert arrived.files_of("plants-dataset:d4ed00e3c324") == {"manifest.json": b'{"num_images": 9}'}
    assert arrived.files_of("plants-release:plants-1") == {"release.json": b'{"family": "plants"}'}
    assert b"rosa-canina" in arrived.files_of(f"run-{judged}-species:latest")["species.table.json"]
    pictures = [path for path in arrived.uploads if path.startswith(f"/run/{judged}/media/images/mistakes")]
    assert len(pictures) == 2
    assert sorted(arrived.uses) == sorted((run, "plants-dataset:d4ed00e3c324") for run in (taught, judged))
    assert arrived.linked == [("plants-release:plants-1", "plants")]
    assert arrived.unknown == []


@pytest.mark.slow
def test_what_is_there_is_not_sent_again(told: TrackedFamily, folder: Path, arrived: Arrived) -> None:
    write(told, folder)
    assert not upload(folder, most_s=LONG_S).missing
    sent = len(arrived.uploads), len(arrived.uses)

    again = upload(folder, most_s=LONG_S)

    assert (again.num_runs, again.missing) == (0, "")
    assert (len(arrived.uploads), len(arrived.uses)) == sent


@pytest.mark.slow
def test_with_a_key_and_a_service_a_run_is_online_at_its_end(
    told: TrackedFamily, folder: Path, arrived: Arrived
) -> None:
    assert write(told, folder, mode="auto") == f"W&B      online, project earthsnap, group {GROUP}"

    assert {run["jobType"] for run in arrived.runs.values()} == {"prepare", "train-child", "evaluate"}
    assert len(arrived.uses) == 2


@pytest.mark.slow
def test_a_service_that_falls_silent_is_left_within_seconds_and_the_rest_goes_up_later(
    told: TrackedFamily, folder: Path, arrived: Arrived
) -> None:
    write(told, folder)
    fell_silent: list[float] = []

    def fall_silent() -> None:
        while not arrived.runs:
            time.sleep(0.01)
        arrived.is_silent.set()
        fell_silent.append(time.monotonic())

    threading.Thread(target=fall_silent, daemon=True).start()
    uploaded = upload(folder, most_s=LONG_S)

    assert time.monotonic() - fell_silent[0] < 6
    assert uploaded.missing == f"3 of 3 runs are missing, for {arrived.url} fell silent"
    arrived.is_silent.clear()
    assert not upload(folder, most_s=LONG_S).missing
    assert len(arrived.uses) == 2


@pytest.mark.slow
def test_an_upload_that_takes_too_long_is_ended(told: TrackedFamily, folder: Path, arrived: Arrived) -> None:
    write(told, folder)
    began = time.monotonic()

    uploaded = upload(folder, most_s=0.1)

    assert time.monotonic() - began < 4
    assert uploaded.missing == "3 of 3 runs are missing, for the time was over"


@pytest.mark.slow
def test_links_that_did_not_go_up_are_counted_and_wait(told: TrackedFamily, folder: Path, arrived: Arrived) -> None:
    write(told, folder)
    links = Links.read(folder)
    assert links is not None
    lost = links.waiting[1].model_copy(update={"asset": "plants-dataset:nowhere"})
    links.model_copy(update={"waiting": (links.waiting[0], lost)}).write(folder)

    uploaded = upload(folder, most_s=LONG_S)

    assert uploaded.missing.startswith(
        "1 of 2 links between runs and artifacts are missing, for W&B refused them: see "
    )
    after = Links.read(folder)
    assert after is not None
    assert after.waiting == (lost,)
    assert "nowhere" in (folder / "wandb" / "sync.log").read_text()


@pytest.mark.slow
def test_a_link_that_is_refused_holds_up_none_behind_it(told: TrackedFamily, folder: Path, arrived: Arrived) -> None:
    write(told, folder)
    links = Links.read(folder)
    assert links is not None
    first, second = links.waiting
    lost = first.model_copy(update={"asset": "plants-dataset:nowhere"})
    links.model_copy(update={"waiting": (lost, second)}).write(folder)

    uploaded = upload(folder, most_s=LONG_S)

    assert uploaded.missing.startswith("1 of 2 links between runs and artifacts are missing")
    assert arrived.uses == [(second.run_id, second.asset)]
    after = Links.read(folder)
    assert after is not None
    assert after.waiting == (lost,)


@pytest.mark.slow
def test_no_copy_of_what_went_up_is_left_outside_the_runs_folder(
    told: TrackedFamily, folder: Path, tmp_path: Path, arrived: Arrived, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(told, folder)
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))

    assert not upload(folder, most_s=LONG_S).missing

    left = {path for path in (tmp_path / ".cache").rglob("*") if path.is_file() and path.suffix != ".log"}
    assert left == set()
    assert not (folder / "wandb" / "cache").exists()
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.slow
def test_the_key_is_in_no_log(told: TrackedFamily, folder: Path, arrived: Arrived) -> None:
    write(told, folder, mode="auto")

    assert "Finished syncing" in (folder / "wandb" / "sync.log").read_text()
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


# ---- the verb


@pytest.mark.slow
def test_sync_takes_up_every_run_that_waits(
    told: TrackedFamily, tmp_path: Path, arrived: Arrived, earthsnap: Callable[..., Said]
) -> None:
    for name in ("a", "b"):
        (tmp_path / "outputs" / "plants" / name).mkdir(parents=True)
        write(told, tmp_path / "outputs" / "plants" / name)

    said = earthsnap("sync")

    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [f"outputs/plants/{name}  3 runs are there" for name in ("a", "b")]
    assert len(arrived.runs) == 6
    assert earthsnap("sync").out == "nothing waits to be uploaded\n"


def test_sync_without_a_key_says_how_to_get_one(
    told: TrackedFamily, folder: Path, earthsnap: Callable[..., Said]
) -> None:
    write(told, folder)

    said = earthsnap("sync", f"run={folder}")

    assert said.code == 3
    assert "there is no key to W&B" in said.err
    assert "wandb login" in said.err


def test_sync_of_a_folder_without_runs_names_what_it_wants(tmp_path: Path, earthsnap: Callable[..., Said]) -> None:
    said = earthsnap("sync", f"run={tmp_path}")

    assert said.code == 2
    assert "this folder holds nothing for W&B" in said.err


def test_sync_to_nobody_says_so_within_seconds(
    told: TrackedFamily, folder: Path, earthsnap: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(told, folder)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:1")
    began = time.monotonic()

    said = earthsnap("sync", f"run={folder}")

    assert said.code == 3
    assert "offline, for http://127.0.0.1:1 does not answer" in said.out
    assert time.monotonic() - began < 5
