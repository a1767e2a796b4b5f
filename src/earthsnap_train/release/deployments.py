"""What is meant to be served where: champions, what each endpoint is wanted to do, and the rollout that is under way.

Endpoints read what is wanted of them and make it so; whoever is killed half way leaves the wish, and the next call goes on
from there. A family's champion is the newest row of an append-only table, so there is never a second one and, once there
was a first, never none.
"""

import json
import sqlite3
import time
from collections.abc import Mapping
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

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    # ---- champions

    def champion(self, family: str) -> int | None:
        """The number of the release that production serves."""
        rows = self.ledger.rows(_CHAMPION, [family])
        return int(str(rows[0][0])) if rows else None

    def back(self, family: str) -> int | None:
        """The number of the release that a rollback would bring back."""
        rows = self.ledger.rows(_BACK, [family])
        return int(str(rows[0][0])) if rows else None

    # ---- what endpoints are to do

    def wanted(self, family: str, endpoint: EndpointName) -> Wanted | None:
        rows = self.ledger.rows(_WANTED, [family, endpoint])
        return _wish(rows[0]) if rows else None

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
        return next((rollout for rollout in self.rollouts(family) if rollout.outcome is None), None)

    def rollouts(self, family: str) -> list[Rollout]:
        """Oldest first."""
        rows = self.ledger.rows(f"{_ROLLOUTS} WHERE family = ? ORDER BY id", [family])
        return [_rollout(row) for row in rows]

    def begin(self, family: str, number: int, *, origin: str) -> Rollout:
        """The rollout of this release that is under way, else a new one.

        Raises ConfigError where the release is not approved or is live already, and while another is on its way.
        """
        name = f"{family}-{number}"
        with self.ledger.writing() as connection:
            under_way = _under_way(connection, family)
            if under_way is not None and under_way.number != number:
                other = under_way.release
                raise ConfigError(
                    f"{other} is on its way to production (phase {under_way.phase})",
                    where="release",
                    allowed="one rollout of a family at a time",
                    remedy=f"earthsnap rollout release={other} goes on with it, earthsnap rollback release={other} undoes it",
                )
            (state,) = connection.execute(
                "SELECT state FROM releases WHERE family = ? AND number = ?", [family, number]
            ).fetchone()
            if state != "Approved":
                raise ConfigError(
                    f"{name} is {state}",
                    where="release",
                    allowed="a release that a person approved",
                    remedy=f"earthsnap approve release={name}",
                )
            if _champion(connection, family) == number:
                raise ConfigError(
                    f"{name} is live already", where="release", remedy="earthsnap status shows what is live"
                )
            if under_way is None:
                connection.execute(
                    "INSERT INTO rollouts (family, number, phase, step, started, since, outcome, why) "
                    "VALUES (?1, ?2, 'stage', 0, ?3, ?3, NULL, '')",
                    [family, number, time.time()],
                )
                record(connection, "staged", name, origin=origin)
                under_way = _under_way(connection, family)
                assert under_way is not None
        return under_way

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
        """Moves a rollout on, with what endpoints are to do meanwhile.

        Raises ConfigError where somebody ended it, or moved it on from where ``rollout`` says that it stands.
        """
        with self.ledger.writing() as connection:
            _assert_goes_on(connection, rollout)
            now = time.time()
            connection.execute(
                "UPDATE rollouts SET phase = ?, step = ?, since = ? WHERE id = ?", [phase, step, now, rollout.id]
            )
            for endpoint, wish in (("stage", stage), ("prod", prod)):
                if wish is not None:
                    _want(connection, rollout.family, endpoint, wish)
            if said is not None:
                record(connection, said, rollout.release, origin=origin, who=who, figures=figures)
        return rollout.model_copy(update={"phase": phase, "step": step, "since": now})

    def go_live(
        self, rollout: Rollout, *, standby: bool, origin: str, figures: Mapping[str, object] | None = None
    ) -> None:
        """Makes the release the champion. Raises ConfigError where somebody ended the rollout or moved it on."""
        with self.ledger.writing() as connection:
            _assert_goes_on(connection, rollout)
            before = _champion(connection, rollout.family)
            connection.execute(
                "INSERT INTO champions (family, number, before, at) "
                "VALUES (?1, ?2, (SELECT max(id) FROM champions WHERE family = ?1), ?3)",
                [rollout.family, rollout.number, time.time()],
            )
            back = connection.execute(_BACK, [rollout.family]).fetchone()
            kept = f"{rollout.family}-{back[0]}" if standby and back is not None else None
            _want(connection, rollout.family, "prod", Wanted(stable=rollout.release, standby=kept))
            _end(connection, rollout.id, "live", "")
            figures = {**(figures or {}), "champion_before": before}
            record(connection, "live", rollout.release, origin=origin, figures=figures)

    def fail(
        self, rollout: Rollout, why: str, *, origin: str, figures: Mapping[str, object] | None = None,
        outcome: Literal["failed", "rolled back"] = "failed",
    ) -> None:  # fmt: skip
        """Ends a rollout; production goes on with the champion alone. Nothing where it has ended already."""
        with self.ledger.writing() as connection:
            row = connection.execute("SELECT outcome FROM rollouts WHERE id = ?", [rollout.id]).fetchone()
            if row[0] is None:
                _end(connection, rollout.id, outcome, why)
                _leave_to_the_champion(connection, rollout.family)
                record(connection, outcome, rollout.release, why=why, origin=origin, figures=figures)

    def take_back(
        self, connection: sqlite3.Connection, family: str, number: int, *, why: str, who: str | None, origin: str
    ) -> str | None:
        """Inside a transaction: takes a release out of production, or off its way there. What answers now, or None.

        Rejected releases do not come back; where nothing else came before it a live release stays: an endpoint that
        answers nothing helps nobody, and ``stop`` is how to want just that.
        """
        name = f"{family}-{number}"
        under_way = _under_way(connection, family)
        back = connection.execute(_BACK, [family]).fetchone()
        figures: dict[str, object] = {}
        if under_way is not None and under_way.number == number:
            _end(connection, under_way.id, "rolled back", why)
        elif _champion(connection, family) == number and back is not None:
            connection.execute(
                "INSERT INTO champions (family, number, before, at) VALUES (?, ?, ?, ?)", [family, *back, time.time()]
            )
            figures = {"champion": back[0]}
            if under_way is not None:  # it was measured beside a champion that is none any more
                beside = f"the champion {name} was taken back"
                _end(connection, under_way.id, "failed", beside)
                record(connection, "failed", under_way.release, why=beside, who=who, origin=origin)
        else:
            if under_way is None:  # it may stand by
                _leave_to_the_champion(connection, family)
            return None
        _leave_to_the_champion(connection, family)
        record(connection, "rolled back", name, why=why, who=who, origin=origin, figures=figures)
        champion = _champion(connection, family)
        return None if champion is None else f"{family}-{champion}"

    def roll_back(self, family: str, number: int, *, why: str, origin: str, who: str | None = None) -> str | None:
        """What answers instead of this release now; None where it was neither live nor under way, or nothing came before."""
        with self.ledger.writing() as connection:
            return self.take_back(connection, family, number, why=why, who=who, origin=origin)


