"""``releases``, ``history`` and ``status``: where releases stand, who decided, and what is live."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.deployments import Deployments, Wanted
from earthsnap_train.release.registry import Registry
from earthsnap_train.serving.front_place import Place
from tests.conftest import Said
from tests.release.bundles import register

Command = Callable[..., Said]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """plants-1 was live, plants-2 is and answers in stage too, 3 is a canary, 4 failed its gates, 5 and 6 wait."""
    registry = Registry(tmp_path / "registry")
    deployments = Deployments(registry.ledger)
    for seed in range(1, 7):
        register(
            registry,
            seed,
            *(["family.top1 is only 0.2; at least 0.6 is required"] if seed == 4 else []),
            top1=seed / 10,
        )
    for number in (1, 2):
        registry.approve(f"plants-{number}", why="looks good", origin="console", who="anna")
        rollout = deployments.begin("plants", number, origin="rollout")
        rollout = deployments.advance(
            rollout, "stage", stage=Wanted(stable=rollout.release), said="tests passed", origin="rollout",
            figures={"errors": 0, "load": {"p99_ms": 31.23456}, "memory": {"said": "512 MB of 2048", "memory_mb": 512.3}},
        )  # fmt: skip
        deployments.go_live(rollout, standby=True, origin="rollout")
    registry.approve("plants-3", why="better", origin="console", who="ben")
    wish = Wanted(stable="plants-2", canary="plants-3", share=0.1, standby="plants-1")
    deployments.advance(
        deployments.begin("plants", 3, origin="watch"), "canary", prod=wish, said="canary", origin="watch"
    )
    return registry


def table(said: Said) -> dict[str, str]:
    """First word of a line -> the rest of it, where it first stands."""
    lines = [line.split(maxsplit=1) for line in reversed(said.out.splitlines()) if line.strip()]
    return dict(reversed({line[0]: line[-1].strip() for line in lines}.items()))


# ---- releases


def test_the_list_says_where_each_release_stands(registry: Registry, earthsnap: Command) -> None:
    lines = table(earthsnap("releases"))

    assert list(lines)[:2] == ["release", "plants-6"]
    for name, words in {
        "plants-6": r"waits for approval +60.0% +99.0%",
        "plants-4": r"rejected by its gates .* its gates",
        "plants-3": r"answering a share of production .* ben",
        "plants-2": r"live .* anna",
        "plants-1": r"was live before .* anna",
    }.items():
        assert re.match(words, lines[name]), lines[name]


def test_the_list_as_json_has_state_and_place(registry: Registry, earthsnap: Command) -> None:
    found = {one["name"]: one for one in earthsnap("releases", "--json").json}

    assert [one["state"] for one in found.values()] == ["PendingApproval"] * 2 + ["Rejected"] + ["Approved"] * 3
    assert [name for name, one in found.items() if one["live"]] == ["plants-2"]
    assert found["plants-1"]["served"] == ["prod, standing by"]
    assert found["plants-2"]["served"] == ["stage", "prod"]
    assert found["plants-3"]["served"] == ["prod, 10 % of requests"]
    assert found["plants-6"]["summary"]["top1"] == 0.6


def test_the_list_is_of_one_family_where_that_is_named(registry: Registry, earthsnap: Command) -> None:
    register(registry, 1, family="birds")
    assert "birds-1" in earthsnap("releases").out
    assert [one["name"] for one in earthsnap("releases", "name=birds", "--json").json] == ["birds-1"]


def test_without_a_release_the_list_says_how_to_make_one(earthsnap: Command) -> None:
    said = earthsnap("releases")
    assert (said.code, said.out) == (0, "no release yet; the first: earthsnap +experiment=plants\n")
    assert earthsnap("releases", "--json").json == []


def test_one_release_is_shown_with_all_that_was_decided(registry: Registry, earthsnap: Command) -> None:
    release = registry.get("plants-2")
    registry.attach_report(release, "<html>")

    said = earthsnap("releases", "release=plants-2")

    lines = table(said)
    assert lines["plants-2"] == "live"
    assert re.fullmatch(r"Approved by anna on [\d-]+ [\d:]+: looks good", lines["state"])
    assert lines["gates"] == "none failed"
    assert lines["figures"] == "named right 20.0%, right name among five 99.0%"
    assert lines["served"] == "in stage, in prod"
    assert lines["before"] == "plants-1, which a rollback would bring back"
    assert f"dataset {'d' * 12}, " in lines["made"] + ", "
    assert lines["report"] == "registry/plants/2/report/report.html"
    assert Path(lines["report"]).is_file()
    assert re.search(r"approved +anna", said.out)
    assert "load: p99_ms 31.23" in said.out


def test_one_release_beside_another_is_compared(
    registry: Registry, earthsnap: Command, tiny: Callable[..., Any]
) -> None:
    bundle = tiny("training=head").out("bundle")
    for family in ("old", "new"):
        registry.register(family, release_digest(bundle), bundle, reasons=[], summary={}, lineage={})

    said = earthsnap("releases", "release=new-1", "against=old-1")

    assert said.out.startswith("new-1 beside old-1")
    assert earthsnap("releases", "release=new-1", "against=old-1", "--json").json["release"] == "old-1"
    slip = earthsnap("releases", "release=new-1", "against=olt-1")
    assert (slip.code, "Did you mean 'old-1'?" in slip.err) == (2, True)


def test_one_that_its_gates_rejected_says_why(registry: Registry, earthsnap: Command) -> None:
    lines = table(earthsnap("releases", "release=plants-4"))
    assert lines["plants-4"] == "rejected by its gates"
    assert lines["gates"] == "family.top1 is only 0.2; at least 0.6 is required"
    assert lines["served"] == "nowhere"
    assert "report" not in lines
    assert lines["beside"] == "earthsnap releases release=plants-4 against=plants-2"


def test_one_release_as_json(registry: Registry, earthsnap: Command) -> None:
    found = earthsnap("releases", "release=plants-2", "--json").json

    assert (found["name"], found["state"], found["live"], found["back"]) == ("plants-2", "Approved", True, "plants-1")
    assert found["lineage"] == {"dataset": "d" * 64, "code": "0.1.0"}
    assert found["pages"] == {}
    assert [entry["action"] for entry in found["log"]] == ["registered", "approved", "staged", "tests passed", "live"]


# ---- history


def test_history_has_every_line_in_order(registry: Registry, earthsnap: Command) -> None:
    said = earthsnap("history", "--json").json

    assert [line["id"] for line in said] == list(range(1, len(said) + 1))
    assert set(said[0]) == {"id", "at", "who", "action", "release", "why", "origin", "figures"}
    shown = earthsnap("history").out
    assert re.search(r"approved +plants-1 +anna +looks good *\n +from console", shown)
    assert re.search(
        r"tests passed +plants-2 +\S+ +from rollout *\n +errors 0 *\n +load: p99_ms 31.23 *\n +memory: 512 MB of 2048",
        shown,
    )
    assert "earlier" not in shown


def test_history_is_of_one_release_where_that_is_named(registry: Registry, earthsnap: Command) -> None:
    assert {line["release"] for line in earthsnap("history", "release=plants-2", "--json").json} == {"plants-2"}


def test_history_shows_the_last_lines_and_says_how_many_came_before(registry: Registry, earthsnap: Command) -> None:
    everything = len(registry.ledger.history())

    said = earthsnap("history", "last=2")

    assert said.out.count("plants-3") == 2
    assert f"{everything - 2} earlier; last={everything} shows them too" in said.out


def test_history_of_an_empty_registry(earthsnap: Command) -> None:
    assert earthsnap("history").out == "nothing has been registered or decided yet\n"
    assert earthsnap("history", "--json").json == []


def test_what_people_wrote_is_shown_as_it_is(registry: Registry, earthsnap: Command) -> None:
    earthsnap("approve", "release=plants-6", "why=[bold]really[/] good [1]")
    assert "[bold]really[/] good [1]" in earthsnap("history").out
    assert "[bold]really[/] good [1]" in earthsnap("releases", "release=plants-6").out


# ---- status


def test_status_says_what_is_live_where_and_what_waits(registry: Registry, earthsnap: Command) -> None:
    said = earthsnap("status")

    lines = table(said)
    assert said.out.startswith("plants\n")
    assert lines["prod"] == "plants-2, not running: earthsnap serve endpoint=prod"
    assert lines["stage"] == "plants-2, not running: earthsnap serve endpoint=stage"
    assert re.fullmatch(r"plants-3, answering a share of production, step 1, since [\d-]+ [\d:]+", lines["rollout"])
    assert lines["waiting"] == "plants-6, plants-5: earthsnap approve release=plants-6, or reject"
    assert "and 1 earlier: earthsnap releases" in said.out


def test_status_says_where_an_endpoint_runs(registry: Registry, earthsnap: Command) -> None:
    with Place(registry.root, "plants", "prod").taken("http://127.0.0.1:8100"):
        assert table(earthsnap("status"))["prod"] == "plants-2 at http://127.0.0.1:8100"
        endpoints = earthsnap("status", "--json").json["live"]["plants"]["endpoints"]
    assert (endpoints["prod"]["url"], endpoints["stage"]["url"]) == ("http://127.0.0.1:8100", None)


def test_status_names_the_verb_that_a_release_in_stage_waits_for(registry: Registry, earthsnap: Command) -> None:
    deployments = Deployments(registry.ledger)
    deployments.roll_back("plants", 3, why="", origin="test")
    deployments.advance(deployments.begin("plants", 3, origin="test"), "waiting", said="waiting", origin="test")

    assert table(earthsnap("status"))["rollout"].endswith(": earthsnap promote release=plants-3")


def test_status_as_json(registry: Registry, earthsnap: Command) -> None:
    said = earthsnap("status", "--json").json

    assert [release["name"] for release in said["releases"]] == [f"plants-{number}" for number in range(1, 7)]
    live = said["live"]["plants"]
    assert (live["champion"], live["back"], live["rollout"]["release"]) == ("plants-2", "plants-1", "plants-3")
    assert (live["endpoints"]["prod"]["canary"], live["endpoints"]["prod"]["share"]) == ("plants-3", 0.1)
    assert said["watching"] is False


def test_commands_name_the_family_where_there_are_several(registry: Registry, earthsnap: Command) -> None:
    register(registry, 1, family="birds")
    said = earthsnap("status")
    assert "earthsnap serve endpoint=prod family=plants" in said.out
    assert "nothing is live yet" in said.out


@pytest.mark.parametrize("verb", ["releases", "releases release=plants-4", "history", "status"])
def test_on_eighty_columns_no_line_is_longer(
    registry: Registry, earthsnap: Command, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    said = earthsnap(*verb.split())

    plain = re.sub(r"\x1b\[[\d;]*m", "", said.out)
    assert max(map(len, plain.splitlines())) <= 80
    for whole in ("plants-4", *(["10 % of requests"] if verb == "releases" else [])):
        assert whole in plain


# ---- predict


def test_predict_answers_with_the_champion(earthsnap: Command, tiny: Callable[..., Any], tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    deployments = Deployments(registry.ledger)
    for options in (("training=head",), ("training=head", "architecture=flat")):
        bundle = tiny(*options).out("bundle")
        registry.register("tiny", release_digest(bundle), bundle, reasons=[], summary={}, lineage={})
    photograph = next((registry.get("tiny-1").path / "golden").glob("*.png"))

    assert earthsnap("predict", str(photograph)).out.startswith("answered by tiny-2, the newest that nobody rejected\n")
    registry.approve("tiny-1", why="", origin="test")
    deployments.go_live(deployments.begin("tiny", 1, origin="test"), standby=True, origin="test")

    assert earthsnap("predict", str(photograph)).out.startswith("answered by tiny-1, which is live\n")
    assert earthsnap("predict", str(photograph), "release=tiny-2", "--json").json["release"] == "tiny-2"
