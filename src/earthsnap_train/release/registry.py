"""The local registry: numbered releases of each family, their approval state, and a log to which is only added.

The ledger keeps what is decided; ``<family>/<number>/`` keeps the release itself, put there whole by one rename before it
gets its row.
"""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import ConfigError, NotFoundError, did_you_mean
from earthsnap_train.release.ledger import Ledger, record

State = Literal["PendingApproval", "Approved", "Rejected"]
_COLUMNS = "family, number, digest, state, created, reasons, summary"


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
        self.ledger = Ledger(root)

    def releases(self, family: str | None = None) -> list[Release]:
        """Oldest first."""
        rows = self.ledger.rows(
            f"SELECT {_COLUMNS} FROM releases WHERE ?1 IS NULL OR family = ?1 ORDER BY family, number",  # noqa: S608
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
        with self.ledger.writing() as connection:
            taken = connection.execute(
                f"SELECT {_COLUMNS} FROM releases WHERE family = ? AND digest = ?",  # noqa: S608
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
            connection.execute(
                "INSERT INTO releases VALUES (?, ?, ?, ?, ?, ?, ?)",
                [family, number, digest, state, time.time(), json.dumps(list(reasons)), json.dumps(summary)],
            )
            name = f"{family}-{number}"
            record(connection, "registered", name, why="; ".join(reasons), origin="train", figures={"state": state})
        return self.get(name), True

    def approve(
        self,
        name: str,
        *,
        why: str,
        origin: str,
        who: str | None = None,
        anyway: bool = False,
        seen: State | None = None,
    ) -> bool:
        """Whether this changed anything: False where it was approved before, which the log then does not repeat.

        ``seen``: the state on which the person decided. Raises ConfigError where somebody changed it meanwhile, or where the
        release is rejected and ``anyway`` does not overrule that; IntegrityError where its files are not what was registered.
        """
        from earthsnap_train.release.load import verify

        release = self.get(name)
        if release.state == "Approved" and seen in (None, "Approved"):
            return False
        verify(release.path, digest=release.digest)
        with self.ledger.writing() as connection:
            state = self._state(connection, release, seen)
            if state == "Approved":
                return False
            if state == "Rejected" and not anyway:
                raise ConfigError(
                    f"{name} was rejected{self._by_whom(name)}",
                    where="release",
                    remedy=f"anyway=true overrules that: earthsnap approve release={name} anyway=true why=...",
                )
            self._decide(connection, release, "Approved")
            record(
                connection,
                "approved",
                name,
                why=why,
                who=who,
                origin=origin,
                figures={"overruled": state == "Rejected"},
            )
        return True

    def reject(self, name: str, *, why: str, origin: str, who: str | None = None, seen: State | None = None) -> bool:
        """Whether this changed anything. A release that is live or half way is taken back in the same transaction."""
        from earthsnap_train.release.deployments import Deployments

        release = self.get(name)
        with self.ledger.writing() as connection:
            if self._state(connection, release, seen) == "Rejected":
                return False
            self._decide(connection, release, "Rejected")
            record(connection, "rejected", name, why=why, who=who, origin=origin)
            Deployments(self.root).take_back(
                connection, release.family, release.number, why=why, who=who, origin=origin
            )
        return True

    def _state(self, connection: sqlite3.Connection, release: Release, seen: State | None) -> State:
        state: State
        (state,) = connection.execute(
            "SELECT state FROM releases WHERE family = ? AND number = ?", [release.family, release.number]
        ).fetchone()
        if seen is not None and state != seen:
            raise ConfigError(
                f"{release.name} is {state} by now{self._by_whom(release.name)}, not {seen} as when you looked",
                where="release",
                remedy="look again, then decide",
            )
        return state

    def _decide(self, connection: sqlite3.Connection, release: Release, state: State) -> None:
        connection.execute(
            "UPDATE releases SET state = ? WHERE family = ? AND number = ?", [state, release.family, release.number]
        )

    def _by_whom(self, name: str) -> str:
        """`` by anna on 2026-11-22 14:03: looks wrong``, or why the gates did so."""
        for entry in reversed(self.ledger.history(name)):
            if entry.action in ("approved", "rejected", "registered"):
                by = "by its gates" if entry.action == "registered" else f"by {entry.who}"
                when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.at))
                return f" {by} on {when}" + (f": {entry.why}" if entry.why else "")
        return ""

    def attach_report(self, release: Release, html: str) -> None:
        """Keeps the page with the release that it speaks of; the first stays."""
        self.attach(release, "report/report.html", html.encode())

    def attach(self, release: Release, name: str, data: bytes) -> None:
        """Puts a file beside a release, of which it is no part: ``report/...`` or ``evaluation/...``; the first stays."""
        path = release.path / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            incoming = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            incoming.write_bytes(data)
            incoming.replace(path)


def _digests(folder: Path) -> dict[str, str]:
    import hashlib

    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
