"""The registry loses nothing and shows nothing half, whoever writes at once and whenever one of them is killed."""

import hashlib
import json
import random
import re
import sqlite3
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError, IntegrityError, NotFoundError
from earthsnap_train.release.registry import Registry, Release
from tests.conftest import environment
from tests.release.bundles import register

MANY = """
import sys, time
from pathlib import Path
from earthsnap_train.release.registry import Registry
root, bundle, start = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
registry = Registry(root)
print("ready", flush=True)
while not start.exists():
    time.sleep(0.001)
for digest in sys.argv[4:]:
    registry.register("plants", digest, bundle, reasons=(), summary={"top1": 0.5}, lineage={})
    print(digest, flush=True)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "nodes").mkdir(parents=True)
    for number in range(8):
        (folder / "nodes" / f"{number}.onnx").write_bytes(random.Random(number).randbytes(200_000))
    (folder / "family.json").write_text("{}")
    (folder / "artifact.json").write_text("the store's own")
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def put(registry: Registry, digest: str, bundle: Path, *reasons: str, family: str = "plants") -> tuple[Release, bool]:
    return registry.register(family, digest, bundle, reasons=reasons, summary={"top1": 0.9}, lineage={"dataset": "d"})


def test_releases_are_numbered_in_each_family(registry: Registry, bundle: Path) -> None:
    names = [put(registry, digest, bundle, family=family)[0].name for digest, family in
             (("a", "plants"), ("b", "plants"), ("a", "birds"), ("c", "plants"))]  # fmt: skip

    assert names == ["plants-1", "plants-2", "birds-1", "plants-3"]
    assert [release.name for release in registry.releases("plants")] == ["plants-1", "plants-2", "plants-3"]
    assert len(registry.releases()) == 4


def test_what_is_the_same_keeps_its_number_and_its_state(registry: Registry, bundle: Path) -> None:
    first, is_new = put(registry, "a", bundle, "family.top1 is only 0.2; at least 0.6 is required")
    put(registry, "b", bundle)

    again, is_new_again = put(registry, "a", bundle)

    assert (is_new, is_new_again) == (True, False)
    assert again == first
    assert registry.find("plants", "a") == first
    assert registry.find("plants", "z") is None


def test_a_release_waits_for_approval_unless_gates_rejected_it(registry: Registry, bundle: Path) -> None:
    waiting, _ = put(registry, "a", bundle)
    rejected, _ = put(registry, "b", bundle, "too bad", "too slow")

    assert (waiting.state, waiting.reasons) == ("PendingApproval", ())
    assert (rejected.state, rejected.reasons) == ("Rejected", ("too bad", "too slow"))
    assert registry.get("plants-2") == rejected
    assert registry.get("plants-2").summary == {"top1": 0.9}


def test_a_release_keeps_its_own_files_and_lists_their_digests(registry: Registry, bundle: Path) -> None:
    release, _ = put(registry, "a", bundle)

    described = json.loads((release.path / "release.json").read_text())
    present = {p.relative_to(release.path).as_posix() for p in release.path.rglob("*") if p.is_file()}
    assert present == {"release.json", "family.json", *(f"nodes/{number}.onnx" for number in range(8))}
    assert set(described["files"]) == present - {"release.json"}
    assert described["files"]["nodes/3.onnx"] == sha256(release.path / "nodes" / "3.onnx")
    assert (described["family"], described["number"], described["digest"]) == ("plants", 1, "a")
    assert described["lineage"] == {"dataset": "d"}


def test_the_first_report_stays(registry: Registry, bundle: Path) -> None:
    release, _ = put(registry, "a", bundle)

    registry.attach_report(release, "first")
    registry.attach_report(release, "second")

    assert [p.name for p in (release.path / "report").iterdir()] == ["report.html"]
    assert (release.path / "report" / "report.html").read_text() == "first"


def test_a_release_that_is_not_there_is_answered_with_the_nearest(registry: Registry, bundle: Path) -> None:
    with pytest.raises(NotFoundError, match="none is registered yet"):
        registry.get("plants-1")
    put(registry, "a", bundle)

    with pytest.raises(NotFoundError, match="Did you mean 'plants-1'"):
        registry.get("plant-1")


def test_every_registration_is_in_the_log(registry: Registry, bundle: Path) -> None:
    put(registry, "a", bundle)
    put(registry, "b", bundle, "too bad")
    put(registry, "a", bundle)

    with sqlite3.connect(registry.root / "registry.sqlite") as connection:
        log = connection.execute("SELECT action, release, why FROM audit ORDER BY id").fetchall()

    assert log == [
        ("registered", "plants-1", ""),
        ("registered", "plants-2", "too bad"),
    ]


def test_asking_an_absent_registry_makes_none(registry: Registry) -> None:
    assert registry.releases() == []
    assert not registry.root.exists()


def test_processes_that_register_at_once_lose_nothing(tmp_path: Path, registry: Registry, bundle: Path) -> None:
    shared = ["same-1", "same-2"]
    own = [[f"{process}-{number}" for number in range(4)] for process in range(3)]
    start = tmp_path / "start"
    processes = [_register(registry, bundle, start, *shared, *digests) for digests in own]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    start.touch()
    said = [process.communicate() for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], said
    releases = registry.releases("plants")
    assert [release.number for release in releases] == list(range(1, 15))
    assert sorted(r.digest for r in releases) == sorted([*shared, *(digest for digests in own for digest in digests)])
    for release in releases:
        _assert_whole(release)


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_nothing_half(tmp_path: Path, registry: Registry, bundle: Path) -> None:
    delays = random.Random(0)
    start = tmp_path / "start"
    start.touch()
    told: set[str] = set()
    for attempt in range(12):
        process = _register(registry, bundle, start, *(f"{attempt}-{number}" for number in range(1000)))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delays.uniform(0, 0.15))
        process.kill()
        told |= set(process.communicate()[0].split())

    releases = registry.releases("plants")

    assert told <= {release.digest for release in releases}
    assert [release.number for release in releases] == list(range(1, len(releases) + 1))
    for release in releases:
        _assert_whole(release)
    after, _ = put(registry, "after", bundle)
    assert after.number == len(releases) + 1
    folders = {p.name for p in (registry.root / "plants").iterdir() if p.is_dir()}
    assert folders == {str(number) for number in range(1, after.number + 1)}


def _register(registry: Registry, bundle: Path, start: Path, *digests: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", MANY, str(registry.root), str(bundle), str(start), *digests],
        env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _assert_whole(release: Release) -> None:
    described = json.loads((release.path / "release.json").read_text())
    assert described["digest"] == release.digest
    assert described["files"] == {name: sha256(release.path / name) for name in described["files"]}
    assert len(described["files"]) == 9


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- decisions


def actions(registry: Registry) -> list[str]:
    return [entry.action for entry in registry.ledger.history()]


def test_approving_twice_changes_nothing_and_is_not_logged_twice(registry: Registry) -> None:
    register(registry, 0)

    assert registry.approve("plants-1", why="looks good", origin="test", who="anna")
    assert not registry.approve("plants-1", why="me too", origin="test", who="ben")

    assert registry.get("plants-1").state == "Approved"
    assert actions(registry) == ["registered", "approved"]
    assert re.fullmatch(r" by anna on \d{4}-\d\d-\d\d \d\d:\d\d: looks good", registry.by_whom("plants-1"))


def test_a_rejection_is_overruled_only_by_who_says_so(registry: Registry) -> None:
    register(registry, 0, "too bad")
    register(registry, 1)
    registry.reject("plants-2", why="wrong names", origin="test", who="anna")

    for name, whose in (("plants-1", "its gates"), ("plants-2", "anna")):
        with pytest.raises(
            ConfigError, match=rf"{name} was rejected by {whose} on .*: (too bad|wrong names)\n.*anyway=true"
        ):
            registry.approve(name, why="", origin="test")
        assert registry.get(name).state == "Rejected"
        assert registry.approve(name, why="I know better", origin="test", anyway=True)
        assert registry.get(name).state == "Approved"

    assert [e.figures for e in registry.ledger.history() if e.action == "approved"] == [{"overruled": True}] * 2


@pytest.mark.parametrize("anyway", [False, True])
@pytest.mark.parametrize("broken", ["nodes/flat.onnx", "family.json", "taxonomy.parquet", "release.json", "digest"])
def test_a_release_that_is_not_what_was_registered_is_never_approved(
    registry: Registry, broken: str, anyway: bool
) -> None:
    release = register(registry, 0)
    if broken == "digest":
        with registry.ledger.writing() as connection:
            connection.execute("UPDATE releases SET digest = 'another'")
    else:
        (release.path / broken).write_bytes(b"broken")

    with pytest.raises(IntegrityError, match="is not what was registered"):
        registry.approve("plants-1", why="", origin="test", anyway=anyway)

    assert registry.get("plants-1").state == "PendingApproval"
    assert actions(registry) == ["registered"]


def test_rejecting_twice_changes_nothing(registry: Registry) -> None:
    register(registry, 0)
    assert registry.reject("plants-1", why="wrong names", origin="test", who="anna")
    assert not registry.reject("plants-1", why="me too", origin="test", who="ben")
    assert actions(registry) == ["registered", "rejected"]


@pytest.mark.parametrize("wanted", ["Approved", "Rejected"])
def test_a_decision_on_what_changed_since_one_looked_is_refused(registry: Registry, wanted: str) -> None:
    register(registry, 0)
    registry.approve("plants-1", why="looks good", origin="test", who="anna")
    if wanted == "Approved":
        registry.reject("plants-1", why="wrong names", origin="test", who="ben")
        decide, by, before = partial(registry.approve, anyway=True), "Rejected by ben", "Rejected"
    else:
        decide, by, before = registry.reject, "Approved by anna", "Approved"

    with pytest.raises(ConfigError, match=f"is no longer PendingApproval, as when you looked: {by}"):
        decide("plants-1", why="", origin="test", seen="PendingApproval")

    assert registry.get("plants-1").state == before
    assert decide("plants-1", why="so be it", origin="test", seen=before)
    assert registry.get("plants-1").state == wanted


def test_who_wants_what_another_did_meanwhile_has_it(registry: Registry) -> None:
    register(registry, 0)
    registry.approve("plants-1", why="", origin="test")
    assert not registry.approve("plants-1", why="", origin="test", seen="PendingApproval")


def test_a_release_that_waits_was_decided_by_nobody(registry: Registry) -> None:
    register(registry, 0)
    assert (registry.decision("plants-1"), registry.by_whom("plants-1")) == (None, "")


DECIDE = """
import random, sys, time
from pathlib import Path
from earthsnap_train.errors import ConfigError
from earthsnap_train.release.registry import Registry
from tests.release.bundles import register
root, start, who = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
registry, chance = Registry(root), random.Random(who)
print("ready", flush=True)
while not start.exists():
    time.sleep(0.001)
