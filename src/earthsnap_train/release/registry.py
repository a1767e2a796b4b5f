"""The registry: numbered releases of each family, their approval state, and a log to which is only added.

The ledger keeps what is decided; ``<family>/<number>/`` keeps the release itself, put there whole by one rename just before
it gets its row. Ledger and locks are the folder's own, unless several machines share them; with a catalogue beside them
(``catalogue``) the folder is what this machine has of the releases.
"""

import hashlib
import json
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from earthsnap_train.errors import ConfigError, IntegrityError, NotFoundError, did_you_mean
from earthsnap_train.release.agreement import agree
from earthsnap_train.release.catalogue import Catalogue, State
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.ledger import Entry, FileLedger, Ledger, record
from earthsnap_train.release.locks import FileLocks, Locks
from earthsnap_train.spec.registry import LocalRegistry

HEAR_EVERY_S = 5.0  # a page asks for releases several times
_COLUMNS = "family, number, digest, state, created, reasons, summary"


class Release(BaseModel):
    """One entry. ``digest`` names what it is; ``reasons`` why gates rejected it.

    ``folder``: where its files lie on this machine, once they are here; ``bring`` sees to that.
    """

    model_config = ConfigDict(frozen=True)

    family: str
    number: int
    digest: str
    state: State
    created: float
    reasons: tuple[str, ...]
    summary: dict[str, float]
    folder: Path
    bring: Callable[["Release"], None] = Field(exclude=True, repr=False)

    @property
    def name(self) -> str:
        return f"{self.family}-{self.number}"

    @property
    def path(self) -> Path:
        """The folder, with its files in it. Raises IntegrityError where what came is not what was registered."""
        self.bring(self)
        return self.folder


