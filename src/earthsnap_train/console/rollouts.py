"""What production answers with, the way of a release there, and the way back."""

import time
from dataclasses import dataclass
from typing import Any, Literal

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from earthsnap_train.console.asked import ORIGIN, Asked
from earthsnap_train.console.html import page
from earthsnap_train.console.observe import observe, reachable
from earthsnap_train.errors import EarthsnapError
from earthsnap_train.evaluation.wording import percent
from earthsnap_train.release.locks import watching
from earthsnap_train.release.standing import Family, aftermath
from earthsnap_train.spec.deployment import Prod, ProdEndpoint, StageEndpoint

NEWEST = 10


def show_all(asked: Asked) -> Response:
    found = asked.families()
    if len(found) == 1:
        return RedirectResponse(f"/rollouts/{found[0].name}", status_code=303)
    return page(asked, "rollouts.html.j2", families=found)


def show(asked: Asked) -> Response:
    return page(asked, "rollout.html.j2", **_all_about(asked))


def live(asked: Asked) -> Response:
    """The part of the page that changes, for the page to put in its place."""
    return page(asked, "rollout_live.html.j2", **_all_about(asked))


def promote(asked: Asked) -> Response:
    family = asked.family()
    desk, rollout = asked.desk, asked.desk.deployments.under_way(family.name)
    if rollout is None or str(rollout.id) != asked.form.get("rollout") or rollout.phase != "waiting":
        asked.who.said = "Nothing was changed: what you looked at does not wait to be promoted any more."
        return RedirectResponse(f"/rollouts/{family.name}", status_code=303)
    try:
        desk.deployments.advance(rollout, "promoted", said="promoted", origin=ORIGIN, who=asked.who.login)
        asked.who.said = f"You promoted {rollout.release}."
    except EarthsnapError as error:
        asked.who.said = f"Nothing was changed: {error.what}."
    return RedirectResponse(f"/rollouts/{family.name}", status_code=303)


def ask_to_roll_back(asked: Asked) -> Response:
    return _roll_back_page(asked)


def roll_back(asked: Asked) -> Response:
    family, found = asked.release()
    name, why = found.release.name, asked.form.get("why", "").strip()
    if not why:
        return _roll_back_page(asked, status=422, problem="Say why it must go.")
    asked.desk.deployments.roll_back(family.name, found.release.number, why=why, origin=ORIGIN, who=asked.who.login)
    after = asked.release()[0]
    nothing = not found.is_live and not found.is_under_way
    what = f"Nothing was changed: {name} was" if nothing else f"You rolled {name} back:"
    asked.who.said = f"{what} {found.words if nothing else aftermath(found, after)}."
    return RedirectResponse(f"/rollouts/{family.name}", status_code=303)


def _roll_back_page(asked: Asked, *, status: int = 200, problem: str = "") -> Response:
    family, found = asked.release()
    if not found.is_live and not found.is_under_way:
        raise HTTPException(409, f"{found.release.name} is neither live nor on its way there.")
    return page(
        asked, "roll_back.html.j2", status=status, family=family, standing=found, release=found.release,
        instead=family.live if found.is_under_way else family.back, problem=problem,
        why=asked.form.get("why", "").strip(),
    )  # fmt: skip


# ---- what is shown of it


def _all_about(asked: Asked) -> dict[str, Any]:
    family, desk = asked.family(), asked.desk
    prod, stage = desk.deployment.prod, desk.deployment.stage
    under_way = family.under_way
    rollout = under_way.rollout if under_way is not None else None
    rollouts = desk.deployments.rollouts(family.name)[::-1]
    log = [e for e in under_way.log[::-1] if e.at >= rollout.started] if under_way and rollout else []
    return {
        "family": family,
        "rollout": rollout,
        "steps": _steps(family, prod),
        "observed": observe(family.name, prod.host, prod.port) if isinstance(prod, ProdEndpoint) else None,
        "wanted": family.wanted.get("prod"),
        "prod": prod,
        "log": log,
        "past": [one for one in rollouts if one.outcome is not None][:NEWEST],
        "is_hosted": not isinstance(prod, ProdEndpoint),
        "try_it": f"http://{_from_outside(asked, stage.host)}:{stage.port}/"
        if isinstance(stage, StageEndpoint)
        else None,
        "is_watched": watching(desk.registry.locks),
        "now": time.time(),
    }


def _from_outside(asked: Asked, host: str) -> str:
    """An endpoint that listens everywhere is reached by the name by which this page was."""
    return asked.request.url.hostname or "127.0.0.1" if reachable(host) != host else host


@dataclass(frozen=True, kw_only=True)
class Step:
    """``until``: when what goes on now may be over at the earliest."""

    label: str
    state: Literal["done", "now", "next"]
    until: float | None = None


def _steps(family: Family, prod: Prod) -> list[Step]:
    """The way of what is under way, from approval to live; empty where nothing is."""
    rollout = family.under_way.rollout if family.under_way is not None else None
    if rollout is None:
        return []
    labels: list[tuple[str, str, int]] = [("Approved", "approved", 0), ("Tests in stage", "stage", 0)]
    if prod.confirm == "person":
        labels.append(("Promotion", "waiting", 0))
    if family.live is not None:  # without a champion there is nobody to be a canary beside
        labels += [(f"{percent(one.share, 0)} of requests", "canary", at) for at, one in enumerate(prod.steps)]
    labels.append(("Live", "live", 0))
    here = (rollout.phase, rollout.step if rollout.phase == "canary" else 0)
    places = [(phase, at) for _, phase, at in labels]
    # Promoted, or done with the last step that is declared: on to what comes next.
    current = places.index(here) if here in places else places.index(("live", 0))
    if rollout.phase in ("waiting", "promoted") and here not in places:
        current = places.index(("canary", 0)) if ("canary", 0) in places else places.index(("live", 0))
    until = rollout.since + prod.steps[rollout.step].bake_s if labels[current][1] == "canary" == rollout.phase else None
    return [
        Step(
            label=label,
            state="done" if at < current else "now" if at == current else "next",
            until=until if at == current else None,
        )
        for at, (label, _, _) in enumerate(labels)
    ]
