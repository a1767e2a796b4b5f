"""Nobody sees or does what is not for them, wherever the request comes from and whatever is in it."""

import re
import socket
from collections.abc import Callable

import pytest

from earthsnap_train.console.app import PAGES
from earthsnap_train.console.asked import Page
from earthsnap_train.console.guard import MOST_BODY_BYTES
from tests.console.conftest import FORM, Browser, Console

GUARDED = [page for page in PAGES if page.needs != "nobody"]
CHANGING = [page for page in PAGES if page.method == "POST" and page.needs == "approver"]
# With these a form would be taken, were it not for what the test takes away.
FIELDS = {"decision": "approve", "why": "good", "seen": "PendingApproval", "anyway": "yes", "rollout": "2"}


def name_of(page: Page) -> str:
    return f"{page.method} {page.path}"


def address(page: Page) -> str:
    """A release to which the page applies: 1 is live, 2 is rejected, 3 waits in stage, 4 for approval."""
    number = {"overrule": 2, "withdraw": 3, "roll-back": 3}.get(page.path.rpartition("/")[2], 4)
    return page.path.replace("{name}", f"plants-{number}").replace("{family}", "plants")


@pytest.fixture
def full(console: Console) -> Console:
    live, _, staged, waiting = (
        console.register(1),
        console.register(2, "too bad"),
        console.register(3),
        console.register(4),
    )
    console.go_live(live)
    console.begin(staged)
    for name in ("report.html", "comparison.html"):
        console.registry.attach(waiting, f"report/{name}", b"<p>a report")
    return console


def fields(page: Page, browser: Browser) -> dict[str, str]:
    csrf = browser.get("/").field("csrf")
    seen = {"overrule": "Rejected", "withdraw": "Approved"}.get(page.path.rpartition("/")[2], "PendingApproval")
    return {**FIELDS, "seen": seen, "csrf": csrf}


def ask(page: Page, browser: Browser, sent: dict[str, str], headers: dict[str, str] | None = None) -> int:
    path = address(page)
    return (browser.post(path, sent, headers) if page.method == "POST" else browser.get(path, headers)).status


@pytest.mark.parametrize("page", GUARDED, ids=name_of)
def test_who_is_not_signed_in_sees_and_changes_nothing(full: Console, page: Page) -> None:
    before = full.registry.ledger.history()

    if page.method == "GET":
        answer = full.anybody().get(address(page))
        assert (answer.status, answer.location) == (303, "/sign-in?next=" + address(page).replace("/", "%2F"))
        assert "plants" not in answer.text
    else:
        assert ask(page, full.anybody(), FIELDS) == 401
    assert full.registry.ledger.history() == before


@pytest.mark.parametrize("page", GUARDED, ids=name_of)
def test_a_viewer_sees_everything_and_changes_nothing(full: Console, page: Page) -> None:
    viewer = full.sign_in("ben", "viewer")
    before = full.registry.ledger.history()

    status = ask(page, viewer, {**FIELDS, "csrf": viewer.get("/").field("csrf")})

    if page.needs == "approver":
        assert status == 403
        assert full.registry.ledger.history() == before
    else:
        assert status in (200, 303)


@pytest.mark.parametrize("page", GUARDED, ids=name_of)
def test_an_approver_sees_and_may_do_everything(full: Console, page: Page) -> None:
    approver = full.sign_in()
    before = full.registry.ledger.history()

    status = ask(page, approver, fields(page, approver))

    assert status in ((303,) if page.method == "POST" else (200, 303))
    assert (len(full.registry.ledger.history()) > len(before)) == (page in CHANGING)


@pytest.mark.parametrize("page", CHANGING, ids=name_of)
def test_a_form_without_its_sessions_own_token_changes_nothing(full: Console, page: Page) -> None:
    approver, another = full.sign_in(), full.sign_in("eve").get("/").field("csrf")
    sent = fields(page, approver)
    before = full.registry.ledger.history()

    for csrf in ("", "guessed", another):
        assert ask(page, approver, {**sent, "csrf": csrf}) == 403
    del sent["csrf"]
    assert ask(page, approver, sent) == 403
    assert full.registry.ledger.history() == before


@pytest.mark.parametrize("page", CHANGING, ids=name_of)
def test_a_form_from_elsewhere_changes_nothing(full: Console, page: Page) -> None:
    """Other ports of this machine are the same site to a browser, which sends the cookie along."""
    approver = full.sign_in()
    sent = fields(page, approver)
    before = full.registry.ledger.history()

    elsewhere = ("http://evil.example", "http://127.0.0.1:1", f"http://localhost:{full.port}", f"ftp://{approver.host}")
    for origin in ("", "null", approver.host, *elsewhere):
        assert ask(page, approver, sent, {"Origin": origin}) == 403, origin
    assert full.registry.ledger.history() == before


