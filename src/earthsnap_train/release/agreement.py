"""Brings ledger and catalogue to the same mind about releases, wherever people decided and whoever was killed half way.

The ledger remembers the state that it last knew the catalogue's entry to have (table ``catalogued``). Where the entry has
another one by now, somebody decided there, and the ledger takes it over. Where it has not, and the ledger says otherwise,
somebody decided here, and the entry is told.
"""

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from earthsnap_train.release.catalogue import Catalogue, Decision, State
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.ledger import Action, Ledger, record

if TYPE_CHECKING:
    from earthsnap_train.release.registry import Release

ORIGIN = "model registry"
_ACTIONS: dict[State, Action] = {"Approved": "approved", "Rejected": "rejected"}


def agree(ledger: Ledger, catalogue: Catalogue, releases: Sequence["Release"]) -> None:
    """Afterwards both say the same of these releases. A release that has no entry any more is left as it is.

    An entry that somebody set back to waiting is told again what was decided: a decision is changed by another one.
    """
    known = {
        (str(family), int(str(number))): str(state)
        for family, number, state in ledger.rows("SELECT family, number, state FROM catalogued")
    }
    for family in sorted({release.family for release in releases}):
        states = catalogue.states(family)
        for release in releases:
            there = states.get(release.number) if release.family == family else None
            before = known.get((family, release.number))
            if there is None or there == before == release.state:
                continue
            if there not in (before, release.state, "PendingApproval"):
                _take_over(ledger, release, before, catalogue.decision(release))
            else:
                if there != release.state:
                    catalogue.decide(release, release.state, _why(ledger, release))
                with ledger.writing() as connection:
                    _remember(connection, release, release.state)


def _take_over(ledger: Ledger, release: "Release", known: str | None, decision: Decision) -> None:
    """What was decided there, as if it had been decided here by whoever did.

    Nothing, where the ledger is not any more what it was compared with: it then was told of something newer.
    """
    state = decision.state
    said_before = " ".join(_why(ledger, release).split())  # as an entry has it, which may cut it short
    why = "" if said_before.startswith(decision.why) else decision.why
    with ledger.writing() as connection:
        found = connection.execute(
            "SELECT releases.state, catalogued.state FROM releases LEFT JOIN catalogued USING (family, number) "
            "WHERE family = ? AND number = ?",
            [release.family, release.number],
        ).fetchone()
        if found != (release.state, known) or state in (release.state, "PendingApproval"):
            return
        _remember(connection, release, state)
        connection.execute(
            "UPDATE releases SET state = ? WHERE family = ? AND number = ?", [state, release.family, release.number]
        )
        figures = {"overruled": True} if release.state == "Rejected" else {}
        record(connection, _ACTIONS[state], release.name, why=why, who=decision.who, origin=ORIGIN, figures=figures)
        if state == "Rejected":
            Deployments(ledger).take_back(
                connection, release.family, release.number, why=why, who=decision.who, origin=ORIGIN
            )


def _why(ledger: Ledger, release: "Release") -> str:
    """What was said at the last decision about it."""
    said = [entry for entry in ledger.history(release.name) if entry.action in ("registered", "approved", "rejected")]
    return said[-1].why if said else ""


def _remember(connection: sqlite3.Connection, release: "Release", state: State) -> None:
    connection.execute(
        "INSERT INTO catalogued VALUES (?1, ?2, ?3) ON CONFLICT (family, number) DO UPDATE SET state = ?3",
        [release.family, release.number, state],
    )
