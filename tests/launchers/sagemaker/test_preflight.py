"""What ``doctor`` sees of an account: against moto where it knows the service, else against botocore's own shapes."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from earthsnap_train.errors import DataError
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker import preflight as module
from launchers.sagemaker.clients import client
from launchers.sagemaker.definition import Compiled
from launchers.sagemaker.preflight import Seen, preflight
from tests.conftest import DEMO
from tests.launchers.sagemaker.declared import declared
from tests.launchers.sagemaker.test_definition import compiled

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


def no_plan() -> Compiled:
    raise DataError("no photographs are here")


def seen(*typed: str) -> dict[str, Seen]:
    return {one.name: one for one in preflight(settings(*typed), no_plan)}


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
    assert after["quotas"].is_there is None
    assert after["quotas"].found == "there is no plan to hold them against: no photographs are here"


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


def test_limits_are_read_and_what_is_too_little_is_told(tmp_path: Path) -> None:
    quotas = client("service-quotas", region="eu-west-1")
    listed = {"ml.g5.xlarge for spot training job usage": 1.0, "ml.m5.xlarge for processing job usage": 8.0}
    answer: dict[str, Any] = {"Quotas": [{"QuotaName": name, "Value": value} for name, value in listed.items()]}
    with Stubber(quotas) as stub:
        stub.add_response("list_service_quotas", answer, {"ServiceCode": "sagemaker"})
        allowed = module.quotas_of(quotas)
    limited = "launcher.max_instances={ml.g5.xlarge: 4}"
    uses = module.uses(compiled(*DEMO, limited, folder=tmp_path), settings(limited))
    told = {use: module.quota(use, allowed.get(use), wanted) for use, wanted in uses.items()}

    assert told["ml.m5.xlarge for processing job usage"].is_there
    short = told["ml.g5.xlarge for spot training job usage"]
    assert (short.is_there, short.remedy) == (
        False,
        "ask for 4 under Service Quotas, or declare another instance type",
    )
    assert told["ml.t3.large for processing job usage"].is_there is None


def test_every_sort_of_job_asks_for_its_own_quota_and_for_all_its_machines(tmp_path: Path) -> None:
    typed = (
        "+experiment=plants", "architecture=parent_child", "tracking=none", "training=full",
        "tuning=sagemaker", "launcher.qa_instances=8",
        "launcher.kinds={ingest: {instance_type: ml.m5.4xlarge}, train: {spot: false, instance_count: 2}}",
        "launcher.training.instance_type=ml.m5.xlarge", "launcher.trials_at_once=3",
    )  # fmt: skip
    spec = declared(*typed).launcher
    assert isinstance(spec, SageMaker)

    uses = module.uses(compiled(*typed, folder=tmp_path), spec)

    assert uses == {
        "ml.m5.4xlarge for processing job usage": 8,
        "ml.m5.xlarge for processing job usage": 1,
        "ml.m5.xlarge for spot training job usage": 3,
        "ml.m5.xlarge for training job usage": 2,
        "ml.t3.large for processing job usage": 1,
    }


def test_the_key_the_entrys_role_and_the_light_image_are_looked_at_where_there_are_any() -> None:
    more = (
        "aws.kms_key=alias/photographs", "launcher.entry_role=arn:aws:iam::123456789012:role/entry",
        "launcher.light_image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/light:1",
    )  # fmt: skip
    names = ("kms_key", "entry_role", "light_image")
    with mock_aws():
        before = seen(*more)
        kms = boto3.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/photographs", TargetKeyId=key)
        boto3.client("iam").create_role(RoleName="entry", AssumeRolePolicyDocument=json.dumps(TRUST))
        boto3.client("ecr").create_repository(repositoryName="light")
        boto3.client("ecr").put_image(repositoryName="light", imageTag="1", imageManifest=IMAGE)
        after = seen(*more)
        kms.disable_key(KeyId=key)
        disabled = seen(*more)["kms_key"]
        usual = seen()

    assert [(before[name].is_there, after[name].is_there) for name in names] == [(False, True)] * 3
    assert before["kms_key"].remedy == "aws.kms_key names another"
    assert before["entry_role"].remedy == "launcher.entry_role names another"
    assert (disabled.is_there, disabled.remedy) == (False, "enable it, or aws.kms_key names another")
    assert not set(names) & set(usual)


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

    (only,) = preflight(settings(), no_plan)

    assert only.is_there is False
    assert "sign in" in only.remedy
