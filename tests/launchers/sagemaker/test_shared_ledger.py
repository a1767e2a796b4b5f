"""A ledger that machines share loses nothing, whoever writes at once, dies on the way or wakes up too late."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.ledger import FileLedger, record
from earthsnap_train.release.locks import Held
from launchers.sagemaker.bucket import FolderBucket, Found, S3Bucket
from launchers.sagemaker.ledger import BucketLedger
from launchers.sagemaker.locks import BucketLocks
from tests.conftest import environment
from tests.launchers.sagemaker.account import BUCKET, REGION, Account

KEY = "registry/registry.sqlite"
WRITE = """
import sys
from launchers.sagemaker.bucket import S3Bucket
from launchers.sagemaker.ledger import BucketLedger
from launchers.sagemaker.locks import BucketLocks
from earthsnap_train.release.ledger import record
bucket = S3Bucket(sys.argv[1], kms_key=None, region=sys.argv[2])
ledger = BucketLedger(bucket, "registry/registry.sqlite", BucketLocks(bucket, "registry/locks"))
print("ready", flush=True)
sys.stdin.readline()
for number in range(4):
    with ledger.writing() as connection:
        record(connection, "approved", f"plants-{sys.argv[3]}", why=str(number), origin="test")
    assert [e.why for e in ledger.history(f"plants-{sys.argv[3]}")][-1] == str(number)
