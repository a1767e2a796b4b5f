"""The log only grows, transactions are whole, and a file that an older program wrote is brought up to date with all of it."""

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.ledger import FileLedger, record
from earthsnap_train.release.locks import WATCH, FileLocks, watching
from earthsnap_train.release.registry import Registry
from tests.conftest import environment

# What the program wrote before its file had a version.
OLD = """
CREATE TABLE IF NOT EXISTS releases (
    family TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, reasons TEXT NOT NULL, summary TEXT NOT NULL,
    PRIMARY KEY (family, number), UNIQUE (family, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, release TEXT NOT NULL, why TEXT NOT NULL
) STRICT;
INSERT INTO releases VALUES ('plants', 1, 'abc', 'Rejected', 1.5, '["too bad"]', '{"top1": 0.25}');
INSERT INTO releases VALUES ('plants', 2, 'def', 'PendingApproval', 2.5, '[]', '{"top1": 0.75}');
INSERT INTO audit VALUES (1, 1.5, 'anna', 'registered as Rejected', 'plants-1', 'too bad');
INSERT INTO audit VALUES (2, 2.5, 'ben', 'registered as PendingApproval', 'plants-2', '');
"""


@pytest.fixture
def ledger(tmp_path: Path) -> FileLedger:
    return FileLedger(tmp_path / "registry")


@pytest.fixture
def old(ledger: FileLedger) -> FileLedger:
    ledger.root.mkdir()
    with sqlite3.connect(ledger.file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(OLD)
    connection.close()
    return ledger


def say(ledger: FileLedger, release: str = "plants-1", why: str = "") -> None:
    with ledger.writing() as connection:
        record(connection, "approved", release, why=why, who="anna", origin="test", figures={"top1": 0.5})


def test_a_line_says_who_when_what_why_from_where_and_on_what(ledger: FileLedger) -> None:
    say(ledger, why="looks good")

    (entry,) = ledger.history()
    assert (entry.who, entry.action, entry.release, entry.why) == ("anna", "approved", "plants-1", "looks good")
    assert (entry.origin, entry.figures) == ("test", {"top1": 0.5})
    assert entry.at > 1.6e9


def test_the_log_is_read_of_one_release_and_from_a_place_on(ledger: FileLedger) -> None:
    for release in ("plants-1", "plants-2", "plants-1"):
        say(ledger, release)

    assert [entry.id for entry in ledger.history()] == [1, 2, 3]
    assert [entry.id for entry in ledger.history("plants-1")] == [1, 3]
    assert [entry.id for entry in ledger.history(after=2)] == [3]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET who = 'ben'",
        "UPDATE OR REPLACE audit SET id = 2 WHERE id = 1",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 2",
        "REPLACE INTO audit (id, at, who, action, release, why) VALUES (2, 0, 'ben', 'approved', 'plants-1', '')",
        "INSERT OR REPLACE INTO audit (id, at, who, action, release, why) VALUES (1, 0, 'ben', 'live', 'plants-1', '')",
        "INSERT INTO audit (id, at, who, action, release, why) VALUES (0, 0, 'ben', 'approved', 'plants-1', '')",
        "INSERT INTO audit (id, at, who, action, release, why) VALUES (1, 0, 'ben', 'live', 'plants-1', '') "
        "ON CONFLICT (id) DO UPDATE SET who = 'ben'",
    ],
)
def test_not_even_raw_sql_changes_what_was_logged(ledger: FileLedger, statement: str) -> None:
    say(ledger)
    say(ledger)
    before = ledger.history()

    with sqlite3.connect(ledger.file) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()

    assert ledger.history() == before


def test_what_is_raised_inside_a_transaction_undoes_all_of_it(ledger: FileLedger) -> None:
    say(ledger)

    def interrupted() -> None:
        with ledger.writing() as connection:
            record(connection, "live", "plants-1", origin="test")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert [entry.action for entry in ledger.history()] == ["approved"]


def test_asking_makes_no_file(ledger: FileLedger) -> None:
    assert ledger.history() == []
    assert not ledger.root.exists()


# ---- files of older and newer programs


