"""Where a plan runs: what is refused at the door, and in which words."""

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.launcher import Local, SageMaker
from tests.conftest import declare
from tests.launchers.sagemaker.declared import ON_SAGEMAKER, declared


def test_a_launcher_is_one_of_two() -> None:
    assert isinstance(declare("name=x").launcher, Local)
    assert isinstance(declared("name=x").launcher, SageMaker)


@pytest.mark.parametrize(
    ("typed", "where", "allowed"),
    [
        ("launcher.module=os", "launcher.module", "launchers.local, launchers.sagemaker"),
        ("launcher.execute=here", "launcher.execute", "containers"),
        ("launcher.training.max_wait_minutes=5", "launcher.training.max_wait_minutes", "at least max_minutes"),
        ("launcher.training.warm_minutes=5", "launcher.training.warm_minutes", "0 with spot capacity"),
        ("launcher.security_groups=[sg-1]", "launcher.security_groups", "given together with subnets"),
        ("launcher.subnets=[subnet-1]", "launcher.security_groups", "given together with subnets"),
        ("++aws.tags={a%b: c}", "aws.tags", "names of at most 128"),
        ("launcher.role=me", "launcher.role", "arn:aws"),
        ("aws.region=Ireland", "aws.region", ""),
        ("launcher.max_instances={g5.xlarge: 4}", "launcher.max_instances", "instance types such as ml.g5.xlarge"),
        ("launcher.dataset_version=latest", "launcher.dataset_version", "0-9a-f"),
        ("launcher.processing.instance_type=m5.large", "launcher.processing.instance_type", "ml"),
    ],
)
def test_what_cannot_be_is_refused(typed: str, where: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        declared("name=x", typed)

    assert caught.value.where == where
    assert allowed in caught.value.allowed


def test_what_an_account_decides_has_no_default() -> None:
    with pytest.raises(ConfigError) as caught:
        declare("name=x", "launcher=sagemaker")

    assert caught.value.where == "launcher.image"
    assert "container image" in caught.value.allowed


def test_what_lies_on_aws_is_told_once_for_all_that_works_there() -> None:
    with pytest.raises(ConfigError) as caught:
        declare("name=x", *(typed for typed in ON_SAGEMAKER if not typed.startswith("aws.")))

    assert caught.value.where == "aws.region"
    assert caught.value.remedy == "add aws.region=..."
