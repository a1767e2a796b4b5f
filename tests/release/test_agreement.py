"""What people decide in the catalogue and what they decide here comes to the same, whoever is killed half way."""

from pathlib import Path

import pytest

from earthsnap_train.release.agreement import agree
from earthsnap_train.release.catalogue import Decision, State
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.release.standing import family_of
from tests.release.bundles import register
from tests.release.page import Killed, Page


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def registry(tmp_path: Path, page: Page) -> Registry:
    """Of two releases that wait and one that its gates rejected."""
    registry = Registry(tmp_path / "registry", catalogue=page)
    register(registry, 1)
    register(registry, 2)
    register(registry, 3, "family.top1 is only 0.2")
    return registry


def look(registry: Registry) -> dict[str, State]:
    """As a program that starts now sees it."""
    return {one.name: one.state for one in Registry(registry.root, catalogue=registry.catalogue).releases()}


def decisions(registry: Registry) -> list[tuple[str, str, str, str, str]]:
    log = registry.ledger.history()
    return [
        (e.who, e.action, e.release, e.why, e.origin)
        for e in log
        if e.action in ("approved", "rejected", "rolled back")
    ]


def test_what_is_decided_here_is_said_there(registry: Registry, page: Page) -> None:
    registry.approve("plants-1", why="looks good", origin="console", who="anna")
    registry.reject("plants-2", why="too slow", origin="console", who="ben")

    assert page.told == [(1, "Approved", "looks good"), (2, "Rejected", "too slow")]
    assert look(registry) == {"plants-1": "Approved", "plants-2": "Rejected", "plants-3": "Rejected"}
    assert [who for who, *_ in decisions(registry)] == ["anna", "ben"], "nothing of it was taken for somebody else's"


def test_what_is_decided_there_is_taken_over_with_who_and_why(registry: Registry, page: Page) -> None:
    page.entries[1] = Decision(state="Approved", who="anna@studio", why="good enough")

    assert look(registry)["plants-1"] == "Approved"
    assert look(registry)["plants-1"] == "Approved"

    assert decisions(registry) == [("anna@studio", "approved", "plants-1", "good enough", "model registry")]
    assert page.told == []


def test_who_overrules_gates_there_is_not_said_to_have_given_the_gates_own_reason(
    registry: Registry, page: Page
) -> None:
    page.entries[3] = Decision(state="Approved", who="anna@studio", why="family.top1 is only 0.2")

    look(registry)

    assert decisions(registry) == [("anna@studio", "approved", "plants-3", "", "model registry")]
    assert registry.ledger.history("plants-3")[-1].figures == {"overruled": True}


def test_rejecting_the_live_release_there_brings_back_the_one_before(registry: Registry, page: Page) -> None:
    deployments = Deployments(registry.ledger)
    for number in (1, 2):
        registry.approve(f"plants-{number}", why="", origin="test")
        deployments.go_live(deployments.begin("plants", number, origin="test"), standby=True, origin="test")
    page.entries[2] = Decision(state="Rejected", who="anna@studio", why="names roses wrongly")

    look(registry)

    assert deployments.champion("plants") == 1
    assert decisions(registry)[-2:] == [
        ("anna@studio", "rejected", "plants-2", "names roses wrongly", "model registry"),
        ("anna@studio", "rolled back", "plants-2", "names roses wrongly", "model registry"),
    ]


def test_who_is_killed_before_saying_it_there_has_decided_and_the_next_to_look_says_it(
    registry: Registry, page: Page
) -> None:
    page.is_cut = True
    with pytest.raises(Killed):
        registry.approve("plants-1", why="looks good", origin="console", who="anna")
    assert page.entries[1].state == "PendingApproval"
    page.is_cut = False

    assert look(registry)["plants-1"] == "Approved"

    assert page.told == [(1, "Approved", "looks good")]
    assert decisions(registry) == [("anna", "approved", "plants-1", "looks good", "console")]


