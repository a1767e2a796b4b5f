"""Who is who: links that hold once, tokens, sessions that end, and how often one may guess."""

import sqlite3

import pytest

from earthsnap_train.console.rate_limit import MOST_OF_ALL, MOST_OF_ONE_ADDRESS, WINDOW_S, Attempts
from earthsnap_train.console.sessions import LINK_S, LONGEST_IDLE_S, LONGEST_S
from earthsnap_train.console.sign_in import local
from tests.console.conftest import Browser, Clock, Console


def signed_in(browser: Browser) -> bool:
    return browser.get("/").status == 200


def test_the_link_signs_in_once(console: Console) -> None:
    path = f"/sign-in?once={console.desk.sessions.link_for('anna')}"
    first, second = console.anybody(), console.anybody()

    assert first.get(path).location == "/"
    answer = second.get(path)

    assert "anna, approver" in first.get("/").words
    assert answer.status == 403
    assert "used before" in answer.words
    assert not signed_in(second)


def test_the_link_ages_and_looking_at_it_does_not_use_it_up(console: Console) -> None:
    path = f"/sign-in?once={console.desk.sessions.link_for('anna')}"
    browser = console.anybody()

    assert browser.get(path, method="HEAD").status == 200
    assert not signed_in(browser)
    console.clock.now += LINK_S
    assert browser.get(path).status == 403
    assert not signed_in(browser)


def test_a_token_signs_in_as_often_as_one_likes(console: Console) -> None:
    token = console.desk.users.add("anna", "viewer")
    first, second = console.anybody(), console.anybody()

    assert first.post("/sign-in", {"token": f" {token}\n"}).status == 303
    assert second.post("/sign-in", {"token": token}).status == 303
    assert "anna, viewer" in first.get("/").words
    assert first.cookies != second.cookies


@pytest.mark.parametrize("token", ["", "x", "anna", "' OR 1=1 --"])
def test_nothing_but_the_token_signs_in(console: Console, token: str) -> None:
    console.desk.users.add("anna", "approver")
    browser = console.anybody()

    assert browser.post("/sign-in", {"token": token}).status == 403
    assert not browser.cookies


def test_no_token_is_kept(console: Console) -> None:
    token = console.desk.users.add("anna", "approver")
    console.sign_in("ben")

    with sqlite3.connect(console.registry.ledger.file) as connection:
        kept = "\n".join(connection.iterdump())
    assert token not in kept
    assert "anna" in kept


def test_who_is_removed_gets_a_new_token_or_another_role_feels_it_at_once(console: Console) -> None:
    removed, renewed, lowered = (console.sign_in(login) for login in ("anna", "ben", "cleo"))

    console.desk.users.remove("anna")
    console.desk.users.add("ben", "approver")
    with console.registry.ledger.writing() as connection:
        connection.execute("UPDATE users SET role = 'viewer' WHERE login = 'cleo'")

    assert not signed_in(removed)
    assert not signed_in(renewed)
    assert "cleo, viewer" in lowered.get("/").words


def test_a_session_ends_when_nobody_uses_it_and_in_the_evening_anyway(console: Console) -> None:
    busy, idle = console.sign_in(), console.sign_in("ben")
    for _ in range(int(LONGEST_S / (LONGEST_IDLE_S - 1))):
        console.clock.now += LONGEST_IDLE_S - 1
        assert signed_in(busy)
    assert not signed_in(idle)

    console.clock.now += LONGEST_IDLE_S - 1
    assert not signed_in(busy)


def test_a_page_that_asks_by_itself_keeps_nobody_signed_in(console: Console) -> None:
    console.register(1)
    browser = console.sign_in()
    console.clock.now += LONGEST_IDLE_S - 1
    assert browser.get("/rollouts/plants/live").status == 200
    console.clock.now += 1

    assert browser.get("/rollouts/plants/live").status == 303


def test_signing_out_ends_the_session_whoever_kept_its_cookie(console: Console) -> None:
    browser = console.sign_in()
    kept = dict(browser.cookies)

    browser.submit("/sign-out", {}, on="/")

    assert not signed_in(browser)
    assert not signed_in(Browser(port=console.port, cookies=kept))


