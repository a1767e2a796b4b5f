"""A decision on a release starts our own command on exactly that package; nothing else that happens does."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from moto import mock_aws

from launchers.sagemaker.infrastructure.builds import rollout_command
from launchers.sagemaker.infrastructure.stack import connect
from launchers.sagemaker.infrastructure.template import templates
from tests.launchers.sagemaker.bridge import argv, variables
from tests.launchers.sagemaker.infrastructure.declared_sites import ONE, THREE, site

PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/plants-release/7"


def event(**detail: object) -> dict[str, Any]:
    """As the service's documentation shows it."""
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "account": "123456789012",
        "time": "2026-11-26T17:00:14Z",
        "region": "eu-west-1",
        "resources": [PACKAGE],
        "detail": {
            "ModelPackageGroupName": "plants-release",
            "ModelPackageVersion": 7,
            "ModelPackageArn": PACKAGE,
            "CreationTime": "2026-11-26T17:00:14Z",
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/plants:1-serve",
                        "ImageDigest": "sha256:4dc8a7e4a010a19bb9e0a6b063f355393f6e623603361bd8b105f554d4f0c004",
                    }
                ],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CertifyForMarketplace": False,
            "ModelApprovalStatus": "Approved",
            "UpdatedModelPackageFields": ["ModelApprovalStatus", "ApprovalDescription"],
            "LastModifiedTime": "2026-11-26T17:00:14Z",
            **detail,
        },
    }


def without(name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "detail": {key: value for key, value in given["detail"].items() if key != name}}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        yield


@pytest.fixture
def tap(account: None) -> str:
    """A queue in place of the project, on the rule that was deployed, with what the rule makes of an event."""
    events, queues = boto3.client("events"), boto3.client("sqs")
    declared = site(*ONE)
    connect("eu-west-1").deploy(
        declared.stack("shared"), templates(declared)["shared"], declared.tags, tell=lambda line: None
    )
    rule = declared.name("decision")
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    assert target["Arn"].endswith(":project/plants-rollout")
    queue: str = queues.create_queue(QueueName="tap")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule=rule, Targets=[{**target, "Arn": arn}])
    return queue


def messages(queue: str, *happened: dict[str, Any]) -> list[str]:
    entries = [
        {"Source": one["source"], "DetailType": one["detail-type"], "Detail": json.dumps(one["detail"])}
        for one in happened
    ]
    boto3.client("events").put_events(Entries=entries)
    got = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    return [one["Body"] for one in got.get("Messages", ())]


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_approvals_and_rejections_of_releases_are_taken_and_nothing_else_is(tap: str) -> None:
    taken = {
        "approved": event(),
        "rejected": event(ModelApprovalStatus="Rejected"),
        "with-nothing-about-fields": without("UpdatedModelPackageFields", event()),
    }
    left = {
        "waits": event(ModelApprovalStatus="PendingManualApproval"),
        "metadata-of-ours": event(UpdatedModelPackageFields=["CustomerMetadataProperties"]),
        "life-cycle": event(UpdatedModelPackageFields=["ModelLifeCycle"]),
        "a-node": event(ModelPackageGroupName="plants-parent"),
        "another-family": event(ModelPackageGroupName="animals-release"),
        "another-source": {**event(), "source": "our.own"},
        "another-kind": {**event(), "detail-type": "SageMaker Model State Change"},
    }
    for name, one in (taken | left).items():
        one["detail"]["ModelPackageArn"] = name

    found = messages(tap, *(taken | left).values())

    assert [variables(message)["PACKAGE_ARN"] for message in found] == list(taken)


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_an_approval_in_the_registry_becomes_the_command_that_rolls_out_that_package(tap: str) -> None:
    found = messages(
        tap, event(), event(), event(ModelPackageGroupName="plants-parent"), event(ModelApprovalStatus="PendingManualApproval"),
    )  # fmt: skip

    commands = [argv(one, site(*ONE)) for one in found]
    assert len(commands) == 2
    assert commands[0] == commands[1]
    assert commands[0][:5] == ["python", "-m", "earthsnap_train", "rollout", f"package={PACKAGE}"]
    read = OverridesParser.create().parse_overrides(commands[0][4:])
    assert {one.key_or_group: one.value() for one in read} == {
        "package": PACKAGE,
        "name": "plants",
        "aws.region": "eu-west-1",
        "aws.bucket": "photographs",
        "aws.prefix": "earthsnap",
        "registry": "sagemaker",
        "deployment": "sagemaker",
    }


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_only_the_package_of_an_event_reaches_the_build(tap: str) -> None:
    nasty = 'x;$(touch /tmp/y)` "'
    (message,) = messages(tap, event(ApprovalDescription=nasty, ModelApprovalStatus="Rejected"))

    assert variables(message) == {"PACKAGE_ARN": PACKAGE}


@pytest.mark.parametrize(
    "package", [PACKAGE, "a b", "$(touch gone)", "`touch gone`", "'; touch gone; '", '" touch gone "', "*"]
)
def test_a_real_shell_splits_the_command_as_the_bridge_does_whatever_the_package_is(
    package: str, tmp_path: Path
) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n')
    stand_in.chmod(0o755)
    message = json.dumps(
        {"environmentVariablesOverride": [{"name": "PACKAGE_ARN", "type": "PLAINTEXT", "value": package}]}
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **variables(message)}

    said = subprocess.run(
        ["/bin/sh", "-c", rollout_command(site(*THREE))], env=environment, cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    assert said.stdout.splitlines() == argv(message, site(*THREE))[1:]
    assert f"package={package}" in said.stdout.splitlines()
    assert not (tmp_path / "gone").exists()
