"""Rollouts as they run: real processes, real traffic; only what answers for a release is a stand-in that can misbehave."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest

from earthsnap_train.errors import ConfigError, EnvironmentProblem, StageError
from earthsnap_train.release.deployments import Phase, Rollout
from earthsnap_train.spec.deployment import EndpointName
from launchers.rollout import DrivenElsewhere
from tests.conftest import once
from tests.launchers.rollout_kit import FAMILY, FIRST, SECOND, RolloutKit, ended_afterwards, make_release
from tests.serving.endpoint_kit import Traffic, load


def first_live(folder: Path) -> None:
    """A registry whose first release was rolled out to endpoints that are no more."""
    with ended_afterwards(RolloutKit(folder)) as kit:
        make_release(kit.registry, seed=1)
        kit.roll_out(FIRST)


@pytest.fixture
def kit(tmp_path: Path, made: Path) -> Iterator[RolloutKit]:
    """The first release is live, the second approved."""
    shutil.copytree(once(made / "first_live", first_live) / "registry", tmp_path / "registry")
    with ended_afterwards(RolloutKit(tmp_path)) as kit:
        kit.endpoints["prod"].ensure()
        deadline = time.monotonic() + 60
        while not kit.endpoints["prod"].observe().ready:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        make_release(kit.registry, seed=2)
        yield kit


PHASES = get_args(Phase)  # in their order


def until_phase(kit: RolloutKit, phase: str, step: int = 0) -> Rollout:
    """Or beyond: a short phase may be over before a busy machine has looked."""
    wanted = (PHASES.index(phase), step)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rollout = kit.deployments.under_way(FAMILY)
        if rollout is not None and (PHASES.index(rollout.phase), rollout.step) >= wanted:
            return rollout
        time.sleep(0.002)
    raise AssertionError(f"never in phase {phase}, step {step}: {kit.deployments.rollouts(FAMILY)}")


def until_loaded(kit: RolloutKit, endpoint: EndpointName, release: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(EnvironmentProblem):  # it does not answer yet
            if kit.endpoints[endpoint].observe().stable == release:
                return
        time.sleep(0.01)
    raise AssertionError(f"{release} was never loaded in {endpoint}")


def under_load(kit: RolloutKit, during: Any, rate_per_s: float = 60) -> Traffic:
    return load(kit.endpoints["prod"].url, rate_per_s=rate_per_s, during=during, body=kit.photograph)


# ---- the way to production


def test_a_first_release_goes_live_after_its_tests(tmp_path: Path) -> None:
    with ended_afterwards(RolloutKit(tmp_path)) as kit:
        make_release(kit.registry, seed=1)
        arrived = kit.roll_out(FIRST)
        assert (arrived.at, arrived.now) == ("live", True)
        assert arrived.url == kit.endpoints["prod"].url
        assert kit.endpoints["prod"].observe().stable == FIRST
        assert kit.log(FIRST) == ["registered", "approved", "staged", "tests passed", "live"]


def test_the_next_one_takes_its_steps_and_no_request_fails_meanwhile(kit: RolloutKit) -> None:
    traffic = under_load(kit, lambda: kit.roll_out(SECOND))

    assert traffic.all_answered, traffic.codes
    assert kit.live == SECOND
    assert kit.log(SECOND)[2:] == ["staged", "tests passed", "canary", "canary", "canary", "canary", "live"]
    history = kit.registry.ledger.history(SECOND)
    shares = [entry.figures["share"] for entry in history if entry.action == "canary"]
    assert shares == [0.1, 0.1, 0.5, 0.5]
    passed = [entry.figures for entry in history if entry.figures.get("passed") is True]
    for figures in passed:
        assert figures["canary"]["requests"] >= 30  # type: ignore[index]
        assert figures["champion"]["requests"] > 0  # type: ignore[index]
        assert figures["elapsed_s"] >= 1  # type: ignore[operator]
    seen = kit.endpoints["prod"].observe()
    assert (seen.stable, seen.canary) == (SECOND, None)
    assert kit.deployments.wanted(FAMILY, "prod").standby == FIRST  # type: ignore[union-attr]


def test_without_users_golden_photographs_make_the_number(kit: RolloutKit) -> None:
    kit.roll_out(SECOND)
    passed = [e.figures for e in kit.registry.ledger.history(SECOND) if e.figures.get("passed") is True]
    assert [figures["golden photographs"] >= 20 for figures in passed] == [True, True]  # type: ignore[operator]
    assert kit.live == SECOND


@pytest.mark.slow
def test_a_canary_is_watched_for_all_of_its_step(tmp_path: Path) -> None:
    with ended_afterwards(RolloutKit(tmp_path, "deployment.prod.steps=[{share: 0.5, bake_s: 6}]")) as kit:
        make_release(kit.registry, seed=1)
        kit.roll_out(FIRST)
        make_release(kit.registry, seed=2)
        driver = kit.start(SECOND)
        begun = until_phase(kit, "canary")
        time.sleep(5)
        wanted = kit.deployments.wanted(FAMILY, "prod")
        assert wanted is not None
        assert wanted.canary == SECOND
        assert begun.since + 5 < time.time() < wanted.watched_until
        assert SECOND in load(kit.endpoints["prod"].url, num=20, body=kit.photograph).by
        assert driver.wait() == 0


def test_what_is_live_already_is_no_error_and_changes_nothing(kit: RolloutKit) -> None:
    before = kit.registry.ledger.history()
    arrived = kit.roll_out(FIRST)
    assert (arrived.at, arrived.now) == ("live", False)
    assert kit.registry.ledger.history() == before


def test_a_person_confirms_in_between(tmp_path: Path) -> None:
    with ended_afterwards(RolloutKit(tmp_path, "deployment.prod.confirm=person")) as kit:
        make_release(kit.registry, seed=1)
        for _ in range(2):  # asked again, it waits on
            arrived = kit.roll_out(FIRST)
            assert (arrived.at, arrived.url) == ("waiting", kit.endpoints["stage"].url)
        assert kit.endpoints["stage"].observe().stable == FIRST
        assert kit.deployments.champion(FAMILY) is None
        assert kit.log(FIRST)[2:] == ["staged", "tests passed", "waiting"]

        rollout = kit.deployments.under_way(FAMILY)
        assert rollout is not None
        kit.deployments.advance(rollout, "promoted", said="promoted", origin="test")
        assert kit.roll_out(FIRST).at == "live"
        assert kit.log(FIRST)[-2:] == ["promoted", "live"]


def test_one_driver_at_a_time(kit: RolloutKit) -> None:
    driver = kit.start(SECOND)
    until_phase(kit, "stage")
    with pytest.raises(DrivenElsewhere, match="another process is rolling out a release of plants"):
        kit.roll_out(SECOND)
    assert driver.wait() == 0
    assert kit.live == SECOND


# ---- what fails


FAILING: dict[str, tuple[dict[str, Any], str]] = {
    "digest": ({"digest": "another"}, "identity: digest is another, registered was"),
    "golden": ({"species": "rosa-alba"}, "golden answers: 2 of 8 as evaluated"),
    "accuracy": ({"species": "rosa-alba"}, "accuracy: 2 of 8 held-back photographs named right, 8 by the evaluation"),
    "slow": ({"delay_s": 0.6}, r"load: 20 requests a second for 0.5 s: p99 6\d\d ms \(at most 500\)"),
    "erring": ({"status": 500}, "10 of 10 failed"),
    "memory": ({"memory_mb": 5000}, r"memory: 5000 MB after the load \(at most 2048\)"),
    "swallows": ({"swallows": True, "species": "rosa-alba"}, "bad input: an empty body got 200"),
}


@pytest.mark.slow
def test_each_test_in_stage_can_fail_and_says_why(tmp_path: Path) -> None:
    with ended_afterwards(RolloutKit(tmp_path)) as kit:
        make_release(kit.registry, seed=1)
        for name, (orders, reason) in FAILING.items():
            kit.tell("stage", FIRST, **orders)
            with pytest.raises(StageError, match=reason):
                kit.roll_out(FIRST)
            assert kit.log(FIRST)[-1] == "failed", name
            assert kit.deployments.champion(FAMILY) is None
        assert kit.figures(FIRST)["bad input"]["passed"] is False
        assert kit.figures(FIRST)["load"]["passed"] is True
        kit.tell("stage", FIRST)
        kit.roll_out(FIRST)
        assert kit.live == FIRST


def test_a_release_that_does_not_start_in_stage_fails_with_its_reason(tmp_path: Path) -> None:
    with ended_afterwards(RolloutKit(tmp_path)) as kit:
        make_release(kit.registry, seed=1)
        kit.tell("stage", FIRST, start="error: no such trunk")
        with pytest.raises(StageError, match="plants-1 does not go live: it does not start: no such trunk"):
            kit.roll_out(FIRST)
        assert kit.log(FIRST)[-1] == "failed"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "erring": ({"status": 500}, "errors: "),
    "slow": ({"delay_s": 0.3}, "slow: |errors: "),
    "wrong": ({"species": "rosa-rugosa"}, "golden photograph|agreement: "),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_a_bad_canary_is_sent_back_by_itself_and_no_user_notices(kit: RolloutKit, name: str) -> None:
    orders, reason = BAD[name]
    kit.tell("prod", FIRST, delay_s=0.02)
    kit.tell("prod", SECOND, **orders)
    said: list[str] = []

    def attempt() -> None:
        with pytest.raises(StageError) as error:
            kit.roll_out(SECOND)
        said.append(str(error.value))
        time.sleep(0.5)

    traffic = under_load(kit, attempt, rate_per_s=100)

    assert traffic.all_answered, traffic.codes
    assert max(traffic.latencies_s) < 5
    assert any(word in said[0] for word in reason.split("|")), said
    figures = kit.figures(SECOND)
    assert figures["canary"]["requests"] <= 200 or figures["elapsed_s"] <= 2, figures
    assert kit.log(SECOND)[-1] == "rolled back"
    assert kit.live == FIRST
    wanted = kit.deployments.wanted(FAMILY, "prod")
    assert wanted is not None
    assert (wanted.stable, wanted.canary) == (FIRST, None)
    assert traffic.answers[-1]["release"] == FIRST


@pytest.mark.slow
@pytest.mark.parametrize("name", ["erring", "slow", "wrong"])
def test_a_bad_canary_is_sent_back_without_users_too(kit: RolloutKit, name: str) -> None:
    orders, _ = BAD[name]
    kit.tell("prod", FIRST, delay_s=0.02)
    kit.tell("prod", SECOND, **orders)
    with pytest.raises(StageError, match="plants-2 was sent back"):
        kit.roll_out(SECOND)
    assert kit.figures(SECOND)["canary"]["requests"] <= 200
    assert kit.live == FIRST


def test_a_canary_that_does_not_start_is_sent_back_with_its_reason(kit: RolloutKit) -> None:
    kit.tell("prod", SECOND, start="error: no memory left")
    with pytest.raises(StageError, match="it does not start: no memory left"):
        kit.roll_out(SECOND)
    assert kit.live == FIRST


# ---- somebody decides otherwise


def test_a_rollback_on_the_way_ends_the_driver_with_the_reason(kit: RolloutKit) -> None:
    driver = kit.start(SECOND)
    until_phase(kit, "canary")
    kit.deployments.roll_back(FAMILY, 2, why="looks odd", origin="test")
    said, _ = driver.communicate()
    assert driver.returncode == 1
    assert "the rollout of plants-2 was ended meanwhile (rolled back: looks odd)" in said
    assert kit.live == FIRST
    assert kit.deployments.wanted(FAMILY, "prod").canary is None  # type: ignore[union-attr]


def test_a_rejection_on_the_way_does_so_too(kit: RolloutKit) -> None:
    driver = kit.start(SECOND)
    until_phase(kit, "canary")
    kit.registry.reject(SECOND, why="a wrong name", origin="test")
    assert driver.wait() == 1
    assert kit.live == FIRST
    with pytest.raises(ConfigError, match="plants-2 is rejected"):
        kit.roll_out(SECOND)


def test_an_interrupt_leaves_the_canary_unwatched_and_the_same_command_goes_on(kit: RolloutKit) -> None:
    stop = threading.Event()
    interrupting = threading.Thread(target=lambda: (until_phase(kit, "canary", 1), stop.set()))
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        kit.roll_out(SECOND, stop=stop)
    interrupting.join()
    rollout = kit.deployments.under_way(FAMILY)
    assert rollout is not None
    assert (rollout.phase, rollout.step) == ("canary", 1)

    time.sleep(3)
    traffic = load(kit.endpoints["prod"].url, rate_per_s=100, num=100, body=kit.photograph)
    assert traffic.by == {FIRST: 100}

    kit.roll_out(SECOND)
    assert kit.live == SECOND
    tests = [action for action in kit.log(SECOND) if action == "tests passed"]
    assert len(tests) == 1, "what was passed is not done again"


# ---- kills


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "step"), [("stage", 0), ("promoted", 0), ("canary", 0), ("canary", 1)])
def test_a_driver_killed_in_any_phase_is_gone_on_with_by_the_next_call(kit: RolloutKit, phase: str, step: int) -> None:
    def kill_then_go_on() -> None:
        driver = kit.start(SECOND)
        until_phase(kit, phase, step)
        time.sleep(0.2 if phase != "promoted" else 0)
        driver.kill()
        driver.communicate()
        assert kit.live == FIRST
        kit.roll_out(SECOND)

    traffic = under_load(kit, kill_then_go_on)

    assert traffic.all_answered, traffic.codes
    assert kit.live == SECOND
    assert [rollout.outcome for rollout in kit.deployments.rollouts(FAMILY)] == ["live", "live"]


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "step"), [("stage", 0), ("canary", 0), ("canary", 1)])
def test_a_driver_killed_in_any_phase_is_undone_by_a_rollback(kit: RolloutKit, phase: str, step: int) -> None:
    driver = kit.start(SECOND)
    until_phase(kit, phase, step)
    driver.kill()
    driver.communicate()
    assert kit.deployments.roll_back(FAMILY, 2, why="", origin="test") == FIRST
    assert kit.deployments.under_way(FAMILY) is None
    traffic = load(kit.endpoints["prod"].url, rate_per_s=100, num=100, body=kit.photograph)
    assert traffic.all_answered
    assert kit.deployments.wanted(FAMILY, "prod").releases == (FIRST,)  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_driver_killed_again_and_again_leaves_one_champion_at_every_moment(kit: RolloutKit) -> None:
    champions: set[str] = set()

    def kill_often() -> None:
        for attempt in range(8):
            driver = kit.start(SECOND)
            time.sleep(0.7 + 0.5 * attempt)
            driver.kill()
            driver.communicate()
            champions.add(kit.live)
            with_canary = kit.deployments.wanted(FAMILY, "prod")
            assert with_canary is not None
            assert with_canary.stable == kit.live
        kit.roll_out(SECOND)

    traffic = under_load(kit, kill_often, rate_per_s=30)

    assert traffic.all_answered, traffic.codes
    assert champions <= {FIRST, SECOND}
    assert kit.live == SECOND
    rows = kit.registry.ledger.rows("SELECT number FROM champions WHERE family = ?", [FAMILY])
    assert rows == [(1,), (2,)]


@pytest.mark.slow
def test_a_killed_endpoint_is_started_again_and_the_step_begins_anew(kit: RolloutKit) -> None:
    driver = kit.start(SECOND)
    until_phase(kit, "canary", 1)
    time.sleep(0.5)
    before = kit.pid("prod")
    os.kill(before, signal.SIGKILL)
    said, _ = driver.communicate()
    assert driver.returncode == 0, said
    assert "the endpoint does not answer; it is started again" in said
    assert kit.pid("prod") != before
    assert kit.live == SECOND
    assert kit.endpoints["prod"].observe().stable == SECOND


@pytest.mark.slow
def test_a_stage_endpoint_killed_in_the_middle_of_the_tests_fails_no_release(kit: RolloutKit) -> None:
    driver = kit.start(SECOND)
    until_loaded(kit, "stage", SECOND)
    os.kill(kit.pid("stage"), signal.SIGKILL)
    said, _ = driver.communicate()
    assert driver.returncode == 0, said
    assert kit.live == SECOND
