"""What AWS answers, in our words: moto for what it does, botocore's Stubber with real shapes for what it does not."""

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from moto import mock_aws

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.deployments import Wanted
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.deployment import SageMaker
from launchers.sagemaker import alarms
from launchers.sagemaker.autoscaling import assert_scaling
from launchers.sagemaker.aws import Absent, Boto, Busy, Exists, Refused
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.endpoint import SageMakerEndpoint
from launchers.sagemaker.hosting import made
from launchers.sagemaker.invocations import ask
from tests.launchers.rollout_kit import make_release
from tests.launchers.sagemaker.hosted_kit import PROD, hosted

ARN = f"arn:aws:sagemaker:eu-west-1:123456789012:endpoint/{PROD}"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Boto]:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        yield Boto("eu-west-1")


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    registry = Registry(tmp_path_factory.mktemp("aws") / "registry")
    return {one.name: one for one in (make_release(registry, seed=seed) for seed in (1, 2))}


def on(*overrides: str) -> SageMaker:
    deployment = hosted(*overrides).deployment
    assert isinstance(deployment, SageMaker)
    return deployment


def endpoint(
    aws: Boto, releases: dict[str, Release], wish: Wanted, tmp_path: Path, *overrides: str
) -> SageMakerEndpoint:
    return SageMakerEndpoint(
        "plants", "prod", on=on(*overrides), serving=hosted().serving, aws=aws, bucket=FolderBucket(tmp_path),
        wanted=lambda: wish, release=releases.__getitem__, wait=lambda _: False,
    )  # fmt: skip


# ---- against moto


def test_what_is_made_is_there_and_made_again_it_stays(aws: Boto, releases: dict[str, Release], tmp_path: Path) -> None:
    prod = endpoint(aws, releases, Wanted(stable="plants-1", revision=3), tmp_path)
    with pytest.raises(EnvironmentProblem, match=f"there is no endpoint {PROD}"):
        prod.observe()

    prod.ensure()
    seen = prod.observe()
    prod.ensure()

    assert (seen.ready, seen.stable, seen.revision) == (True, "plants-1", 3)
    client = aws.client("application-autoscaling")
    [target] = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert target["ResourceId"] == f"endpoint/{PROD}/variant/release"
    [policy] = client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["PolicyType"] == "TargetTrackingScaling"


def test_what_is_not_there_has_an_error_of_its_own(aws: Boto) -> None:
    with pytest.raises(Absent, match="DescribeEndpoint was refused"):
        aws.call("sagemaker", "describe_endpoint", EndpointName="nobody")


def test_floors_that_are_declared_no_more_are_taken_away(
    aws: Boto, releases: dict[str, Release], tmp_path: Path
) -> None:
    endpoint(aws, releases, Wanted(stable="plants-1"), tmp_path).ensure()
    floors = 'deployment.prod.autoscaling.floors=[{cron: "0 6 ? * MON-FRI *", min_instances: 4}]'

    def scheduled(*overrides: str) -> list[dict[str, Any]]:
        scaling = on(*overrides).prod.autoscaling
        assert scaling is not None
        assert_scaling(aws, scaling, PROD)
        found = aws.client("application-autoscaling").describe_scheduled_actions(ServiceNamespace="sagemaker")
        return list(found["ScheduledActions"])

    [floor] = scheduled(floors)
    assert (floor["Schedule"], floor["ScalableTargetAction"]["MinCapacity"]) == ("cron(0 6 ? * MON-FRI *)", 4)
    assert scheduled() == []


def test_bounds_that_a_floor_raised_are_not_lowered_by_an_update(
    aws: Boto, releases: dict[str, Release], tmp_path: Path
) -> None:
    endpoint(aws, releases, Wanted(stable="plants-1"), tmp_path).ensure()
    scaling = on('deployment.prod.autoscaling.floors=[{cron: "0 6 ? * MON-FRI *", min_instances: 4}]').prod.autoscaling
    assert scaling is not None
    client = aws.client("application-autoscaling")
    about = {
        "ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{PROD}/variant/release",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }  # fmt: skip
    client.register_scalable_target(MinCapacity=4, MaxCapacity=8, **about)  # as the schedule does

    assert_scaling(aws, scaling, PROD)

    [target] = client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert target["MinCapacity"] == 4


