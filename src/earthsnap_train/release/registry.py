"""The local registry: numbered releases of each family, their approval state, and a log to which is only added.

SQLite keeps what is decided (WAL, one immediate transaction per change, so that two people at once lose nothing);
``<family>/<number>/`` keeps the release itself, put there whole by one rename before it gets its row.
"""

import getpass
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import NotFoundError, did_you_mean

State = Literal["PendingApproval", "Approved", "Rejected"]
BUSY_TIMEOUT_S = 60  # copying a release into its place is part of the transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS releases (
    family TEXT NOT NULL, number INTEGER NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL,
    created REAL NOT NULL, reasons TEXT NOT NULL, summary TEXT NOT NULL,
    PRIMARY KEY (family, number), UNIQUE (family, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, release TEXT NOT NULL, why TEXT NOT NULL
) STRICT;
"""


class Release(BaseModel):
    """One entry. ``digest`` names what it is; ``reasons`` why gates rejected it; ``path`` where its files lie."""

    model_config = ConfigDict(frozen=True)

    family: str
    number: int
    digest: str
    state: State
    created: float
    reasons: tuple[str, ...]
    summary: dict[str, float]
    path: Path

    @property
    def name(self) -> str:
        return f"{self.family}-{self.number}"


class Registry:
    """A folder with ``registry.sqlite`` and the releases."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self.root.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.root / "registry.sqlite", timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            with FileLock(self.root / "registry.lock"):  # SQLite does not wait for others while it changes the mode
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(_SCHEMA)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[object, ...]]:
        if not (self.root / "registry.sqlite").is_file():
            return []
        connection = sqlite3.connect(self.root / "registry.sqlite", timeout=BUSY_TIMEOUT_S)
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # another process is making the registry just now
                return []
            raise
        finally:
            connection.close()

    def releases(self, family: str | None = None) -> list[Release]:
        """Oldest first."""
        rows = self._rows(
            "SELECT family, number, digest, state, created, reasons, summary FROM releases "
            "WHERE ?1 IS NULL OR family = ?1 ORDER BY family, number",
            [family],
        )
        return [self._release(row) for row in rows]

    def _release(self, row: tuple[object, ...]) -> Release:
        family, number, digest, state, created, reasons, summary = row
        return Release.model_validate(
            {
                "family": family, "number": number, "digest": digest, "state": state, "created": created,
                "reasons": json.loads(str(reasons)), "summary": json.loads(str(summary)),
                "path": self.root / str(family) / str(number),
            }
        )  # fmt: skip

    def get(self, name: str) -> Release:
        """The release called ``plants-7``. Raises NotFoundError naming the nearest."""
        known = {release.name: release for release in self.releases()}
        if name not in known:
            raise NotFoundError(
                f"there is no release {name!r}",
                where="release",
                allowed=", ".join(list(known)[-8:]) or "none is registered yet",
                remedy=did_you_mean(name, known) or "earthsnap status lists them",
            )
        return known[name]

    def find(self, family: str, digest: str) -> Release | None:
        return next((r for r in self.releases(family) if r.digest == digest), None)

    def register(
        self,
        family: str,
        digest: str,
        bundle: Path,
        *,
        reasons: Sequence[str],
        summary: dict[str, float],
        lineage: dict[str, str],
    ) -> tuple[Release, bool]:
        """(the release, whether it is new). A digest that is known keeps its number and its state.

        ``reasons``: the gates that failed; with any the release is born Rejected, else it waits for approval.
        """
        if (known := self.find(family, digest)) is not None:
            return known, False
        state: State = "Rejected" if reasons else "PendingApproval"
        with self._writing() as connection:
            taken = connection.execute(
                "SELECT family, number, digest, state, created, reasons, summary FROM releases WHERE family = ? AND digest = ?",
                [family, digest],
            ).fetchone()
            if taken is not None:
                return self._release(taken), False
            (highest,) = connection.execute("SELECT max(number) FROM releases WHERE family = ?", [family]).fetchone()
            number = (highest or 0) + 1
            final, incoming = self.root / family / str(number), self.root / family / "incoming"
            for left_over in (final, incoming):  # of a writer that was killed before its row was written
                shutil.rmtree(left_over, ignore_errors=True)
            shutil.copytree(bundle, incoming, ignore=shutil.ignore_patterns("artifact.json"))
            description = {
                "format": 1, "family": family, "number": number, "digest": digest, "lineage": lineage,
                "files": _digests(incoming),
            }  # fmt: skip
            (incoming / "release.json").write_text(json.dumps(description, indent=1, sort_keys=True))
            incoming.rename(final)
            now = time.time()
            connection.execute(
                "INSERT INTO releases VALUES (?, ?, ?, ?, ?, ?, ?)",
                [family, number, digest, state, now, json.dumps(list(reasons)), json.dumps(summary)],
            )
            connection.execute(
                "INSERT INTO audit (at, who, action, release, why) VALUES (?, ?, ?, ?, ?)",
                [now, getpass.getuser(), f"registered as {state}", f"{family}-{number}", "; ".join(reasons)],
            )
        return self.get(f"{family}-{number}"), True

    def attach_report(self, release: Release, html: str) -> None:
        """Keeps the page with the release that it speaks of; the first stays."""
        path = release.path / "report" / "report.html"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            incoming = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            incoming.write_text(html, encoding="utf-8")
            incoming.replace(path)


def _digests(folder: Path) -> dict[str, str]:
    import hashlib

    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