_CHAMPION = "SELECT number FROM champions WHERE family = ? ORDER BY id DESC LIMIT 1"

# Down the row of those that were champion before, to the first that nobody has rejected.
_BACK = """
    WITH RECURSIVE earlier (id) AS (
        SELECT * FROM (SELECT before FROM champions WHERE family = ? ORDER BY id DESC LIMIT 1)
        UNION ALL SELECT before FROM champions JOIN earlier USING (id)
    )
    SELECT number, before FROM champions AS old JOIN earlier USING (id) JOIN releases USING (family, number)
    WHERE state <> 'Rejected'
      AND number <> (SELECT number FROM champions WHERE family = old.family ORDER BY id DESC LIMIT 1)
    ORDER BY id DESC LIMIT 1
"""

_WANTED = "SELECT wanted, revision FROM endpoints WHERE family = ? AND endpoint = ? AND wanted <> 'null'"
_ROLLOUTS = f"SELECT {', '.join(Rollout.model_fields)} FROM rollouts"  # noqa: S608


def _champion(connection: sqlite3.Connection, family: str) -> int | None:
    row = connection.execute(_CHAMPION, [family]).fetchone()
    return None if row is None else int(row[0])


def _under_way(connection: sqlite3.Connection, family: str) -> Rollout | None:
    row = connection.execute(f"{_ROLLOUTS} WHERE family = ? AND outcome IS NULL", [family]).fetchone()
    return None if row is None else _rollout(row)


def _assert_goes_on(connection: sqlite3.Connection, rollout: Rollout) -> None:
    now = _rollout(connection.execute(f"{_ROLLOUTS} WHERE id = ?", [rollout.id]).fetchone())
    if (now.outcome, now.phase, now.step) != (None, rollout.phase, rollout.step):
        stands = (
            f"over ({now.outcome})" if now.outcome else f"at another place by now (phase {now.phase}, step {now.step})"
        )
        raise ConfigError(
            f"the rollout of {rollout.release} is {stands}" + (f": {now.why}" if now.why else ""),
            where="release",
            remedy=f"earthsnap history release={rollout.release} tells who did that",
        )


def _leave_to_the_champion(connection: sqlite3.Connection, family: str) -> None:
    """Production serves the champion alone, with no other standing by than a rollback would bring; with none it rests."""
    row = connection.execute(_WANTED, [family, "prod"]).fetchone()
    before = None if row is None else _wish(row)
    champion, back = _champion(connection, family), connection.execute(_BACK, [family]).fetchone()
    wish = None
    if champion is not None:
        would_come_back = None if back is None else f"{family}-{back[0]}"
        kept = would_come_back if before is not None and before.standby == would_come_back else None
        wish = Wanted(stable=f"{family}-{champion}", standby=kept, revision=0 if before is None else before.revision)
    if wish != before:
        _want(connection, family, "prod", wish)


def _want(connection: sqlite3.Connection, family: str, endpoint: str, wish: Wanted | None) -> None:
    """A revision is never used twice, so nothing is mistaken for what it was before."""
    connection.execute(
        "INSERT INTO endpoints VALUES (?1, ?2, 1, ?3) "
        "ON CONFLICT (family, endpoint) DO UPDATE SET revision = revision + 1, wanted = ?3",
        [family, endpoint, "null" if wish is None else wish.model_dump_json(exclude={"revision"})],
    )


def _wish(row: tuple[object, ...]) -> Wanted:
    wanted, revision = row
    return Wanted.model_validate(json.loads(str(wanted)) | {"revision": revision})


def _end(connection: sqlite3.Connection, rollout_id: int, outcome: Outcome, why: str) -> None:
    connection.execute("UPDATE rollouts SET outcome = ?, why = ? WHERE id = ?", [outcome, why, rollout_id])


def _rollout(row: tuple[object, ...]) -> Rollout:
    return Rollout.model_validate(dict(zip(Rollout.model_fields, row, strict=True)))
