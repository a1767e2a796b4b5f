"""The audit log, newest first and in parts."""

import json
from collections.abc import Sequence
from typing import get_args

from earthsnap_train.release.ledger import Action, Entry, Ledger

ACTIONS: tuple[str, ...] = get_args(Action)
_COLUMNS = "id, at, who, action, release, why, origin, figures"


def entries(
    ledger: Ledger,
    *,
    release: str = "",
    actions: Sequence[str] = (),
    who: str = "",
    before: int | None = None,
    most: int = 10_000,
) -> list[Entry]:
    """Those that fit all that is given; what is empty fits everything. ``before``: with a smaller id."""
    rows = ledger.rows(
        f"SELECT {_COLUMNS} FROM audit WHERE (?1 = '' OR release = ?1) AND (?2 = '' OR who = ?2) "  # noqa: S608
        "AND (?3 IS NULL OR id < ?3) AND (?4 = '[]' OR action IN (SELECT value FROM json_each(?4))) "
        "ORDER BY id DESC LIMIT ?5",
        [release, who, before, json.dumps(list(actions)), most],
    )
    return [
        Entry.model_validate(dict(zip(Entry.model_fields, (*row[:-1], json.loads(str(row[-1]))), strict=True)))
        for row in rows
    ]


def people(ledger: Ledger) -> list[str]:
    return [str(row[0]) for row in ledger.rows("SELECT DISTINCT who FROM audit ORDER BY who")]
