"""What is meant to be served where: champions, what each endpoint is wanted to do, and the rollout that is under way.

Endpoints read what is wanted of them and make it so; whoever is killed half way leaves the wish, and the next call goes on
from there. A family's champion is the newest row of an append-only table, so there is never a second one and, once there
was a first, never none.
"""

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from earthsnap_train.errors import ConfigError
from earthsnap_train.release.ledger import Action, Ledger, record
from earthsnap_train.spec.deployment import EndpointName

# A rollout passes through these in order; ``waiting`` only where a person confirms.
Phase = Literal["stage", "waiting", "promoted", "canary"]
Outcome = Literal["live", "failed", "rolled back"]


class Wanted(BaseModel):
    """What an endpoint is to do; releases by name, as ``plants-7``.

    ``stable`` answers what nobody else does. ``canary`` answers ``share`` of the requests (0: it only shadows), and
    only until ``watched_until`` (Unix time), which whoever watches it moves on: unwatched, it gets nothing.
    ``standby`` is loaded and gets no request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stable: str
    canary: str | None = None
    share: float = 0.0
    watched_until: float = 0.0
    standby: str | None = None
    revision: int = 0

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        assert self.canary != self.stable, self
        assert self.canary is not None or self.share == 0, self
        return self

    @property
    def releases(self) -> tuple[str, ...]:
        """What has to be loaded, the most needed first."""
        return tuple(dict.fromkeys(r for r in (self.stable, self.canary, self.standby) if r is not None))


class Rollout(BaseModel):
    """One way of a release to production. ``step`` counts the canary steps that are behind it; ``since``: of the phase."""

    model_config = ConfigDict(frozen=True)

    id: int
    family: str
    number: int
    phase: Phase
    step: int
    started: float
    since: float
    outcome: Outcome | None
    why: str

    @property
    def release(self) -> str:
        return f"{self.family}-{self.number}"


class Deployments:
    """The part of the registry that says what is served."""

    def __init__(self, root: Path) -> None:
        self.ledger = Ledger(root)

    # ---- champions

    def champion(self, family: str) -> int | None:
        """The number of the release that production serves."""
        rows = self.ledger.rows("SELECT number FROM champions WHERE family = ? ORDER BY id DESC LIMIT 1", [family])
        return int(str(rows[0][0])) if rows else None

    def back(self, family: str) -> int | None:
        """The number of the release that a rollback would bring back."""
        with_champion = self.ledger.rows(
            "SELECT back FROM champions WHERE family = ? ORDER BY id DESC LIMIT 1", [family]
        )
        return None if not with_champion or with_champion[0][0] is None else int(str(with_champion[0][0]))

    # ---- what endpoints are to do

    def wanted(self, family: str, endpoint: EndpointName) -> Wanted | None:
        rows = self.ledger.rows(
            "SELECT wanted, revision FROM endpoints WHERE family = ? AND endpoint = ?", [family, endpoint]
        )
        if not rows:
            return None
        wish = Wanted.model_validate_json(str(rows[0][0]))
        return wish.model_copy(update={"revision": int(str(rows[0][1]))})

    def want(self, family: str, endpoint: EndpointName, wish: Wanted) -> None:
        with self.ledger.writing() as connection:
            _want(connection, family, endpoint, wish)

    def still_watched(self, family: str, revision: int, until: float) -> None:
        """Moves the canary's ``watched_until`` on, unless somebody wants something else by now."""
        with self.ledger.writing() as connection:
            connection.execute(
                "UPDATE endpoints SET wanted = json_set(wanted, '$.watched_until', ?) "
                "WHERE family = ? AND endpoint = 'prod' AND revision = ?",
                [until, family, revision],
            )

    # ---- rollouts

    def under_way(self, family: str) -> Rollout | None:
        rows = self.ledger.rows(
            "SELECT id, family, number, phase, step, started, since, outcome, why FROM rollouts "
            "WHERE family = ? AND outcome IS NULL",
            [family],
        )
        return _rollout(rows[0]) if rows else None

    def rollouts(self, family: str) -> list[Rollout]:
        """Oldest first."""
        rows = self.ledger.rows(
            "SELECT id, family, number, phase, step, started, since, outcome, why FROM rollouts WHERE family = ? ORDER BY id",
            [family],
        )
        return [_rollout(row) for row in rows]

    def begin(self, family: str, number: int, *, origin: str) -> Rollout:
        """The rollout of this release that is under way, else a new one. Raises ConfigError while another release is."""
        with self.ledger.writing() as connection:
            row = connection.execute(
                "SELECT number, phase FROM rollouts WHERE family = ? AND outcome IS NULL", [family]
            ).fetchone()
            if row is not None and row[0] != number:
                other = f"{family}-{row[0]}"
                raise ConfigError(
                    f"{other} is on its way to production (phase {row[1]})",
                    where="release",
                    allowed="one rollout of a family at a time",
                    remedy=f"earthsnap rollout release={other} goes on with it, earthsnap rollback release={other} undoes it",
                )
            if row is None:
                now = time.time()
                connection.execute(
                    "INSERT INTO rollouts (family, number, phase, step, started, since, outcome, why) "
                    "VALUES (?, ?, 'stage', 0, ?, ?, NULL, '')",
                    [family, number, now, now],
                )
        rollout = self.under_way(family)
        assert rollout is not None
        return rollout

    def advance(
        self,
        rollout: Rollout,
        phase: Phase,
        step: int = 0,
        *,
        prod: Wanted | None = None,
        stage: Wanted | None = None,
        said: Action | None = None,
        origin: str,
        who: str | None = None,
        figures: Mapping[str, object] | None = None,
    ) -> Rollout:
        """Moves a rollout on, with what endpoints are to do meanwhile. Raises ConfigError where somebody ended it."""
        with self.ledger.writing() as connection:
            self._still_open(connection, rollout)
            connection.execute(
                "UPDATE rollouts SET phase = ?, step = ?, since = ? WHERE id = ?",
                [phase, step, time.time(), rollout.id],
            )
            for endpoint, wish in (("stage", stage), ("prod", prod)):
                if wish is not None:
                    _want(connection, rollout.family, endpoint, wish)
            if said is not None:
                record(connection, said, rollout.release, origin=origin, who=who, figures=figures)
        moved = self.under_way(rollout.family)
        assert moved is not None
        return moved

    def go_live(
        self, rollout: Rollout, *, standby: bool, origin: str, figures: Mapping[str, object] | None = None
    ) -> None:
        """Makes the release the champion. Raises ConfigError where somebody ended the rollout, or rejected the release."""
        with self.ledger.writing() as connection:
            self._still_open(connection, rollout)
            before = _champion(connection, rollout.family)
            connection.execute(
                "INSERT INTO champions (family, number, back, at) VALUES (?, ?, ?, ?)",
                [rollout.family, rollout.number, before, time.time()],
            )
            kept = f"{rollout.family}-{before}" if standby and before is not None else None
            _want(connection, rollout.family, "prod", Wanted(stable=rollout.release, standby=kept))
            _end(connection, rollout.id, "live", "")
            record(
                connection,
                "live",
                rollout.release,
                origin=origin,
                figures={**(figures or {}), "champion_before": before},
            )

    def fail(
        self, rollout: Rollout, why: str, *, origin: str, figures: Mapping[str, object] | None = None,
        outcome: Literal["failed", "rolled back"] = "failed",
    ) -> None:  # fmt: skip
        """Ends a rollout; production goes on with the champion alone. Nothing where it has ended already."""
        with self.ledger.writing() as connection:
            row = connection.execute("SELECT outcome FROM rollouts WHERE id = ?", [rollout.id]).fetchone()
            if row[0] is None:
                self._undo(connection, rollout.family, rollout.id, outcome, why)
                record(connection, outcome, rollout.release, why=why, origin=origin, figures=figures)

    def take_back(
        self, connection: sqlite3.Connection, family: str, number: int, *, why: str, who: str | None, origin: str
    ) -> str | None:
        """Inside a transaction: takes a release out of production, or off its way there. What answers now, or None.

        Without a previous champion a live release stays: an endpoint that answers nothing helps nobody, and ``stop`` is
        how to want just that.
        """
        name = f"{family}-{number}"
        under_way = connection.execute(
            "SELECT id FROM rollouts WHERE family = ? AND number = ? AND outcome IS NULL", [family, number]
        ).fetchone()
        if under_way is not None:
            self._undo(connection, family, under_way[0], "rolled back", why)
            record(connection, "rolled back", name, why=why, who=who, origin=origin)
            champion = _champion(connection, family)
            return None if champion is None else f"{family}-{champion}"
        live = connection.execute(
            "SELECT number, back FROM champions WHERE family = ? ORDER BY id DESC LIMIT 1", [family]
        ).fetchone()
        if live is None or live[0] != number or live[1] is None:
            return None
        (further_back,) = connection.execute(
            "SELECT back FROM champions WHERE family = ? AND number = ? ORDER BY id DESC LIMIT 1", [family, live[1]]
        ).fetchone()
        connection.execute(
            "INSERT INTO champions (family, number, back, at) VALUES (?, ?, ?, ?)",
            [family, live[1], further_back, time.time()],
        )
        other = connection.execute(
            "SELECT id, number FROM rollouts WHERE family = ? AND outcome IS NULL", [family]
        ).fetchone()
        if other is not None:  # it was measured beside a champion that is none any more
            self._undo(connection, family, other[0], "failed", f"the champion {name} was taken back")
            record(
                connection,
                "failed",
                f"{family}-{other[1]}",
                why=f"the champion {name} was taken back",
                who=who,
                origin=origin,
            )
        _want(connection, family, "prod", Wanted(stable=f"{family}-{live[1]}"))
        record(connection, "rolled back", name, why=why, who=who, origin=origin, figures={"champion": live[1]})
        return f"{family}-{live[1]}"

    def roll_back(self, family: str, number: int, *, why: str, origin: str, who: str | None = None) -> str | None:
        """What answers instead of this release now; None where it was neither live nor under way, or nothing came before."""
        with self.ledger.writing() as connection:
            return self.take_back(connection, family, number, why=why, who=who, origin=origin)

    def _undo(self, connection: sqlite3.Connection, family: str, rollout_id: int, outcome: Outcome, why: str) -> None:
        _end(connection, rollout_id, outcome, why)
        champion = _champion(connection, family)
        if champion is None:  # a first release that failed: nothing is served in its place
            connection.execute("DELETE FROM endpoints WHERE family = ? AND endpoint = 'prod'", [family])
        else:
            _want(connection, family, "prod", Wanted(stable=f"{family}-{champion}"))

    def _still_open(self, connection: sqlite3.Connection, rollout: Rollout) -> None:
        outcome, why, state = connection.execute(
            "SELECT o.outcome, o.why, r.state FROM rollouts o JOIN releases r USING (family, number) WHERE o.id = ?",
            [rollout.id],
        ).fetchone()
        if outcome is not None or state != "Approved":
            raise ConfigError(
                f"the rollout of {rollout.release} is {outcome or 'stopped: the release is ' + state}"
                + (f": {why}" if why else ""),
                where="release",
                remedy=f"earthsnap history release={rollout.release} tells who ended it",
            )


def _champion(connection: sqlite3.Connection, family: str) -> int | None:
    row = connection.execute(
        "SELECT number FROM champions WHERE family = ? ORDER BY id DESC LIMIT 1", [family]
    ).fetchone()
    return None if row is None else int(row[0])


def _want(connection: sqlite3.Connection, family: str, endpoint: str, wish: Wanted) -> None:
    connection.execute(
        "INSERT INTO endpoints VALUES (?1, ?2, 1, ?3) "
        "ON CONFLICT (family, endpoint) DO UPDATE SET revision = revision + 1, wanted = ?3",
        [family, endpoint, wish.model_dump_json(exclude={"revision"})],
    )


def _end(connection: sqlite3.Connection, rollout_id: int, outcome: Outcome, why: str) -> None:
    connection.execute("UPDATE rollouts SET outcome = ?, why = ? WHERE id = ?", [outcome, why, rollout_id])


def _rollout(row: tuple[object, ...]) -> Rollout:
    return Rollout.model_validate(dict(zip(Rollout.model_fields, row, strict=True)))
