"""``gc`` takes what nobody needs, and nothing else."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from earthsnap_train.pipeline.store import Artifact, Store
from tests.conftest import FinishedRun, Said

Command = Callable[..., Said]
NEEDED, BASE, OLD, RECENT = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
A_MONTH_S = 30 * 86400


def publish(store: Store, key: str, *, base: str | None = None) -> Artifact:
    with store.building(key) as folder:
        (folder / "rows.csv").write_text(key)
        made_of = {"inputs": {"base": base} if base else {}}
        return store.publish(folder, key=key, kind="ingest", stage="ingest", made_of=made_of, seconds=1, num_images=1)  # type: ignore[arg-type]


def age(path: Path) -> None:
    then = time.time() - A_MONTH_S
    os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """``NEEDED`` is a family's last manifest and began with ``BASE``; nobody needs the others; ``RECENT`` is of today."""
    store = Store(tmp_path / "store")
    base = publish(store, BASE)
    publish(store, NEEDED, base=base.digest)
    publish(store, OLD)
    publish(store, RECENT)
    store.set_head("plants", "ingest", NEEDED)
    for key in (NEEDED, BASE, OLD):
        age(store.path(key) / "artifact.json")
    return store


def keys(store: Store) -> set[str]:
    return {artifact.key for artifact in store.all()}


def test_what_nobody_needed_for_a_week_goes(store: Store, earthsnap: Command) -> None:
    said = earthsnap("gc")

    assert said.code == 0
    assert keys(store) == {NEEDED, BASE, RECENT}
    assert "1 artifact and 0 left-over folders" in said.out


def test_a_dry_run_names_it_and_takes_nothing(store: Store, earthsnap: Command) -> None:
    said = earthsnap("gc", "dry_run=true")

    assert keys(store) == {NEEDED, BASE, OLD, RECENT}
    assert OLD[:12] in said.out
    assert "would be freed" in said.out


def test_what_was_used_lately_stays_however_old_it_is(store: Store, earthsnap: Command) -> None:
    store.used(OLD)

    earthsnap("gc")

    assert OLD in keys(store)


def test_without_days_to_keep_all_that_is_unneeded_goes(store: Store, earthsnap: Command) -> None:
    earthsnap("gc", "keep_days=0")

    assert keys(store) == {NEEDED, BASE}


def test_an_artifact_that_a_run_holds_stays(store: Store, earthsnap: Command) -> None:
    (store.root / "locks").mkdir(exist_ok=True)
    with FileLock(store.root / "locks" / f"{OLD}.lock"):
        said = earthsnap("gc")

    assert OLD in keys(store)
    assert said.out.startswith("0 artifacts")


def test_what_a_run_works_on_stays(store: Store, earthsnap: Command) -> None:
    scratch = store.scratch("e" * 40)
    age(scratch)

    with store.lock("e" * 40), store.building("e" * 40) as folder:
        age(folder)
        earthsnap("gc", "keep_days=0")
        assert folder.exists()

    assert scratch.exists()


def test_what_killed_runs_left_goes_with_time(store: Store, earthsnap: Command) -> None:
    fresh, stale = store.scratch("e" * 40), store.scratch("f" * 40)
    age(stale)

    said = earthsnap("gc")

    assert fresh.exists()
    assert not stale.exists()
    assert "1 left-over folder," in said.out


def test_a_finished_run_has_nothing_to_spare(finished_run: FinishedRun, earthsnap: Command) -> None:
    said = earthsnap("gc", "keep_days=0", "dry_run=true", *finished_run.paths)

    assert said.out.splitlines()[-1].startswith("0 artifacts")