"""


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(tmp_path / "bucket")


@pytest.fixture
def machine(bucket: FolderBucket) -> Callable[[], BucketLedger]:
    """Another one with each call."""
    return lambda: BucketLedger(bucket, KEY, BucketLocks(bucket, "registry/locks"))


def say(ledger: BucketLedger, why: str = "") -> None:
    with ledger.writing() as connection:
        record(connection, "approved", "plants-1", why=why, who="anna", origin="test")


def test_what_one_machine_writes_another_reads(machine: Callable[[], BucketLedger]) -> None:
    one, other = machine(), machine()
    assert other.history() == []

    say(one, "first")
    say(machine(), "second")

    assert [entry.why for entry in one.history()] == ["first"], "read a moment ago"
    say(one, "third")
    assert [entry.why for entry in one.history()] == ["first", "second", "third"]
    assert [entry.id for entry in machine().history()] == [1, 2, 3]


def test_what_is_raised_inside_a_transaction_changes_nothing(
    machine: Callable[[], BucketLedger], bucket: FolderBucket
) -> None:
    ledger = machine()
    say(ledger)
    before = bucket.read(KEY)

    def interrupted() -> None:
        with ledger.writing() as connection:
            record(connection, "live", "plants-1", origin="test")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert bucket.read(KEY) == before
    assert [entry.action for entry in ledger.history()] == ["approved"]
    say(ledger)


def test_the_log_is_append_only_there_too(machine: Callable[[], BucketLedger]) -> None:
    say(machine())

    def cut(statement: str) -> None:
        with machine().writing() as connection:
            connection.execute(statement)

    for statement in ("DELETE FROM audit", "UPDATE audit SET who = 'ben'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            cut(statement)
    assert len(machine().history()) == 1


def test_a_writer_whose_lock_ran_out_changes_nothing_of_what_came_between(
    machine: Callable[[], BucketLedger], bucket: FolderBucket
) -> None:
    sleeper, other = machine(), BucketLedger(bucket, KEY, BucketLocks(bucket, "locks-of-its-own"))
    say(sleeper, "before")

    def sleep_too_long() -> None:
        with sleeper.writing() as connection:
            record(connection, "live", "plants-1", origin="test")
            say(other, "meanwhile")

    with pytest.raises(EnvironmentProblem, match="somebody else wrote meanwhile") as caught:
        sleep_too_long()

    assert "earthsnap history shows whether it was done" in caught.value.remedy
    assert [entry.why for entry in machine().history()] == ["before", "meanwhile"]
    say(sleeper, "after")
    assert [entry.why for entry in machine().history()] == ["before", "meanwhile", "after"]


class LosesAnswers(FolderBucket):
    """Writes, and then says what a request that was made again would be told: something else is there."""

    def put(self, key: str, content: bytes, *, over: Found | None) -> Found | None:
        super().put(key, content, over=over)
        return None


def test_a_write_whose_answer_was_lost_is_done_and_not_done_twice(bucket: FolderBucket) -> None:
    unlucky = LosesAnswers(bucket.root)
    ledger = BucketLedger(unlucky, KEY, BucketLocks(unlucky, "registry/locks"))

    say(ledger, "first")
    say(ledger, "second")

    assert [entry.why for entry in ledger.history()] == ["first", "second"]
    assert not BucketLocks(bucket, "registry/locks").is_held("ledger.lock")


def test_a_database_of_a_newer_program_is_neither_read_nor_written(
    machine: Callable[[], BucketLedger], bucket: FolderBucket, tmp_path: Path
) -> None:
    file = FileLedger(tmp_path / "file")
    with file.writing():
        pass
    with sqlite3.connect(file.file) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    bucket.write(KEY, file.file.read_bytes())

    for ask in (machine().history, lambda: say(machine())):
        with pytest.raises(EnvironmentProblem, match="a newer version of the program wrote this"):
            ask()


@pytest.mark.slow
def test_processes_that_write_at_once_lose_no_line_and_every_state_can_be_read_again(account: Account) -> None:
    command = [sys.executable, "-c", WRITE, BUCKET, REGION]
    writers = [
        subprocess.Popen(
            [*command, str(number)],
            env=environment(**account.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    assert [(writer.communicate(b"go\n"), writer.returncode)[1] for writer in _begun(writers)] == [0, 0]

    bucket = S3Bucket(BUCKET, kms_key=None, region=REGION)
    log = BucketLedger(bucket, KEY, BucketLocks(bucket, "registry/locks")).history()
    assert [entry.id for entry in log] == list(range(1, 9))
    for number in range(2):
        assert [entry.why for entry in log if entry.release == f"plants-{number}"] == [str(at) for at in range(4)]
    versions = account.client("s3").list_object_versions(Bucket=BUCKET, Prefix=KEY)["Versions"]
    assert len(versions) == 8


def _begun(writers: list["subprocess.Popen[bytes]"]) -> list["subprocess.Popen[bytes]"]:
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    return writers


# ---- locks


@pytest.fixture
def locks(bucket: FolderBucket) -> BucketLocks:
    return BucketLocks(bucket, "locks")


def test_one_at_a_time_holds_a_lock_and_others_see_it(locks: BucketLocks, bucket: FolderBucket) -> None:
    assert not locks.is_held("watch.lock")
    with locks.hold("watch.lock", timeout_s=0):
        assert locks.is_held("watch.lock")
        assert not locks.is_held("plants/rollout.lock")
        with pytest.raises(Held), BucketLocks(bucket, "locks").hold("watch.lock", timeout_s=0.1):
            pass
    assert not locks.is_held("watch.lock")
    with locks.hold("watch.lock", timeout_s=0):
        pass


def test_a_lock_whose_holder_says_nothing_more_is_taken_by_another_and_kept_by_it(
    bucket: FolderBucket, locks: BucketLocks
) -> None:
    silent = BucketLocks(bucket, "locks", say_again_s=3600)
    with locks.hold("a", timeout_s=0):  # lets go of it as it should
        pass
    with silent.hold("a", timeout_s=0):
        _age(bucket, "locks/a", 31)
        with locks.hold("a", timeout_s=0):
            pass
    with silent.hold("a", timeout_s=0):
        _age(bucket, "locks/a", 31)
        holding = locks.hold("a", timeout_s=0)
        holding.__enter__()
    assert locks.is_held("a"), "whoever woke up let go of a lock that was not theirs any more"
    holding.__exit__(None, None, None)


def test_a_holder_that_lives_keeps_its_lock(bucket: FolderBucket, locks: BucketLocks) -> None:
    with BucketLocks(bucket, "locks", say_again_s=0.02).hold("a", timeout_s=0):
        _age(bucket, "locks/a", 29)
        deadline = time.monotonic() + 5
        while _age_of(bucket, "locks/a") > 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _age_of(bucket, "locks/a") < 20
        with pytest.raises(Held), locks.hold("a", timeout_s=0):
            pass


def _age(bucket: FolderBucket, key: str, seconds: float) -> None:
    written = time.time() - seconds
    os.utime(bucket.root / key, (written, written))


def _age_of(bucket: FolderBucket, key: str) -> float:
    found = bucket.fetch(key)
    assert found is not None
    return found.age_s