def test_signing_in_anew_ends_the_session_before(console: Console) -> None:
    browser = console.sign_in()
    kept = dict(browser.cookies)

    browser.post("/sign-in", {"token": console.desk.users.add("ben", "viewer")})

    assert not signed_in(Browser(port=console.port, cookies=kept))


def test_the_cookie_is_for_this_console_alone(console: Console) -> None:
    token = console.desk.users.add("anna", "approver")

    plain = console.anybody().post("/sign-in", {"token": token}).headers["set-cookie"]
    behind_tls = (
        console.anybody().post("/sign-in", {"token": token}, {"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    )

    assert plain.startswith(f"earthsnap-{console.port}=")
    assert behind_tls.startswith("__Host-earthsnap=")
    assert "Secure" in behind_tls
    for cookie in (plain, behind_tls):
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/" in cookie
        assert f"Max-Age={LONGEST_S}" in cookie
        assert "Domain" not in cookie


# ---- guessing


def test_who_guesses_is_made_to_wait(console: Console) -> None:
    token = console.desk.users.add("anna", "approver")
    browser = console.anybody()
    for _ in range(MOST_OF_ONE_ADDRESS):
        assert browser.post("/sign-in", {"token": "guess"}).status == 403

    refused = browser.post("/sign-in", {"token": token})

    assert refused.status == 429
    assert refused.headers["retry-after"] == str(int(WINDOW_S))
    assert browser.get(f"/sign-in?once={token}").status == 429
    console.clock.now += WINDOW_S
    assert browser.post("/sign-in", {"token": token}).status == 303


def test_signing_in_is_no_guess() -> None:
    attempts = Attempts(Clock())
    for _ in range(3 * MOST_OF_ALL):
        assert attempts.begin("anna's") == 0
        attempts.succeeded("anna's")


def test_many_addresses_together_wait_too() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(MOST_OF_ALL):
        clock.now += 1
        assert attempts.begin(f"address {number}") == 0

    assert attempts.begin("another") == WINDOW_S - MOST_OF_ALL + 1
    clock.now += WINDOW_S - MOST_OF_ALL + 1
    assert attempts.begin("another") == 0


def test_one_address_does_not_keep_others_out() -> None:
    attempts = Attempts(Clock())
    while not attempts.begin("eve's"):
        pass

    assert attempts.begin("anna's") == 0


# ---- the log, and where it leads


def test_who_signed_in_and_who_was_refused_is_in_the_log(console: Console) -> None:
    console.sign_in()
    console.anybody().post("/sign-in", {"token": "guess"})

    assert console.log() == [
        ("anna", "signed in", "", "as approver, from 127.0.0.1"),
        ("nobody", "sign-in refused", "", "no such token; from 127.0.0.1"),
    ]


def test_one_arrives_where_one_was_going(console: Console) -> None:
    console.register(1)
    token = console.desk.users.add("anna", "approver")
    browser = console.anybody()
    asked = browser.get("/releases/plants-1?beside=plants-2")

    page = browser.get(asked.location)
    answer = browser.post("/sign-in", {"token": token, "next": page.field("next")})

    assert answer.location == "/releases/plants-1?beside=plants-2"
    assert browser.get(asked.location).location == answer.location


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example", "https://evil.example", "evil.example", "",
     "/\t/evil.example", "/a\r\nSet-Cookie: a=b", "javascript:alert(1)", "/%0d", " /x", "/ü"],
)  # fmt: skip
def test_nobody_is_led_elsewhere(target: str) -> None:
    assert local(target) in ("/", "/%0d")


def test_signing_in_leads_to_no_other_host(console: Console) -> None:
    token = console.desk.users.add("anna", "approver")
    browser = console.anybody()

    assert browser.get("/sign-in?next=//evil.example").field("next") == "/"
    assert browser.post("/sign-in", {"token": token, "next": "//evil.example"}).location == "/"
    assert browser.get("/sign-in?next=//evil.example").location == "/"


def test_the_address_of_a_page_stays() -> None:
    assert local("/history?who=anna&release=plants-1") == "/history?who=anna&release=plants-1"
