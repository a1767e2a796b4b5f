"""The audit log, in parts and by what one looks for."""

import re

import pytest

from earthsnap_train.console.history import PAGE
from earthsnap_train.release.ledger import record
from tests.console.conftest import Answer, Console


def lines(page: Answer) -> list[str]:
    return re.findall(r'<p class="why">(.*?)</p>', page.text)


def write(console: Console, *, count: int, who: str, release: str = "plants-1") -> None:
    with console.registry.ledger.writing() as connection:
        for number in range(count):
            record(connection, "approved", release, why=f"{who} {number}", who=who, origin="test")


def test_the_newest_come_first_and_older_ones_page_by_page(console: Console) -> None:
    write(console, count=2 * PAGE + 5, who="ben")
    browser = console.sign_in()
    found, page = [], browser.get("/history")
    while True:
        found += lines(page)
        older = re.search(r'href="(/history\?[^"]*)">Older', page.text)
        if older is None:
            break
        page = browser.get(older[1].replace("&amp;", "&"))

    assert found == [
        "as approver, from 127.0.0.1",
        "anna, approver",
        *(f"ben {n}" for n in range(2 * PAGE + 4, -1, -1)),
    ]


def test_filters_go_together_and_into_the_next_page(console: Console) -> None:
    write(console, count=3, who="ben", release="plants-2")
    write(console, count=PAGE + 2, who="ben")
    write(console, count=3, who="cleo")
    browser = console.sign_in()

    page = browser.get("/history?who=ben&release=plants-1&action=approved")

    assert lines(page) == [f"ben {number}" for number in range(PAGE + 1, 1, -1)]
    assert "release=plants-1&amp;action=approved&amp;who=ben&amp;before=" in page.text
    assert lines(browser.get("/history?who=ben&release=plants-2")) == ["ben 2", "ben 1", "ben 0"]
    assert lines(browser.get("/history?action=rejected")) == []


@pytest.mark.parametrize(
    "query",
    ["before=x", "before=-1", "before=99999999999999999999999", "before=²", "who=%00", "release=a'--", "action=["],
)
def test_whatever_is_asked_for_is_answered(console: Console, query: str) -> None:
    assert console.sign_in().get(f"/history?{query.replace('²', '%C2%B2')}").status == 200


def test_figures_can_be_read(console: Console) -> None:
    with console.registry.ledger.writing() as connection:
        figures = {"share": 0.1, "canary": {"errors": 0, "latency_ms": None}, "gone": True, "codes": []}
        record(connection, "canary", "plants-1", origin="rollout", figures=figures)

    assert "share 0.1 canary: errors 0 gone yes codes none" in console.sign_in().get("/history").words
