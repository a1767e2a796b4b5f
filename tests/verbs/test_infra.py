"""``infra`` as it is typed."""

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
import yaml
from moto import mock_aws

from tests.conftest import Said

Command = Callable[..., Said]
TYPED = ("infra", "name=plants", "aws.region=eu-west-1", "aws.bucket=photographs")
THREE = "infra.accounts={shared: '111111111111', stage: '123456789012', prod: '333333333333'}"


class _Loader(yaml.SafeLoader):
    """Knows CloudFormation's short functions, as text."""


_Loader.add_multi_constructor("!", lambda loader, tag, node: node.value)


def test_it_writes_three_templates_and_asks_nobody(
    earthsnap: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # where nobody answers

    said = earthsnap(*TYPED, "out=there")

    assert said.code == 0, said.err
    written = {file.stem: yaml.load(file.read_text(), _Loader) for file in (tmp_path / "there").iterdir()}
    assert set(written) == {"shared", "stage", "prod"}
    assert f"there/shared.yaml  {len(written['shared']['Resources'])} resources" in said.out


def test_it_says_what_it_needs(earthsnap: Command) -> None:
    said = earthsnap("infra", "name=plants", "aws.region=eu-west-1")

    assert said.code == 2
    assert said.err == "error: aws.bucket: no value was given\n  remedy:  add aws.bucket=...\n"
    assert "add name=..." in earthsnap("infra").err


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_parts_of_other_accounts_are_left_out_and_named(earthsnap: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's account is 123456789012."""
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        compared = earthsnap(*TYPED, THREE, "action=diff")
        deployed = earthsnap(*TYPED, THREE, "action=deploy")
        again = earthsnap(*TYPED, THREE, "action=diff", "--json")
        roles = {one["RoleName"] for one in boto3.client("iam").list_roles()["Roles"]}

    assert "plants-infra-stage: add     StageDeployRole  AWS::IAM::Role" in compared.out
    other = "is in account 333333333333, and the credentials are of 123456789012"
    assert f"plants-infra-prod: left out, for it {other}" in deployed.out
    assert roles == {"plants-stage-endpoint", "plants-stage-deploy"}
    assert again.json == {"folder": "infrastructure", "changes": {"stage": []}}
    assert "plants-infra-stage: nothing to change" in again.err