def test_alarms_are_made_on_the_variant_and_have_to_be_quiet(aws: Boto) -> None:
    settings = on().prod.alarms
    alarms.make(aws, settings, PROD)
    client = aws.client("cloudwatch")
    for name in alarms.names(settings, PROD):
        client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="quiet")
    alarms.require_quiet(aws, settings, PROD, lambda: pytest.fail("all are quiet"))

    alarms.set_off(aws, PROD, "plants-1 is wanted")

    with pytest.raises(EnvironmentProblem, match=f"{PROD}-taken-back \\(plants-1 is wanted\\)"):
        alarms.require_quiet(aws, settings, PROD, lambda: None)
    errors = next(one for one in client.describe_alarms()["MetricAlarms"] if one["AlarmName"] == f"{PROD}-5xx")
    assert (errors["MetricName"], errors["Statistic"], errors["Threshold"]) == ("Invocation5XXErrors", "Average", 0.01)


def test_an_alarm_that_knows_nothing_is_not_taken_for_quiet(aws: Boto) -> None:
    settings = on().prod.alarms
    alarms.make(aws, settings, PROD)
    for name in alarms.names(settings, PROD):
        state = "INSUFFICIENT_DATA" if name.endswith("-p95") else "OK"
        aws.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="new")
    looks: list[None] = []

    with pytest.raises(EnvironmentProblem, match=f"{PROD}-p95 knows nothing yet"):
        alarms.require_quiet(aws, settings, PROD, lambda: looks.append(None))
    assert len(looks) == alarms.MOST_LOOKS


# ---- by botocore's shapes, for what moto does not do


def described(config: str, status: str, goal: str | None = None, **more: object) -> dict[str, object]:
    now = datetime.now(UTC)
    said: dict[str, object] = {
        "EndpointName": PROD, "EndpointArn": ARN, "EndpointConfigName": config, "EndpointStatus": status,
        "CreationTime": now, "LastModifiedTime": now, **more,
    }  # fmt: skip
    if goal is not None:
        said["PendingDeploymentSummary"] = {"EndpointConfigName": goal}
    return said


def test_a_config_that_is_not_live_after_an_update_is_a_failure_though_the_endpoint_is_in_service(
    aws: Boto, releases: dict[str, Release], tmp_path: Path
) -> None:
    spec = hosted()
    old, new = (made(releases[name], on(), spec.serving, "prod").name for name in ("plants-1", "plants-2"))
    for name in alarms.names(on().prod.alarms, PROD):
        aws.client("cloudwatch").put_metric_alarm(
            AlarmName=name, MetricName="x", Namespace="y", Period=60, EvaluationPeriods=1, Threshold=1,
            ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        )  # fmt: skip
        aws.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="OK", StateReason="quiet")
    prod = endpoint(aws, releases, Wanted(stable="plants-1", canary="plants-2", share=0.1), tmp_path)
    with Stubber(aws.client("sagemaker")) as stub:
        stub.add_response("describe_endpoint", described(old, "InService"))
        stub.add_response("create_model", {"ModelArn": "arn:aws:sagemaker:eu-west-1:123456789012:model/x"})
        stub.add_response(
            "create_endpoint_config",
            {"EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/x"},
        )
        asked = {
            "EndpointName": PROD, "EndpointConfigName": new, "RetainAllVariantProperties": True,
            "ExcludeRetainedVariantProperties": ANY, "DeploymentConfig": ANY,
        }  # fmt: skip
        stub.add_response("update_endpoint", {"EndpointArn": ARN}, asked)
        stub.add_response("describe_endpoint", described(old, "Updating", new))
        stub.add_response("describe_endpoint", described(old, "RollingBack", new))
        stub.add_response("describe_endpoint", described(old, "InService", FailureReason="alarm p95"))

        # moto keeps no history that is asked for in this way
        cloudwatch = Stubber(aws.client("cloudwatch"))
        prod.ensure()
        states = [prod.observe().releases["plants-2"].state for _ in range(2)]
        with cloudwatch:
            fired = '{"newState": {"stateValue": "ALARM", "stateReason": "slow"}}'
            for name in alarms.names(on().prod.alarms, PROD):
                items = [{"AlarmName": name, "HistoryData": fired}] if name.endswith("p95") else []
                cloudwatch.add_response("describe_alarm_history", {"AlarmHistoryItems": items})
            last = prod.observe()
        stub.assert_no_pending_responses()

    assert states == ["starting", "starting"]
    assert not last.ready
    assert last.releases["plants-2"].state == "failed"
    assert last.releases["plants-2"].reason == (
        f"InService with {old} instead of {new}: alarm p95; alarms: {PROD}-p95 (slow)"
    )