def test_an_older_file_is_brought_up_to_date_with_all_that_it_holds(old: FileLedger) -> None:
    registry = Registry(old.root)

    assert [(r.name, r.state, r.reasons, r.summary) for r in registry.releases()] == [
        ("plants-1", "Rejected", ("too bad",), {"top1": 0.25}),
        ("plants-2", "PendingApproval", (), {"top1": 0.75}),
    ]
    assert [(e.id, e.at, e.who, e.action, e.figures, e.release, e.why, e.origin) for e in old.history()] == [
        (1, 1.5, "anna", "registered", {"state": "Rejected"}, "plants-1", "too bad", "train"),
        (2, 2.5, "ben", "registered", {"state": "PendingApproval"}, "plants-2", "", "train"),
    ]
    assert registry.by_whom("plants-1").startswith(" by its gates on ")
    registry.reject("plants-2", why="on second thoughts", origin="test", who="ben")
    assert [entry.action for entry in old.history()] == ["registered", "registered", "rejected"]
    with sqlite3.connect(old.file) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM audit WHERE id = 1")
    connection.close()


def test_one_that_was_made_and_not_yet_filled_is_filled(ledger: FileLedger) -> None:
    ledger.root.mkdir()
    ledger.file.touch()

    assert ledger.history() == []
    say(ledger)
    assert len(ledger.history()) == 1


def test_many_readers_and_writers_meet_an_older_file_at_once(old: FileLedger) -> None:
    """Each sees everything that was in it, whoever brings it up to date."""
    start = threading.Barrier(8)
    seen: list[int] = []

    def meet(number: int) -> None:
        start.wait()
        if number % 2:
            say(old, why=str(number))
        seen.append(len([entry for entry in old.history() if entry.action == "registered"]))

    threads = [threading.Thread(target=meet, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [2] * 8
    assert sorted(entry.why for entry in old.history("plants-1") if entry.action == "approved") == list("1357")


def test_a_reader_goes_on_while_somebody_brings_the_file_up_to_date(old: FileLedger) -> None:
    reader = sqlite3.connect(old.file, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM audit").fetchone() == (2,)

    say(old)

    assert reader.execute("SELECT count(*) FROM audit").fetchone() == (2,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM audit").fetchone() == (3,)
    reader.close()


def test_a_file_of_a_newer_program_is_not_written_to(ledger: FileLedger) -> None:
    say(ledger)
    with sqlite3.connect(ledger.file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(EnvironmentProblem, match=r"a newer version of the program wrote this \(version 99"):
        say(ledger)
    assert len(ledger.history()) == 1


# ---- many processes

WRITE = """
import sys
from pathlib import Path
from earthsnap_train.release.ledger import FileLedger, record
ledger = FileLedger(Path(sys.argv[1]))
for number in range(60):
    with ledger.writing() as connection:
        record(connection, "approved", f"plants-{sys.argv[2]}", why=str(number), origin="test")
    assert any(entry.why == str(number) for entry in ledger.history(f"plants-{sys.argv[2]}"))
"""


def test_processes_that_write_and_read_at_once_lose_no_line_and_keep_their_order(ledger: FileLedger) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(ledger.root), str(number)], env=environment())
        for number in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]

    log = ledger.history()
    assert [entry.id for entry in log] == list(range(1, 181))
    assert [entry.at for entry in log] == sorted(entry.at for entry in log)
    for number in range(3):
        said = [entry.why for entry in log if entry.release == f"plants-{number}"]
        assert said == [str(at) for at in range(60)]


# ---- whether a watch runs


def _hold(path: Path, holds: "multiprocessing.synchronize.Event") -> None:  # type: ignore[name-defined]
    with FileLock(path):
        holds.set()
        threading.Event().wait()


def test_a_watch_is_seen_for_as_long_as_it_lives_however_it_ends(ledger: FileLedger) -> None:
    assert not watching(FileLocks(ledger.root))
    ledger.root.mkdir()
    context = multiprocessing.get_context("spawn")
    holds = context.Event()
    watch = context.Process(target=_hold, args=[ledger.root / WATCH, holds])
    watch.start()
    holds.wait()
    assert watching(FileLocks(ledger.root))

    watch.kill()
    watch.join()

    assert not watching(FileLocks(ledger.root))
