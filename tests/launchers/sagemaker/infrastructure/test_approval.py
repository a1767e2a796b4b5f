"""A decision on a release starts our own command on exactly that package; nothing else that happens does."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from moto import mock_aws

from launchers.sagemaker.infrastructure.builds import rollout_command
from tests.launchers.sagemaker.account import ACCOUNT, IMAGE
from tests.launchers.sagemaker.bridge import argv, environment, variables
from tests.launchers.sagemaker.decided import PACKAGE, event, messages, tapped
from tests.launchers.sagemaker.infrastructure.declared_sites import ONE, THREE, site


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
    return tapped(site(*ONE))


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
        "registry.serve_image": IMAGE,
        "deployment.image": IMAGE,
        "deployment.role": f"arn:aws:iam::{ACCOUNT}:role/plants-prod-endpoint",
        "deployment.stage.role": f"arn:aws:iam::{ACCOUNT}:role/plants-stage-endpoint",
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
    given = environment(site(*THREE)) | variables(message)
    stand_ins = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    said = subprocess.run(
        ["/bin/sh", "-c", rollout_command(site(*THREE))], env=stand_ins | given, cwd=tmp_path, capture_output=True,
        text=True, check=True,
    )  # fmt: skip

    assert said.stdout.splitlines() == argv(message, site(*THREE))[1:]
    assert f"package={package}" in said.stdout.splitlines()
    assert not (tmp_path / "gone").exists()
