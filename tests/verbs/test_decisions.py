"""``approve``, ``reject`` and ``rollback`` as they are typed: what they say, do, and leave alone."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from earthsnap_train.release.deployments import Deployments, Wanted
from earthsnap_train.release.locks import WATCH
from earthsnap_train.release.registry import Registry
from tests.conftest import Said
from tests.release.bundles import register

Command = Callable[..., Said]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Of two releases that wait and one that its gates rejected."""
    registry = Registry(tmp_path / "registry")
    register(registry, 1)
    register(registry, 2)
    register(registry, 3, "family.top1 is only 0.2; at least 0.6 is required")
    return registry


def actions(registry: Registry) -> list[tuple[str, str]]:
    return [(e.action, e.release) for e in registry.ledger.history() if e.action != "registered"]


def go_live(registry: Registry, *numbers: int) -> None:
    deployments = Deployments(registry.ledger)
    for number in numbers:
        registry.approve(f"plants-{number}", why="", origin="test", anyway=True)
        deployments.go_live(deployments.begin("plants", number, origin="test"), standby=True, origin="test")


# ---- approve


def test_approve_says_what_comes_next(registry: Registry, earthsnap: Command) -> None:
    said = earthsnap("approve", "release=plants-1", "why=good, really: [nearly] all")

    assert said.code == 0
    assert [line.split(maxsplit=1) for line in said.out.splitlines()] == [
        ["approved", "plants-1"],
        ["next", "earthsnap rollout release=plants-1"],
    ]
    entry = registry.ledger.history()[-1]
    assert (entry.action, entry.release, entry.why) == ("approved", "plants-1", "good, really: [nearly] all")
    assert entry.origin == "command line"


def test_approve_leaves_the_rollout_to_a_running_watch(registry: Registry, earthsnap: Command) -> None:
    with FileLock(registry.root / WATCH):
        assert "next      the running watch takes it to stage" in earthsnap("approve", "release=plants-1").out
        assert earthsnap("approve", "release=plants-2", "--json").json["watching"] is True
        assert (
            "earthsnap rollout release=plants-1" in earthsnap("approve", "release=plants-1").out
        )  # it saw that before


def test_approving_twice_says_who_did_and_when(registry: Registry, earthsnap: Command) -> None:
    registry.approve("plants-1", why="looks good", origin="console", who="anna")

    said = earthsnap("approve", "release=plants-1", "why=me too")

    assert said.code == 0
    assert re.search(r"no change +plants-1 was approved before by anna on [\d-]+ [\d:]+: looks good", said.out)
    assert actions(registry) == [("approved", "plants-1")]
    again = earthsnap("approve", "release=plants-1", "--json").json
    assert (again["changed"], again["decision"]["who"], again["decision"]["why"]) == (False, "anna", "looks good")


def test_approving_what_is_live_or_on_its_way_asks_for_no_rollout(registry: Registry, earthsnap: Command) -> None:
    go_live(registry, 1)
    registry.approve("plants-2", why="", origin="test")
    Deployments(registry.ledger).begin("plants", 2, origin="test")

    assert re.search(r"next +it is live$", earthsnap("approve", "release=plants-1").out, re.MULTILINE)
    assert "next       it is being tested in stage" in earthsnap("approve", "release=plants-2").out


def test_a_rejected_release_is_approved_only_anyway(registry: Registry, earthsnap: Command) -> None:
    refused = earthsnap("approve", "release=plants-3")

    assert refused.code == 2
    assert re.search(r"plants-3 was rejected by its gates on .*: family.top1 is only 0.2", refused.err)
    assert "anyway=true" in refused.err
    assert actions(registry) == []
    assert earthsnap("approve", "release=plants-3", "anyway=true").code == 0
    assert registry.get("plants-3").state == "Approved"


def test_a_broken_release_is_refused_and_nothing_changes(registry: Registry, earthsnap: Command) -> None:
    (registry.get("plants-1").path / "nodes" / "flat.onnx").write_bytes(b"changed")

    said = earthsnap("approve", "release=plants-1", "anyway=true")

    assert said.code == 4
    assert "nodes/flat.onnx is not what was registered" in said.err
    assert registry.get("plants-1").state == "PendingApproval"
    assert actions(registry) == []


@pytest.mark.parametrize(
    "command", [["approve"], ["reject", "why=x"], ["rollback"], ["releases"], ["history"]], ids=lambda words: words[0]
)
def test_a_slip_in_a_name_is_answered_with_the_nearest(
    registry: Registry, earthsnap: Command, command: list[str]
) -> None:
    said = earthsnap(*command, "release=plant-2")

    assert said.code == 2
    assert "there is no release 'plant-2'" in said.err
    assert "Did you mean 'plants-2'?" in said.err
    assert actions(registry) == []


