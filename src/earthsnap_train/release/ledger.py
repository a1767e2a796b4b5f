"""The registry's SQLite database: what was decided, what should be served, and a log to which is only added.

One immediate transaction per change, so that two people at once lose nothing; whoever changes something writes the log
entry in the same transaction. It is a port: ``FileLedger`` is the database as a file of this machine, in which WAL lets
endpoints and pages read while somebody writes.
"""

import getpass
import json
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import EnvironmentProblem

BUSY_TIMEOUT_S = 60  # transactions take milliseconds; a machine may stand still for longer

Action = Literal[
    "registered", "approved", "rejected",
    "staged", "tests passed", "waiting", "promoted", "canary", "live", "failed", "rolled back",
    "user added", "user removed", "signed in", "sign-in refused",
]  # fmt: skip

# What each version of the file adds; ``PRAGMA user_version`` counts them.
_MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS releases (
        family TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL,
        created REAL NOT NULL, reasons TEXT NOT NULL, summary TEXT NOT NULL,
        PRIMARY KEY (family, number), UNIQUE (family, digest)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, release TEXT NOT NULL,
        why TEXT NOT NULL
    ) STRICT;
    """,
    """
    ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT 'train';
    ALTER TABLE audit ADD COLUMN figures TEXT NOT NULL DEFAULT '{}';
    UPDATE audit SET action = 'registered', figures = json_object('state', substr(action, length('registered as ') + 1))
        WHERE action LIKE 'registered as %';
    CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_never_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_never_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_grows_at_its_end AFTER INSERT ON audit WHEN NEW.id < (SELECT max(id) FROM audit)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TABLE champions (
        id INTEGER PRIMARY KEY, family TEXT NOT NULL, number INTEGER NOT NULL, before INTEGER REFERENCES champions,
        at REAL NOT NULL
    ) STRICT;
    CREATE TABLE endpoints (
        family TEXT NOT NULL, endpoint TEXT NOT NULL, revision INTEGER NOT NULL, wanted TEXT NOT NULL,
        PRIMARY KEY (family, endpoint)
    ) STRICT;
    CREATE TABLE rollouts (
        id INTEGER PRIMARY KEY, family TEXT NOT NULL, number INTEGER NOT NULL, phase TEXT NOT NULL, step INTEGER NOT NULL,
        started REAL NOT NULL, since REAL NOT NULL, outcome TEXT, why TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX one_rollout_at_a_time ON rollouts (family) WHERE outcome IS NULL;
    CREATE TABLE users (login TEXT PRIMARY KEY, role TEXT NOT NULL, token_sha256 TEXT NOT NULL, added REAL NOT NULL) STRICT;
    CREATE TABLE cursors (name TEXT PRIMARY KEY, audit_id INTEGER NOT NULL) STRICT;
    """,
    """
    CREATE TABLE catalogued (
        family TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (family, number)
    ) STRICT;
    """,
)


class Entry(BaseModel):
    """One line of the log. ``origin``: the verb or page; ``figures``: what the decision was taken on."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: float
    who: str
    action: str
    release: str
    why: str
    origin: str
    figures: dict[str, object]

    @property
    def when(self) -> str:
        return local_time(self.at)


class Ledger(ABC):
    @abstractmethod
    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction: all of it, or, where something is raised, nothing."""

    @abstractmethod
    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """What a query finds; nothing where there is no registry yet."""

    def history(self, release: str | None = None, *, after: int = 0) -> list[Entry]:
        """Oldest first; those with an id above ``after``."""
        rows = self.rows(
            "SELECT id, at, who, action, release, why, origin, figures FROM audit "
            "WHERE id > ?1 AND (?2 IS NULL OR release = ?2) ORDER BY id",
            [after, release],
        )
        return [
            Entry.model_validate(dict(zip(Entry.model_fields, (*row[:-1], json.loads(str(row[-1]))), strict=True)))
            for row in rows
        ]


class FileLedger(Ledger):
    """``<root>/registry.sqlite``; made when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "registry.sqlite"

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        self.root.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.file, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            if not is_up_to_date(connection, str(self.file)):
                with FileLock(self.root / "registry.lock"):  # SQLite does not wait for others while it changes the mode
                    connection.execute("PRAGMA journal_mode=WAL")
                    bring_up_to_date(connection, str(self.file))
            with transaction(connection):
                yield connection
        finally:
            connection.close()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        if not self.file.is_file():
            return []
        connection = sqlite3.connect(self.file, timeout=BUSY_TIMEOUT_S)
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such" in str(error):  # another process is making it just now, or an older program made it
                with self.writing():
                    pass
                return connection.execute(query, values).fetchall()
            raise
        finally:
            connection.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Of a connection that begins none by itself."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def is_up_to_date(connection: sqlite3.Connection, where: str) -> bool:
    """Raises EnvironmentProblem where a newer version of the program wrote it."""
    version = _version(connection)
    if version > len(_MIGRATIONS):
        raise EnvironmentProblem(
            f"a newer version of the program wrote this (version {version} of the file)",
            where=where,
            allowed=f"versions up to {len(_MIGRATIONS)}",
            remedy="bring this installation up to date: pip install --upgrade earthsnap_train",
        )
    return version == len(_MIGRATIONS)


def bring_up_to_date(connection: sqlite3.Connection, where: str) -> None:
    """Keeps everything that an older program wrote. Whoever calls it is the only one who does."""
    if not is_up_to_date(connection, where):
        for number in range(_version(connection), len(_MIGRATIONS)):
            connection.executescript(f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def record(
    connection: sqlite3.Connection,
    action: Action,
    release: str,
    *,
    why: str = "",
    who: str | None = None,
    origin: str,
    figures: Mapping[str, object] | None = None,
) -> None:
    """Adds a line to the log, inside the transaction that it speaks of. ``who: None``: the user of this process."""
    assert action in get_args(Action), action
    connection.execute(
        "INSERT INTO audit (at, who, action, release, why, origin, figures) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [time.time(), who or _user(), action, release, why, origin, json.dumps(figures or {})],
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run as users that have no name
        return f"user {os.getuid()}"


def local_time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