def test_what_was_said_there_before_is_not_taken_for_a_decision_of_somebody_there(
    registry: Registry, page: Page
) -> None:
    registry.approve("plants-1", why="looks good", origin="console", who="anna")
    page.is_cut = True
    with pytest.raises(Killed):
        registry.reject("plants-1", why="on second thoughts", origin="console", who="ben")
    page.is_cut = False

    assert look(registry)["plants-1"] == "Rejected"

    assert page.entries[1].state == "Rejected"
    assert [(who, action) for who, action, *_ in decisions(registry)] == [("anna", "approved"), ("ben", "rejected")]


def test_of_two_decisions_at_once_the_one_there_is_kept(registry: Registry, page: Page) -> None:
    page.is_cut = True
    with pytest.raises(Killed):
        registry.approve("plants-1", why="looks good", origin="console", who="anna")
    page.is_cut = False
    page.entries[1] = Decision(state="Rejected", who="ben@studio", why="no")

    assert look(registry)["plants-1"] == "Rejected"
    assert page.told == []
    assert [(who, action) for who, action, *_ in decisions(registry)] == [
        ("anna", "approved"),
        ("ben@studio", "rejected"),
    ]


def test_an_entry_that_was_set_back_to_waiting_is_told_again(registry: Registry, page: Page) -> None:
    registry.approve("plants-1", why="looks good", origin="console", who="anna")
    page.entries[1] = Decision(state="PendingApproval", who="ben@studio", why="")

    assert look(registry)["plants-1"] == "Approved"

    assert page.entries[1].state == "Approved"
    assert len(decisions(registry)) == 1


def test_a_ledger_that_moved_on_meanwhile_is_not_overtaken_by_what_was_seen_before(
    registry: Registry, page: Page
) -> None:
    page.entries[1] = Decision(state="Approved", who="anna@studio", why="")
    seen_early = [one for one in registry._known() if one.name == "plants-1"]
    look(registry)
    registry.reject("plants-1", why="on second thoughts", origin="console", who="ben")
    page.entries[1] = Decision(state="Approved", who="anna@studio", why="")  # as an old answer had it

    agree(registry.ledger, page, seen_early)

    assert [(who, action) for who, action, *_ in decisions(registry)] == [
        ("anna@studio", "approved"),
        ("ben", "rejected"),
    ]


def test_an_entry_that_somebody_removed_leaves_the_release_as_it_is(registry: Registry, page: Page) -> None:
    registry.approve("plants-1", why="", origin="test")
    del page.entries[1]

    assert look(registry)["plants-1"] == "Approved"


def test_a_number_that_the_catalogue_gives_twice_is_refused(registry: Registry, page: Page) -> None:
    from earthsnap_train.errors import IntegrityError

    page.entries.clear()

    with pytest.raises(IntegrityError, match="gave a new release the number of plants-1, which is another one"):
        register(registry, 4)
    assert len(look(registry)) == 3


def test_whoever_is_about_one_family_asks_of_no_other(tmp_path: Path, page: Page) -> None:
    """Roles may look at their own family's entries alone."""
    root = tmp_path / "registry"
    register(Registry(root, catalogue=page), 1, family="red-birds")
    register(Registry(root, catalogue=page), 1)
    page.asked.clear()
    registry = Registry(root, catalogue=page, hear_every_s=0)

    assert registry.get("red-birds-1").family == "red-birds"
    assert family_of(registry, "red-birds-1").name == "red-birds"
    registry.approve("red-birds-1", why="", origin="test")
    assert set(page.asked) == {"red-birds"}

    registry.releases()
    assert set(page.asked) == {"plants", "red-birds"}


def test_each_family_is_asked_about_once_in_a_while(tmp_path: Path, page: Page) -> None:
    root = tmp_path / "registry"
    for family in ("birds", "plants"):
        register(Registry(root, catalogue=page), 1, family=family)
    page.asked.clear()
    registry = Registry(root, catalogue=page)

    for family in ("birds", "plants", "birds", "plants"):
        registry.hear(family)
    registry.hear()

    assert page.asked == ["birds", "plants"]