for number in range(25):
    name = f"plants-{chance.randint(1, 2)}"
    match chance.randrange(3):
        case 0:
            changed = registry.approve(name, why=f"{who} {number}", origin="test", who=who, anyway=True)
        case 1:
            changed = registry.reject(name, why=f"{who} {number}", origin="test", who=who)
        case _:
            register(registry, number + 100 * ord(who[0]))
            continue
    if changed:
        print(f"{who} {number}", flush=True)
"""


@pytest.mark.slow
def test_people_who_decide_at_once_lose_nothing(tmp_path: Path, registry: Registry) -> None:
    """Every change that somebody was told of is in the log once, and the log explains each state."""
    register(registry, 0)
    register(registry, 1)
    start = tmp_path / "start"
    people = [
        subprocess.Popen(
            [sys.executable, "-c", DECIDE, str(registry.root), str(start), who],
            env=environment(), stdout=subprocess.PIPE, text=True,
        )
        for who in ("anna", "ben", "cleo")
    ]  # fmt: skip
    for person in people:
        assert person.stdout is not None
        assert person.stdout.readline() == "ready\n"
    start.touch()
    told = [person.communicate()[0].splitlines() for person in people]

    assert [person.returncode for person in people] == [0, 0, 0]
    log = registry.ledger.history()
    assert [entry.id for entry in log] == list(range(1, len(log) + 1))
    decisions = [entry for entry in log if entry.action in ("approved", "rejected")]
    assert sorted(entry.why for entry in decisions) == sorted(line for lines in told for line in lines)
    for who, lines in zip(("anna", "ben", "cleo"), told, strict=True):
        assert [entry.why for entry in decisions if entry.who == who] == lines
    for name in ("plants-1", "plants-2"):
        said = [entry.action for entry in decisions if entry.release == name]
        assert said, "nobody decided anything"
        assert all(one != other for one, other in pairwise(said))
        assert registry.get(name).state.lower() == said[-1]
    assert len([entry for entry in log if entry.action == "registered"]) == len(registry.releases())
