"""What stands before every page: headers, hosts, sign-in, roles, and that a form came from our own page."""

import asyncio
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earthsnap_train.console.asked import Asked, Desk, Page, cookie_name

MOST_BODY_BYTES = 64 * 1024
MOST_FIELDS = 16
BODY_TIMEOUT_S = 10.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with less, browsers send ``Origin: null`` along with forms
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}  # fmt: skip


class Shell:
    """Outermost, so that errors get the headers too. Bound to loopback it answers only where it is called so: another
    name that leads here is a page elsewhere that had its name point to this machine."""

    def __init__(self, app: ASGIApp, *, is_local: bool) -> None:
        self._app = app
        self._is_local = is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if self._is_local and _hostname(scope) not in LOOPBACK:
            text = "This console answers on this machine alone, as 127.0.0.1 or localhost.\n"
            await PlainTextResponse(text, status_code=400)(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)


def _hostname(scope: Scope) -> str | None:
    """None where none is named, or several are, or it is no name."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    try:
        return urlsplit(f"//{hosts[0]}").hostname if len(hosts) == 1 and not set(hosts[0]) & set("/?#@\\") else None
    except ValueError:
        return None


def route(page: Page, desk: Desk) -> Route:
    async def endpoint(request: Request) -> Response:
        session_id = request.cookies.get(cookie_name(request), "")
        session = await run_in_threadpool(desk.sessions.get, session_id, awake=not page.asks_itself)
        if session is None and page.needs != "nobody":
            return _ask_to_sign_in(request)
        if session is not None and page.needs == "approver" and not session.may("approver"):
            raise HTTPException(403, "Only an approver may do this; you are signed in as a viewer.")
        form: Mapping[str, str] = {}
        if page.method == "POST":
            _came_from_here(request)
            form = await _form(request)
            ours = session.csrf if session is not None else ""
            if page.needs != "nobody" and not hmac.compare_digest(form.get("csrf", "").encode(), ours.encode()):
                raise HTTPException(403, "This form is from an earlier sign-in. Go back, load it anew, and try again.")
        return await run_in_threadpool(page.answer, Asked(desk=desk, request=request, session=session, form=form))

    return Route(page.path, endpoint, methods=[page.method])


def _ask_to_sign_in(request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        raise HTTPException(401, "You are not signed in any more. Sign in, and do it again.")
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("sec-fetch-site") == "cross-site":
        # Followed from a message: the browser holds the strict cookie back until one of our own pages asks.
        location = quote(here, safe="/?&=%-._~")
        return HTMLResponse(f'<!doctype html><meta http-equiv="refresh" content="0; url={location}"><title>…</title>')
    return RedirectResponse(f"/sign-in?next={quote(here, safe='')}", status_code=303)


def _came_from_here(request: Request) -> None:
    """Every browser of these years says where a form comes from; who says nothing is none."""
    scheme, _, place = request.headers.get("origin", "").partition("://")
    if scheme not in ("http", "https") or place != request.headers.get("host"):
        raise HTTPException(403, "This form did not come from this console.")


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "A form is expected.")
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY_BYTES:
                    raise HTTPException(413, "That is too long.")
    except TimeoutError:
        raise HTTPException(408, "That took too long to arrive.") from None
    try:
        fields = parse_qs(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise HTTPException(400, "This form cannot be read.") from None
    if any(len(values) > 1 or "\0" in values[0] for values in fields.values()):
        raise HTTPException(400, "This form cannot be read.")
    return {name: values[0].replace("\r\n", "\n") for name, values in fields.items()}