class Registry:
    """A folder with the releases, and with ``registry.sqlite`` and locks where no others are given."""

    def __init__(
        self,
        root: Path,
        *,
        ledger: Ledger | None = None,
        locks: Locks | None = None,
        catalogue: Catalogue | None = None,
        hear_every_s: float = HEAR_EVERY_S,
    ) -> None:
        self.root = root
        self.ledger = ledger or FileLedger(root)
        self.locks = locks or FileLocks(root)
        self.catalogue = catalogue
        self._hear_every_s = hear_every_s
        self._heard: dict[str, float] = {}

    def hear(self, family: str | None = None) -> None:
        """Takes over what was decided in the catalogue since this was last called, now and then.

        ``family``: None for all of them, which a role may not ask about that is of one.
        """
        if self.catalogue is None:
            return
        known = self._known(family)
        for one in sorted({release.family for release in known}):
            if time.monotonic() - self._heard.get(one, -math.inf) > self._hear_every_s:
                agree(self.ledger, self.catalogue, [release for release in known if release.family == one])
                self._heard[one] = time.monotonic()

    def releases(self, family: str | None = None) -> list[Release]:
        """Oldest first."""
        self.hear(family)
        return self._known(family)

    def _known(self, family: str | None = None) -> list[Release]:
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
                "folder": self.root / str(family) / str(number),
                "bring": self.catalogue.bring if self.catalogue is not None else _is_here,
            }
        )  # fmt: skip

    def get(self, name: str) -> Release:
        """The release called ``plants-7``. Raises NotFoundError naming the nearest."""
        self.hear(name.rpartition("-")[0])
        known = {release.name: release for release in self._known()}
        if name not in known:
            raise NotFoundError(
                f"there is no release {name!r}",
                where="release",
                allowed=", ".join(list(known)[-8:]) or "none is registered yet",
                remedy=did_you_mean(name, known) or "earthsnap releases lists them",
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
        folder, incoming = self.root / family, self.root / family / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        with self.locks.hold(
            f"{family}/register.lock", timeout_s=math.inf
        ):  # so that copying keeps nobody from deciding
            if (known := self.find(family, digest)) is not None:
                return known, False
            shutil.rmtree(incoming, ignore_errors=True)  # of a writer that was killed
            shutil.copytree(bundle, incoming, ignore=shutil.ignore_patterns("artifact.json"))
            files = _digests(incoming)

            def describe(number: int) -> bytes:
                description = {
                    "format": 1, "family": family, "number": number, "digest": digest, "lineage": lineage, "files": files,
                }  # fmt: skip
                return json.dumps(description, indent=1, sort_keys=True).encode()

            if self.catalogue is None:
                number = max((release.number for release in self._known(family)), default=0) + 1
            else:
                number = self.catalogue.publish(
                    family, digest, incoming, reasons=reasons, summary=summary, lineage=lineage, describe=describe
                )
            (incoming / "release.json").write_bytes(describe(number))
            state: State = "Rejected" if reasons else "PendingApproval"
            row = (family, number, digest, state, time.time(), json.dumps(list(reasons)), json.dumps(summary))
            with self.ledger.writing() as connection:
                if (faster := self._registered(connection, family, number)) is not None:
                    if faster.digest != digest:
                        raise _other(faster)
                    return faster, False
                shutil.rmtree(folder / str(number), ignore_errors=True)  # of one that was killed before its row
                incoming.rename(folder / str(number))
                connection.execute("INSERT INTO releases VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                if self.catalogue is not None:
                    connection.execute("INSERT INTO catalogued VALUES (?, ?, ?)", [family, number, state])
                figures = {"state": state, "digest": digest}
                record(
                    connection,
                    "registered",
                    f"{family}-{number}",
                    why="; ".join(reasons),
                    origin="train",
                    figures=figures,
                )
        return self._release(row), True

    def _registered(self, connection: sqlite3.Connection, family: str, number: int) -> Release | None:
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM releases WHERE family = ? AND number = ?",  # noqa: S608
            [family, number],
        ).fetchone()
        return None if row is None else self._release(row)

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

        ``seen``: the state on which the person decided. Raises ConfigError where somebody decided otherwise meanwhile, or
        where the release is rejected and ``anyway`` does not overrule that; IntegrityError where its files are not what was
        registered.
        """
        from earthsnap_train.release.load import verify  # the engine takes its time

        release = self.get(name)
        if release.state == "Approved":
            return False
        verify(release.path, digest=release.digest)
        with self.ledger.writing() as connection:
            before = self._decide(connection, release, "Approved", seen)
            if before == "Rejected" and not anyway:
                raise ConfigError(
                    f"{name} was rejected{self.by_whom(name)}",
                    where="release",
                    remedy=f"anyway=true overrules that: earthsnap approve release={name} anyway=true",
                )
            if before != "Approved":
                figures = {"overruled": True} if before == "Rejected" else {}
                record(connection, "approved", name, why=why, who=who, origin=origin, figures=figures)
        self._say(release)
        return before != "Approved"

    def reject(self, name: str, *, why: str, origin: str, who: str | None = None, seen: State | None = None) -> bool:
        """Whether this changed anything. A release that is live or half way is taken back in the same transaction."""
        release = self.get(name)
        with self.ledger.writing() as connection:
            before = self._decide(connection, release, "Rejected", seen)
            if before != "Rejected":
                record(connection, "rejected", name, why=why, who=who, origin=origin)
                Deployments(self.ledger).take_back(
                    connection, release.family, release.number, why=why, who=who, origin=origin
                )
        self._say(release)
        return before != "Rejected"

    def _say(self, release: Release) -> None:
        """Whoever is killed before this has decided all the same: the next to look says it."""
        if self.catalogue is not None:
            agree(self.ledger, self.catalogue, [self.get(release.name)])

    def decision(self, name: str) -> Entry | None:
        """Who approved or rejected it last; None for one that waits."""
        said = (e for e in reversed(self.ledger.history(name)) if e.action in ("approved", "rejected", "registered"))
        last = next(said, None)
        return None if last is None or (last.action == "registered" and not last.why) else last

    def by_whom(self, name: str) -> str:
        """`` by anna on 2026-11-22 14:03: looks wrong``; empty for one that waits."""
        last = self.decision(name)
        if last is None:
            return ""
        by = "its gates" if last.action == "registered" else last.who
        return f" by {by} on {last.when}" + (f": {last.why}" if last.why else "")

    def _decide(self, connection: sqlite3.Connection, release: Release, state: State, seen: State | None) -> State:
        """The state before. Raises ConfigError where it is neither what is wanted nor what the person has seen."""
        before: State
        (before,) = connection.execute(
            "SELECT state FROM releases WHERE family = ? AND number = ?", [release.family, release.number]
        ).fetchone()
        if seen is not None and before not in (seen, state):
            raise ConfigError(
                f"{release.name} is no longer {seen}, as when you looked: {before}{self.by_whom(release.name)}",
                where="release",
                remedy="look again, then decide",
            )
        connection.execute(
            "UPDATE releases SET state = ? WHERE family = ? AND number = ?", [state, release.family, release.number]
        )
        return before

    def attach_report(self, release: Release, html: str) -> None:
        """Keeps the page with the release that it speaks of; the first stays."""
        self.attach(release, "report/report.html", html.encode())

    def attach(self, release: Release, name: str, data: bytes) -> None:
        """Puts a file beside a release, of which it is no part: ``report/...`` or ``evaluation/...``; the first stays."""
        path = release.path / name
        if path.exists():
            return
        if self.catalogue is not None:
            self.catalogue.attach(release, name, data)
        path.parent.mkdir(exist_ok=True)
        incoming = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        incoming.write_bytes(data)
        incoming.replace(path)

    def erase(self, release: Release) -> None:
        """What is gone from a release's folder, or changed in it, is so wherever else the release is kept."""
        if self.catalogue is not None:
            self.catalogue.erase(release)


def open_registry(settings: LocalRegistry, root: Path) -> Registry:
    """That of ``registry=local``."""
    return Registry(root)


def _other(release: Release) -> IntegrityError:
    """A catalogue that was emptied counts from 1 again."""
    return IntegrityError(
        f"the catalogue gave a new release the number of {release.name}, which is another one",
        where="registry",
        remedy="entries were removed from the catalogue; train under another name=...",
    )


def _is_here(release: Release) -> None:
    """A folder of this machine is whole from the start."""


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