@pytest.mark.parametrize("verb", ["approve", "reject", "rollback"])
def test_no_decision_is_about_a_release_that_nobody_named(registry: Registry, earthsnap: Command, verb: str) -> None:
    said = earthsnap(verb, "why=x")

    assert said.code == 2
    assert "job.release: no value was given" in said.err
    assert actions(registry) == []


# ---- reject


@pytest.mark.parametrize("why", [[], ["why="]])
def test_a_rejection_needs_a_reason(registry: Registry, earthsnap: Command, why: list[str]) -> None:
    said = earthsnap("reject", "release=plants-1", *why)

    assert said.code == 2
    assert "why" in said.err
    assert registry.get("plants-1").state == "PendingApproval"


def test_reject_tells_nothing_of_production_where_it_had_no_part(registry: Registry, earthsnap: Command) -> None:
    go_live(registry, 2)
    said = earthsnap("reject", "release=plants-1", "why=wrong names")
    assert (said.code, said.out.split()) == (0, ["rejected", "plants-1"])
    assert Deployments(registry.ledger).champion("plants") == 2

    again = earthsnap("reject", "release=plants-1", "why=really")
    assert again.code == 0
    assert re.search(r"no change +plants-1 was rejected before by .* on [\d-]+ [\d:]+: wrong names", again.out)


def test_rejecting_the_live_one_says_what_answers_now(registry: Registry, earthsnap: Command) -> None:
    go_live(registry, 1, 2)

    said = earthsnap("reject", "release=plants-2", "why=wrong names")

    assert re.search(r"rejected +plants-2\nproduction +plants-1 answers again", said.out)
    assert actions(registry)[-2:] == [("rejected", "plants-2"), ("rolled back", "plants-2")]


def test_rejecting_the_live_one_with_none_before_it_says_how_to_end_production(
    registry: Registry, earthsnap: Command
) -> None:
    go_live(registry, 1)

    said = earthsnap("reject", "release=plants-1", "why=wrong names")

    assert said.code == 0
    assert "it still answers, for nothing came before it" in said.out
    assert "earthsnap stop endpoint=prod" in said.out
    assert earthsnap("reject", "release=plants-1", "why=x", "--json").json["live"] == "plants-1"


def test_rejecting_what_is_on_its_way_ends_its_rollout(registry: Registry, earthsnap: Command) -> None:
    go_live(registry, 1)
    registry.approve("plants-2", why="", origin="test")
    deployments = Deployments(registry.ledger)
    wish = Wanted(stable="plants-1", canary="plants-2", share=0.1)
    deployments.advance(deployments.begin("plants", 2, origin="test"), "canary", prod=wish, origin="test")

    said = earthsnap("reject", "release=plants-2", "why=wrong names")

    assert re.search(r"production +its rollout has ended; plants-1 goes on answering", said.out)
    assert deployments.under_way("plants") is None


# ---- rollback


def test_rollback_brings_the_one_before_back(registry: Registry, earthsnap: Command) -> None:
    go_live(registry, 1, 2)

    said = earthsnap("rollback", "release=plants-2", "why=too slow")

    assert said.code == 0
    assert re.search(r"rolled back +plants-2\nproduction +plants-1 answers again", said.out)
    assert registry.ledger.history()[-1].why == "too slow"
    assert registry.get("plants-2").state == "Approved"


def test_rollback_of_what_was_never_live_leaves_nothing_in_production(registry: Registry, earthsnap: Command) -> None:
    registry.approve("plants-1", why="", origin="test")
    Deployments(registry.ledger).begin("plants", 1, origin="test")

    said = earthsnap("rollback", "release=plants-1")

    assert "its rollout has ended; production serves nothing, as before" in said.out
    assert earthsnap("status", "--json").json["live"]["plants"]["rollout"] is None


def test_rollback_is_refused_where_there_is_nothing_to_take_back(registry: Registry, earthsnap: Command) -> None:
    go_live(registry, 1)

    neither = earthsnap("rollback", "release=plants-2")
    none_before = earthsnap("rollback", "release=plants-1")

    assert (neither.code, none_before.code) == (2, 2)
    assert "it is neither live nor on its way there: waits for approval" in neither.err
    assert "allowed: plants-1 (live)" in neither.err
    assert "it stays live, for nothing came before it" in none_before.err
    assert "earthsnap stop endpoint=prod" in none_before.err
    assert Deployments(registry.ledger).champion("plants") == 1


def test_rollback_as_json_says_what_is_live(registry: Registry, earthsnap: Command) -> None:
    go_live(registry, 1, 2)
    assert earthsnap("rollback", "release=plants-2", "--json").json == {"release": "plants-2", "live": "plants-1"}
