"""Rollouts to hosted endpoints: the real driver, registry and tests; AWS is a stand-in that knows its requests."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError, EnvironmentProblem, StageError
from earthsnap_train.release.catalogue import Decision, State
from earthsnap_train.release.registry import Registry
from launchers.sagemaker.following import follow_wishes
from launchers.sagemaker.rollout import follow
from tests.launchers.rollout_kit import FAMILY, FIRST, SECOND, THIRD, make_release
from tests.launchers.sagemaker.fake_aws import Killed
from tests.launchers.sagemaker.hosted_kit import PROD, STAGE, HostedKit
from tests.release.page import Page


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> HostedKit:
    """The first release is live, the second approved. Only to be copied."""
    kit = HostedKit(tmp_path_factory.mktemp("hosted"))
    make_release(kit.registry, seed=1)
    kit.roll_out(FIRST)
    make_release(kit.registry, seed=2)
    return kit


@pytest.fixture
def kit(begun: HostedKit, tmp_path: Path) -> HostedKit:
    return begun.copied(tmp_path)


# ---- the way to production


def test_a_first_release_makes_both_endpoints_and_nothing_is_risked(tmp_path: Path) -> None:
    kit = HostedKit(tmp_path)
    make_release(kit.registry, seed=1)

    arrived = kit.roll_out(FIRST)

    assert (arrived.at, arrived.now) == ("live", True)
    assert (kit.serves(STAGE), kit.serves(PROD), kit.live) == (FIRST, FIRST, FIRST)
    assert kit.log(FIRST) == ["registered", "approved", "staged", "tests passed", "live"]
    assert kit.aws.asked["update_endpoint"] == 0
    assert kit.aws.scaling["target"]["MinCapacity"] == 2


def test_the_next_one_moves_under_alarms_and_is_champion_once_its_config_is_live(kit: HostedKit) -> None:
    kit.aws.during = lambda: champions.append(kit.live)
    champions: list[str] = []

    kit.roll_out(SECOND)

    assert champions == [FIRST]
    assert (kit.serves(PROD), kit.live) == (SECOND, SECOND)
    [update] = [one for one in kit.aws.requests_of("update_endpoint") if one["EndpointName"] == PROD]
    config = update["DeploymentConfig"]
    routing = config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == {
        "Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10}, "WaitIntervalInSeconds": 600,
    }  # fmt: skip
    heeded = {one["AlarmName"] for one in config["AutoRollbackConfiguration"]["Alarms"]}
    assert heeded == {f"{PROD}-{what}" for what in ("4xx", "5xx", "p95", "taken-back")}
    assert update["RetainAllVariantProperties"]
    assert update["ExcludeRetainedVariantProperties"] == [{"VariantPropertyType": "DataCaptureConfig"}]


def test_even_steps_are_the_services_linear_ones(begun: HostedKit, tmp_path: Path) -> None:
    steps = "[{share: 0.25, bake_s: 60}, {share: 0.5, bake_s: 60}, {share: 0.75, bake_s: 60}]"
    kit = begun.copied(tmp_path, f"deployment.prod.steps={steps}")

    kit.roll_out(SECOND)

    update = kit.aws.requests_of("update_endpoint")[-1]
    routing = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert (routing["Type"], routing["LinearStepSize"]["Value"]) == ("LINEAR", 25)


def test_a_release_that_answers_wrongly_in_stage_never_reaches_production(kit: HostedKit) -> None:
    kit.tell(SECOND, species="rosa-alba")

    with pytest.raises(StageError, match="it failed its tests in stage: golden answers"):
        kit.roll_out(SECOND)
    assert (kit.serves(STAGE), kit.serves(PROD), kit.live) == (SECOND, FIRST, FIRST)


def test_a_release_that_does_not_start_in_stage_fails_with_the_services_reason(kit: HostedKit) -> None:
    kit.aws.does_not_start = "the container did not pass its ping"

    with pytest.raises(StageError, match="the container did not pass its ping"):
        kit.roll_out(SECOND)
    assert kit.log(SECOND)[-1] == "failed"


def test_a_first_endpoint_that_failed_is_made_anew(tmp_path: Path) -> None:
    kit = HostedKit(tmp_path)
    make_release(kit.registry, seed=1)
    kit.aws.does_not_start = "no capacity"
    with pytest.raises(StageError, match="it does not start: no capacity"):
        kit.roll_out(FIRST)
    kit.aws.does_not_start = ""

    assert kit.roll_out(FIRST).at == "live"


def test_where_a_person_confirms_it_waits_in_stage(tmp_path: Path) -> None:
    kit = HostedKit(tmp_path, "deployment.prod.confirm=person")
    make_release(kit.registry, seed=1)

    assert kit.roll_out(FIRST).at == "waiting"
    assert PROD not in kit.aws.endpoints


# ---- alarms


def test_a_silent_rollback_is_a_failure_with_the_alarm_that_was_set_off(kit: HostedKit) -> None:
    kit.aws.during = lambda: kit.aws.set_off(f"{PROD}-5xx", "0.2 is above 0.01")

    with pytest.raises(StageError, match=f"{PROD}-5xx \\(0.2 is above 0.01\\)"):
        kit.roll_out(SECOND)
    assert (kit.serves(PROD), kit.live) == (FIRST, FIRST)
    assert kit.log(SECOND)[-1] == "rolled back"


def test_a_silent_rollback_that_nobody_watched_is_a_failure_too(kit: HostedKit) -> None:
    def killed_while_it_moves() -> None:
        raise Killed

    kit.aws.during = killed_while_it_moves
    with pytest.raises(Killed):
        kit.roll_out(SECOND)
    kit.aws.set_off(f"{PROD}-p95")

    with pytest.raises(StageError, match="production went back"):
        kit.roll_out(SECOND)
    assert kit.live == FIRST


def test_production_is_not_updated_while_an_alarm_is_set_off(kit: HostedKit) -> None:
    kit.aws.alarms[f"{PROD}-5xx"] = "ALARM"

    with pytest.raises(EnvironmentProblem, match="set off already"):
        kit.roll_out(SECOND)
    assert kit.aws.endpoints[PROD]["EndpointStatus"] == "InService"
    kit.aws.alarms[f"{PROD}-5xx"] = "OK"
    kit.roll_out(SECOND)
    assert kit.live == SECOND


def test_an_alarm_that_is_declared_and_not_there_keeps_production_as_it_is(begun: HostedKit, tmp_path: Path) -> None:
    kit = begun.copied(tmp_path, "deployment.prod.alarms.also=[ours]")

    with pytest.raises(EnvironmentProblem, match="there is no alarm ours"):
        kit.roll_out(SECOND)
    assert kit.serves(PROD) == FIRST


# ---- back


def test_a_rollback_brings_the_release_before_back_at_once(kit: HostedKit) -> None:
    kit.roll_out(SECOND)
    kit.aws.alarms[f"{PROD}-5xx"] = "ALARM"  # as it would be, of a bad release

    kit.deployments.roll_back(FAMILY, 2, why="wrong names", origin="test")
    follow(kit.endpoints()["prod"])

    assert (kit.serves(PROD), kit.live) == (FIRST, FIRST)
    assert "DeploymentConfig" not in kit.aws.requests_of("update_endpoint")[-1]


def test_a_rollback_in_the_middle_of_an_update_calls_it_back(kit: HostedKit) -> None:
    def by_somebody_else() -> None:
        kit.deployments.roll_back(FAMILY, 2, why="wrong names", origin="test")

    kit.aws.during = by_somebody_else

    with pytest.raises(ConfigError, match="ended meanwhile"):
        kit.roll_out(SECOND)
    assert (kit.serves(PROD), kit.live) == (FIRST, FIRST)
    assert kit.aws.alarm_log == [(f"{PROD}-taken-back", f"{FIRST} is wanted, and nothing else any more")]


def test_what_is_decided_on_a_page_is_followed_by_a_watch(kit: HostedKit) -> None:
    kit.roll_out(SECOND)
    kit.registry.reject(SECOND, why="wrong names", origin="console")
    stop, said = threading.Event(), list[str]()
    watch = threading.Thread(
        target=follow_wishes, args=(kit.registry, lambda _: kit.endpoints()["prod"], said.append, stop),
        kwargs={"look_every_s": 0.001},
    )  # fmt: skip
    watch.start()
    try:
        for _ in range(2000):
            if kit.aws.endpoints[PROD]["EndpointStatus"] == "InService" and kit.serves(PROD) == FIRST:
                break
            stop.wait(0.005)
    finally:
        stop.set()
        watch.join()
    assert (kit.serves(PROD), said) == (FIRST, [])


# ---- once, whatever happens


def test_a_second_call_changes_nothing(kit: HostedKit) -> None:
    kit.roll_out(SECOND)
    before = kit.aws.asked["update_endpoint"], kit.aws.asked["create_endpoint"], len(kit.aws.configs)

    again = kit.roll_out(SECOND)

    assert (again.at, again.now) == ("live", False)
    assert (kit.aws.asked["update_endpoint"], kit.aws.asked["create_endpoint"], len(kit.aws.configs)) == before


@pytest.mark.parametrize("changes", [1, 3, 5, 9, 10])
def test_killed_after_any_change_it_goes_on_and_every_change_is_made_once(kit: HostedKit, changes: int) -> None:
    before = kit.aws.asked["update_endpoint"]
    kit.aws.killed_after = changes
    with pytest.raises(Killed):
        kit.roll_out(SECOND)

    kit.roll_out(SECOND)

    assert (kit.serves(PROD), kit.live) == (SECOND, SECOND)
    assert kit.aws.asked["update_endpoint"] == before + 2  # stage, and production
    assert kit.log(SECOND).count("live") == 1


def test_another_release_is_refused_while_one_is_on_its_way(kit: HostedKit) -> None:
    make_release(kit.registry, seed=3)
    kit.aws.killed_after = 4
    with pytest.raises(Killed):
        kit.roll_out(SECOND)

    with pytest.raises(ConfigError, match=f"{SECOND} is on its way"):
        kit.roll_out(THIRD)


def test_a_release_that_is_not_approved_any_more_goes_nowhere(kit: HostedKit) -> None:
    kit.registry.reject(SECOND, why="blurred", origin="test")
    asked = kit.aws.asked.total()

    with pytest.raises(ConfigError, match="rejected"):
        kit.roll_out(SECOND)
    assert kit.aws.asked.total() == asked


# ---- unseen first

SHADOW = (
    "deployment.prod.shadow={share: 0.5, duration_s: 60, instance_type: ml.m5.large, instance_count: 1, min_requests: 50, "
    "max_more_errors: 0.01, max_latency_ratio: 1.5, max_more_unsure: 0.1, min_agreement: 0.8}"
)


def counted(variant: str, release: str, *, requests: int, errors: int, ms: float) -> dict[str, list[float]]:
    latency = {f"{variant}.{name}": [1000 * ms * times] for name, times in (("p50", 1), ("p95", 2), ("p99", 3))}
    return {f"{variant}.requests": [requests], f"{variant}.errors": [errors], f"{release}.unsure": [0.0], **latency}


@pytest.fixture
def shadowed(begun: HostedKit, tmp_path: Path) -> HostedKit:
    kit = begun.copied(tmp_path, SHADOW)
    kit.aws.figures = counted("release", FIRST, requests=1000, errors=1, ms=20)
    return kit


def test_a_shadow_beside_the_champion_is_judged_before_production_moves(shadowed: HostedKit) -> None:
    shadowed.aws.figures |= counted("shadow", SECOND, requests=500, errors=0, ms=21)

    shadowed.roll_out(SECOND)

    assert shadowed.live == SECOND
    beside = [one for one in shadowed.aws.configs.values() if "ShadowProductionVariants" in one]
    assert [one["ShadowProductionVariants"][0]["InitialVariantWeight"] for one in beside] == [0.5]
    passed = [one.figures for one in shadowed.registry.ledger.history(SECOND) if one.figures.get("shadow")]
    assert passed[0]["canary"]["compared"] == 8  # type: ignore[index]


def rejects_once_asked(kit: HostedKit, operation: str) -> None:
    """The kit's registry gets a catalogue in which somebody rejects the second release once AWS was asked this."""

    class Studio(Page):
        def states(self, family: str) -> Mapping[int, State]:
            if kit.aws.asked[operation]:
                self.entries[2] = Decision(state="Rejected", who="anna@studio", why="blurred")
            return super().states(family)

    studio = Studio()
    studio.entries = {number: Decision(state="Approved", who="anna@studio", why="") for number in (1, 2)}
    kit.aws.asked.clear()
    kit.registry = Registry(kit.registry.root, catalogue=studio, hear_every_s=0)


