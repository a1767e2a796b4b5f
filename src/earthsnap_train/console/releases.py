"""All releases, one release, and what people decide about it."""

from collections.abc import Callable
from typing import cast, get_args

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response

from earthsnap_train.console import charts
from earthsnap_train.console.asked import ORIGIN, Asked
from earthsnap_train.console.evidence import gather
from earthsnap_train.console.html import page
from earthsnap_train.errors import EarthsnapError
from earthsnap_train.release.catalogue import State
from earthsnap_train.release.locks import watching
from earthsnap_train.release.standing import Family, aftermath

NEWEST = 12
LONGEST_REASON = 2000
PAGES = ("report.html", "comparison.html")
REPORT_HEADERS = {
    # What is in a report was written elsewhere: it gets an origin of its own, no network and no forms.
    "content-security-policy": "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
}


def show_all(asked: Asked) -> Response:
    """``?all=plants``: every release of that family."""
    found = asked.families()
    waiting = [standing for family in found for standing in family.waiting]
    sparklines = {family.name: _sparkline(family) for family in found}
    return page(
        asked, "releases.html.j2", families=found, waiting=waiting, sparklines=sparklines, newest=NEWEST,
        all_of=asked.query("all"), is_watched=watching(asked.desk.registry.locks),
    )  # fmt: skip


def _sparkline(family: Family) -> object:
    told = [one for one in reversed(family.releases[:40]) if "top1" in one.release.summary]
    if len(told) < 2:
        return ""
    shares = [one.release.summary["top1"] for one in told]
    live = next((at for at, one in enumerate(told) if one.is_live), None)
    label = f"Named right, from {told[0].release.name} to {told[-1].release.name}: " + ", ".join(
        f"{100 * share:.1f}%" for share in shares
    )
    return charts.sparkline(shares, live, label)


def show(asked: Asked) -> Response:
    """``?beside=plants-5``: compared with that one instead of with the champion."""
    return _page(asked)


def report(asked: Asked) -> Response:
    """A page that was written with the release: that of the same name as here."""
    _, found = asked.release()
    file = asked.request.url.path.rpartition("/")[2]
    assert file in PAGES, file
    path = found.release.path / "report" / file
    if not path.is_file():
        raise HTTPException(404, f"{found.release.name} has no such page.")
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=REPORT_HEADERS)


def decide(asked: Asked) -> Response:
    """Approves or rejects what waits; the reason may be empty for an approval alone."""
    name, why = asked.path("name"), _reason(asked)
    registry, who = asked.desk.registry, asked.who.login
    verdict = asked.form.get("decision", "")
    if verdict == "approve":
        return _settle(
            asked, name, f"You approved {name}.",
            lambda: registry.approve(name, why=why, origin=ORIGIN, who=who, seen=_seen(asked)),
        )  # fmt: skip
    if verdict == "reject":
        if not why:
            return _page(asked, status=422, problem="Say why you reject it: whoever trained it will want to know.")
        return _settle(
            asked, name, f"You rejected {name}.",
            lambda: registry.reject(name, why=why, origin=ORIGIN, who=who, seen=_seen(asked)),
        )  # fmt: skip
    raise HTTPException(400, "Neither approved nor rejected.")


def ask_to_overrule(asked: Asked) -> Response:
    return _overrule_page(asked)


def overrule(asked: Asked) -> Response:
    """Approves what was rejected: with a reason, and knowing of the rejection."""
    name, why = asked.path("name"), _reason(asked)
    if not why or asked.form.get("anyway") != "yes":
        return _overrule_page(asked, status=422, problem="Say why, and tick that you have read why it was rejected.")
    return _settle(
        asked, name, f"You approved {name}, overruling its rejection.",
        lambda: asked.desk.registry.approve(
            name, why=why, origin=ORIGIN, who=asked.who.login, anyway=True, seen=_seen(asked)
        ),
    )  # fmt: skip


def ask_to_withdraw(asked: Asked) -> Response:
    return _withdraw_page(asked)


def withdraw(asked: Asked) -> Response:
    """Rejects what was approved, which takes it out of production too."""
    name, why = asked.path("name"), _reason(asked)
    if not why:
        return _withdraw_page(asked, status=422, problem="Say why it must go.")
    return _settle(
        asked, name, f"You rejected {name}.",
        lambda: asked.desk.registry.reject(name, why=why, origin=ORIGIN, who=asked.who.login, seen=_seen(asked)),
    )  # fmt: skip


def _settle(asked: Asked, name: str, said: str, act: Callable[[], bool]) -> Response:
    """Back to the release, with what came of it; what stands against it is shown there and nothing is changed."""
    _, before = asked.release()
    try:
        changed = act()
    except EarthsnapError as error:
        return _page(asked, status=409, problem=f"Nothing was changed: {error.what}.")
    said += f" Production: {after}." if (after := aftermath(before, asked.release()[0])) else ""
    asked.who.said = said if changed else f"Nothing was changed: somebody had decided so about {name} before."
    return RedirectResponse(f"/releases/{name}", status_code=303)


def _seen(asked: Asked) -> State:
    seen = asked.form.get("seen", "")
    if seen not in get_args(State):
        raise HTTPException(400, "This form does not say what you looked at.")
    return cast(State, seen)


def _reason(asked: Asked) -> str:
    return asked.form.get("why", "").strip()[:LONGEST_REASON]


def _page(asked: Asked, *, status: int = 200, problem: str = "") -> Response:
    family, found = asked.release()
    return page(
        asked, "release.html.j2", status=status, family=family, standing=found, release=found.release,
        evidence=gather(asked.desk.registry, family, found, beside=asked.query("beside")), problem=problem,
        why=_reason(asked), prod=asked.desk.deployment.prod, is_watched=watching(asked.desk.registry.locks),
        pages=[name for name in PAGES if (found.release.path / "report" / name).is_file()],
    )  # fmt: skip


def _overrule_page(asked: Asked, *, status: int = 200, problem: str = "") -> Response:
    _, found = asked.release()
    if found.release.state != "Rejected":
        raise HTTPException(409, f"{found.release.name} is not rejected: there is nothing to overrule.")
    return page(asked, "overrule.html.j2", status=status, standing=found, release=found.release, problem=problem,
                why=_reason(asked))  # fmt: skip


def _withdraw_page(asked: Asked, *, status: int = 200, problem: str = "") -> Response:
    family, found = asked.release()
    if found.release.state != "Approved":
        raise HTTPException(409, f"{found.release.name} is not approved: there is nothing to withdraw.")
    return page(asked, "withdraw.html.j2", status=status, family=family, standing=found, release=found.release,
                problem=problem, why=_reason(asked))  # fmt: skip
