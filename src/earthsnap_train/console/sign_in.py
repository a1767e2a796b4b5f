"""Signing in by a link that holds once, or by one's own token; signing out."""

import re
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from earthsnap_train.console.asked import ORIGIN, Asked
from earthsnap_train.console.html import page
from earthsnap_train.console.sessions import LONGEST_S
from earthsnap_train.release.ledger import Action, record

NOBODY = "nobody"


def show(asked: Asked) -> Response:
    """With ``once`` in the address it signs in; a HEAD, as of a program that previews links, does not use that up."""
    once = asked.query("once")
    if once and asked.request.method == "GET":
        return _try(
            asked, lambda: asked.desk.sessions.use_link(once), refused="the link was used before, or is too old"
        )
    if asked.session is not None:
        return RedirectResponse(local(asked.query("next")), status_code=303)
    return page(asked, "sign_in.html.j2", next=local(asked.query("next")), problem="")


def sign_in(asked: Asked) -> Response:
    def by_token() -> str | None:
        user = asked.desk.users.by_token(asked.form.get("token", "").strip())
        return asked.desk.sessions.begin(user) if user is not None else None

    return _try(asked, by_token, refused="no such token")


def sign_out(asked: Asked) -> Response:
    asked.desk.sessions.end(asked.request.cookies.get(asked.cookie, ""))
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(asked.cookie, secure=_is_secure(asked), httponly=True, samesite="strict")
    return answer


def _try(asked: Asked, begin: Callable[[], str | None], *, refused: str) -> Response:
    wait_s = asked.desk.attempts.begin(asked.address)
    if wait_s:
        raise HTTPException(
            429, f"Too many attempts to sign in; the next one in {wait_s} s.", headers={"retry-after": str(wait_s)}
        )
    session_id = begin()
    if session_id is None:
        _record(asked, "sign-in refused", NOBODY, f"{refused}; from {asked.address}")
        problem = f"That did not sign you in: {refused}."
        return page(asked, "sign_in.html.j2", status=403, next=local(asked.form.get("next", "")), problem=problem)
    asked.desk.attempts.succeeded(asked.address)
    session = asked.desk.sessions.get(session_id)
    assert session is not None
    _record(asked, "signed in", session.login, f"as {session.role}, from {asked.address}")
    asked.desk.sessions.end(asked.request.cookies.get(asked.cookie, ""))
    answer = RedirectResponse(local(asked.form.get("next", "")), status_code=303)
    answer.set_cookie(
        asked.cookie, session_id, max_age=LONGEST_S, secure=_is_secure(asked), httponly=True, samesite="strict"
    )
    return answer


def local(target: str) -> str:
    """A page of ours, whatever an address asks for; ``//x`` and ``/\\x`` are other hosts to a browser."""
    return target if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", target) else "/"


def _is_secure(asked: Asked) -> bool:
    return asked.request.url.scheme == "https"


def _record(asked: Asked, action: Action, who: str, why: str) -> None:
    with asked.desk.registry.ledger.writing() as connection:
        record(connection, action, "", why=why, who=who, origin=ORIGIN)