def test_a_rejection_in_the_model_registry_ends_a_shadow(shadowed: HostedKit) -> None:
    rejects_once_asked(shadowed, "get_metric_data")

    with pytest.raises(ConfigError, match="was ended meanwhile"):
        shadowed.roll_out(SECOND)
    assert shadowed.live == FIRST
    assert shadowed.log(SECOND)[-2:] == ["rejected", "rolled back"]


def test_a_rejection_in_the_model_registry_ends_the_tests_in_stage(kit: HostedKit) -> None:
    rejects_once_asked(kit, "invoke_endpoint")

    with pytest.raises(ConfigError, match="was ended meanwhile"):
        kit.roll_out(SECOND)
    assert kit.live == FIRST
    assert "tests passed" not in kit.log(SECOND)


def test_a_shadow_that_fails_users_goes_and_the_champion_answers_alone(shadowed: HostedKit) -> None:
    shadowed.aws.figures |= counted("shadow", SECOND, requests=500, errors=100, ms=21)

    with pytest.raises(StageError, match="errors: 100 of 500"):
        shadowed.roll_out(SECOND)
    config = shadowed.aws.configs[
        shadowed.aws.endpoints[PROD].get("goal", shadowed.aws.endpoints[PROD])["EndpointConfigName"]
    ]
    assert "ShadowProductionVariants" not in config
    assert shadowed.live == FIRST