def test_every_page_that_changes_something_asks_for_an_approver() -> None:
    assert {page.path for page in PAGES if page.method == "POST" and page.needs != "approver"} == {
        "/sign-in",
        "/sign-out",
    }


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "", "[::", "localhost@evil.example"]
)
def test_on_this_machine_it_answers_to_no_other_name(console: Console, host: str) -> None:
    answer = console.anybody().get("/sign-in", {"Host": host.format(port=console.port) or " "})

    assert answer.status == 400
    assert "token" not in answer.text


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1", "[::1]:9000"])
def test_on_this_machine_it_answers_by_any_of_its_names(console: Console, host: str) -> None:
    assert console.anybody().get("/sign-in", {"Host": host.format(port=console.port)}).status == 200


def test_bound_elsewhere_it_answers_by_the_name_that_it_is_given(open_console: Callable[..., Console]) -> None:
    assert open_console(is_local=False).anybody().get("/sign-in", {"Host": "console.example.org"}).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/nothing", "/releases/plants-9", "/static/console.css", "/releases/%2e%2e"]
)
def test_every_answer_forbids_what_no_page_needs(full: Console, path: str) -> None:
    headers = full.sign_in().get(path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "geolocation=()" in headers["permissions-policy"]
    assert "server" not in headers


@pytest.mark.parametrize(
    "page", [page for page in GUARDED if page.method == "GET" and page.path[-5:] != ".html"], ids=name_of
)
def test_no_page_has_a_script_or_a_style_of_its_own(full: Console, page: Page) -> None:
    answer = full.sign_in().get(address(page))
    text = full.sign_in("eve").get(answer.location).text if answer.status == 303 else answer.text

    assert not re.search(r"\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:", text)
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", text))
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//(?!127\.0\.0\.1)', text)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"token": "x"}', 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        (FORM, b"token=" + b"x" * MOST_BODY_BYTES, 413),
        (FORM, b"token=%ff", 400),
        (FORM, b"token=\xff", 400),
        (FORM, b"token=a%00b", 400),
        (FORM, b"token=a&token=b", 400),
        (FORM, b"&".join(b"f%d=" % number for number in range(100)), 400),
        (FORM, b"token", 400),
        (FORM, b"", 403),
    ],
)
def test_what_is_no_form_of_ours_is_refused(console: Console, content_type: str, body: bytes, status: int) -> None:
    browser = console.anybody()
    headers = {"Origin": f"http://{browser.host}", "Content-Type": content_type}

    assert browser._ask("POST", "/sign-in", body, headers).status == status


def test_a_body_that_is_longer_than_it_says_is_cut_off(console: Console) -> None:
    host = f"127.0.0.1:{console.port}"
    said = (f"Host: {host}", f"Origin: http://{host}", f"Content-Type: {FORM}", "Transfer-Encoding: chunked")
    head = "\r\n".join(("POST /sign-in HTTP/1.1", *said, "", ""))
    with socket.create_connection(("127.0.0.1", console.port), timeout=30) as connection:
        connection.sendall(head.encode())
        for _ in range(2 + MOST_BODY_BYTES // 4096):
            connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_link_followed_from_elsewhere_arrives_although_the_cookie_is_strict(full: Console) -> None:
    """The browser sends no cookie with it; the page that it gets asks again by itself, and that has the cookie."""
    answer = full.anybody().get('/releases/plants-4?beside="><script>', {"Sec-Fetch-Site": "cross-site"})

    assert answer.status == 200
    assert 'url=/releases/plants-4?beside=%22%3E%3Cscript%3E"' in answer.text
    assert "plants-4" not in answer.words


@pytest.mark.parametrize("path", ["/nothing", "/releases/plants-9", "/rollouts/birds", "/releases/plants-1/nothing"])
def test_what_is_not_there_is_said_to_be_so(full: Console, path: str) -> None:
    answer = full.sign_in().get(path)

    assert answer.status == 404
    assert "There is no" in answer.words


def test_a_page_has_no_other_methods(full: Console) -> None:
    assert full.sign_in().get("/releases/plants-4/decide").status == 405
    assert full.sign_in("eve").get("/", method="DELETE").status == 405
