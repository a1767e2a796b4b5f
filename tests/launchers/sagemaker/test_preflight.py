"""What ``doctor`` sees of an account: against moto where it knows the service, else against botocore's own shapes."""

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker import preflight as module
from launchers.sagemaker.clients import client
from launchers.sagemaker.preflight import Seen, preflight
from tests.conftest import DEMO
from tests.launchers.sagemaker.declared import declared

IMAGE = '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}'
TRUST = {"Statement": [{"Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


def settings(*typed: str) -> SageMaker:
    found = declared(*DEMO, *typed).launcher
    assert isinstance(found, SageMaker)
    return found


def seen(*typed: str) -> dict[str, Seen]:
    return {one.name: one for one in preflight(settings(*typed))}


def test_what_is_there_and_what_is_not_are_told_apart() -> None:
    with mock_aws():
        before = seen()
        boto3.client("s3").create_bucket(
            Bucket="photographs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        iam = boto3.client("iam")
        iam.create_role(RoleName="earthsnap", AssumeRolePolicyDocument=json.dumps(TRUST))
        boto3.client("ecr").create_repository(repositoryName="earthsnap")
        boto3.client("ecr").put_image(repositoryName="earthsnap", imageTag="1", imageManifest=IMAGE)
        after = seen()

    assert {name: before[name].is_there for name in ("identity", "bucket", "role", "image")} == {
        "identity": True, "bucket": False, "role": False, "image": False,
    }  # fmt: skip
    assert all(after[name].is_there for name in ("identity", "bucket", "role", "image"))


def test_a_role_that_jobs_cannot_act_as_and_a_bucket_of_another_region_are_told() -> None:
    trust = json.dumps(TRUST).replace("sagemaker", "ec2")
    with mock_aws():
        boto3.client("iam").create_role(RoleName="earthsnap", AssumeRolePolicyDocument=trust)
        boto3.client("s3", region_name="us-east-2").create_bucket(
            Bucket="photographs", CreateBucketConfiguration={"LocationConstraint": "us-east-2"}
        )
        found = seen()

    assert found["role"].remedy == "its trust policy has to name sagemaker.amazonaws.com"
    assert found["bucket"].remedy == "aws.region=us-east-2, or a bucket of eu-west-1"


def test_limits_are_read_and_what_is_too_little_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    quotas = client("service-quotas", region="eu-west-1")
    listed = {"ml.g5.xlarge for spot training job usage": 1.0, "ml.m5.xlarge for processing job usage": 8.0}
    answer: dict[str, Any] = {"Quotas": [{"QuotaName": name, "Value": value} for name, value in listed.items()]}
    with Stubber(quotas) as stub:
        stub.add_response("list_service_quotas", answer, {"ServiceCode": "sagemaker"})
        allowed = module.quotas_of(quotas)
    uses = module.uses(settings("launcher.max_instances={ml.g5.xlarge: 4}"))
    told = {use: module.quota(use, allowed.get(use), wanted) for use, wanted in uses.items()}

    assert told["ml.m5.xlarge for processing job usage"].is_there
    short = told["ml.g5.xlarge for spot training job usage"]
    assert (short.is_there, short.remedy) == (
        False,
        "ask for 4 under Service Quotas, or declare another instance type",
    )
    assert told["ml.t3.large for processing job usage"].is_there is None


def test_what_may_not_be_looked_at_is_no_fault() -> None:
    refused = type("Refused", (Exception,), {"response": {"Error": {"Code": "AccessDenied"}}})()

    told = module.told("role", "iam:GetRole", refused)

    assert (told.is_there, told.found, told.remedy) == (None, "may not be looked at", "iam:GetRole would allow it")


def test_without_credentials_nothing_else_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("SHARED_CREDENTIALS_FILE", "CONFIG_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / "none"))

    (only,) = preflight(settings())

    assert only.is_there is False
    assert "sign in" in only.remedy