def test_an_update_that_somebody_else_began_is_awaited_and_then_ours_is_asked_for(
    aws: Boto, releases: dict[str, Release], tmp_path: Path
) -> None:
    spec = hosted()
    old, new = (made(releases[name], on(), spec.serving, "prod").name for name in ("plants-1", "plants-2"))
    prod = endpoint(aws, releases, Wanted(stable="plants-1"), tmp_path)
    with Stubber(aws.client("sagemaker")) as stub, Stubber(aws.client("cloudwatch")) as cloudwatch:
        stub.add_response("describe_endpoint", described(old, "Updating", new))
        cloudwatch.add_response("set_alarm_state", {})
        stub.add_response("describe_endpoint", described(new, "InService"))
        stub.add_client_error("create_model", "ValidationException", "Cannot create already existing model")
        stub.add_client_error(
            "create_endpoint_config", "ValidationException", "Cannot create already existing endpoint configuration"
        )
        stub.add_client_error("update_endpoint", "ValidationException", "Cannot update in-progress endpoint")
        stub.add_response("describe_endpoint", described(new, "SystemUpdating"))
        stub.add_response("describe_endpoint", described(old, "InService"))
        prod._keep_scaled = lambda: None  # type: ignore[method-assign]
        prod.ensure()
        stub.assert_no_pending_responses()


def test_a_containers_refusal_is_its_own_answer_and_the_services_is_the_services(aws: Boto) -> None:
    with Stubber(aws.client("sagemaker-runtime")) as stub:
        stub.add_response("invoke_endpoint", {"Body": StreamingBody(io.BytesIO(b'{"release": "plants-1"}'), 23)})
        stub.add_client_error(
            "invoke_endpoint", "ModelError", http_status_code=424,
            modeled_fields={"OriginalStatusCode": 400, "OriginalMessage": '{"error": {"code": "not_an_image"}}'},
        )  # fmt: skip
        stub.add_client_error("invoke_endpoint", "ThrottlingException", http_status_code=429)
        replies = [ask(aws, PROD, b"photograph", "image/jpeg") for _ in range(3)]

    assert [reply.status for reply in replies] == [200, 400, 429]
    assert replies[0].release == "plants-1"
    assert replies[1].json["error"]["code"] == "not_an_image"


@pytest.mark.parametrize(
    ("code", "message", "kind", "remedy"),
    [
        ("ValidationException", 'Could not find endpoint "x".', Absent, "goes on from here"),
        ("ValidationException", "Cannot create already existing model", Exists, "goes on from here"),
        ("ValidationException", "Cannot update in-progress endpoint", Busy, "goes on from here"),
        ("AccessDeniedException", "no", Refused, "needs the permission for DescribeEndpoint"),
        ("ResourceLimitExceeded", "0 instances", Refused, "ask AWS for a higher quota, or declare other instances"),
        ("ExpiredToken", "too late", Refused, "aws sso login"),
    ],
)
def test_what_aws_refuses_is_told_in_our_words(
    aws: Boto, code: str, message: str, kind: type[Refused], remedy: str
) -> None:
    with Stubber(aws.client("sagemaker")) as stub:
        stub.add_client_error("describe_endpoint", code, message)
        with pytest.raises(Refused) as caught:
            aws.call("sagemaker", "describe_endpoint", EndpointName=PROD)
    assert type(caught.value) is kind
    assert caught.value.where == "AWS sagemaker"
    assert remedy in caught.value.remedy
    assert f"DescribeEndpoint was refused: {message} ({code})" == caught.value.what


def test_without_boto3_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(EnvironmentProblem) as caught:
        Boto("eu-west-1")
    assert caught.value.remedy == 'pip install "earthsnap_train[sagemaker]"'
