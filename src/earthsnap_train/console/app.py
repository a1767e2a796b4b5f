"""The console: every page and whom it answers, as one table."""

import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from earthsnap_train.console import history, html, releases, rollouts, sign_in
from earthsnap_train.console.asked import Asked, Desk, Page
from earthsnap_train.console.guard import Shell, route
from earthsnap_train.console.rate_limit import Attempts
from earthsnap_train.console.sessions import Sessions
from earthsnap_train.console.users import Users
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.deployment import Deployment

PAGES = (
    Page(method="GET", path="/", needs="viewer", answer=releases.show_all),
    Page(method="GET", path="/releases/{name}", needs="viewer", answer=releases.show),
    Page(method="GET", path="/releases/{name}/report.html", needs="viewer", answer=releases.report),
    Page(method="GET", path="/releases/{name}/comparison.html", needs="viewer", answer=releases.report),
    Page(method="POST", path="/releases/{name}/decide", needs="approver", answer=releases.decide),
    Page(method="GET", path="/releases/{name}/overrule", needs="approver", answer=releases.ask_to_overrule),
    Page(method="POST", path="/releases/{name}/overrule", needs="approver", answer=releases.overrule),
    Page(method="GET", path="/releases/{name}/withdraw", needs="approver", answer=releases.ask_to_withdraw),
    Page(method="POST", path="/releases/{name}/withdraw", needs="approver", answer=releases.withdraw),
    Page(method="GET", path="/releases/{name}/roll-back", needs="approver", answer=rollouts.ask_to_roll_back),
    Page(method="POST", path="/releases/{name}/roll-back", needs="approver", answer=rollouts.roll_back),
    Page(method="GET", path="/rollouts", needs="viewer", answer=rollouts.show_all),
    Page(method="GET", path="/rollouts/{family}", needs="viewer", answer=rollouts.show),
    Page(method="GET", path="/rollouts/{family}/live", needs="viewer", answer=rollouts.live, asks_itself=True),
    Page(method="POST", path="/rollouts/{family}/promote", needs="approver", answer=rollouts.promote),
    Page(method="GET", path="/history", needs="viewer", answer=history.show),
    Page(method="GET", path="/sign-in", needs="nobody", answer=sign_in.show),
    Page(method="POST", path="/sign-in", needs="nobody", answer=sign_in.sign_in),
    Page(method="POST", path="/sign-out", needs="viewer", answer=sign_in.sign_out),
)


def make_desk(
    registry: Registry, deployment: Deployment, *, is_local: bool, clock: Callable[[], float] = time.monotonic
) -> Desk:
    users = Users(registry.ledger)
    return Desk(
        registry=registry,
        deployments=Deployments(registry.ledger),
        deployment=deployment,
        users=users,
        sessions=Sessions(clock, users.get),
        attempts=Attempts(clock),
        is_local=is_local,
    )


def make_app(desk: Desk) -> ASGIApp:
    def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = error.detail if error.detail[-1:] == "." else "There is no such page."
        return html.page(
            Asked(desk=desk, request=request, session=None), "problem.html.j2", status=error.status_code, problem=said,
            headers=error.headers,
        )  # fmt: skip

    def bug(request: Request, error: Exception) -> Response:
        return html.page(
            Asked(desk=desk, request=request, session=None), "problem.html.j2", status=500,
            problem="Something went wrong in the console itself. Nothing was changed; its log says more.",
        )  # fmt: skip

    app = Starlette(
        routes=[
            *(route(one, desk) for one in PAGES),
            Route("/static/console.css", lambda _: Response(html.stylesheet(), media_type="text/css")),
            Route("/static/console.js", lambda _: Response(html.script(), media_type="text/javascript")),
            Route("/robots.txt", lambda _: PlainTextResponse("User-agent: *\nDisallow: /\n")),
        ],
        exception_handlers={HTTPException: problem, Exception: bug},
    )
    return Shell(app, is_local=desk.is_local)
