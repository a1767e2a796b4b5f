"""The audit log: who, when, what, why, from where."""

from starlette.responses import Response

from earthsnap_train.console.asked import Asked
from earthsnap_train.console.html import page
from earthsnap_train.console.log import ACTIONS, entries, people

PAGE = 50


def show(asked: Asked) -> Response:
    """``?release=&action=&who=&before=``: the newest that fit, with an id below ``before``."""
    ledger = asked.desk.registry.ledger
    release, action, who = asked.query("release"), asked.query("action"), asked.query("who")
    before = int(asked.query("before")) if asked.query("before").isascii() and asked.query("before").isdigit() else None
    found = entries(
        ledger, release=release, actions=[action] if action else (), who=who,
        before=min(before, 2**62) if before is not None else None, most=PAGE + 1,
    )  # fmt: skip
    return page(
        asked, "history.html.j2", entries=found[:PAGE], more=found[PAGE - 1].id if len(found) > PAGE else None,
        release=release, action=action, who=who, actions=ACTIONS, people=people(ledger), before=before,
        releases=[one.name for one in reversed(asked.desk.registry.releases())],
    )  # fmt: skip
