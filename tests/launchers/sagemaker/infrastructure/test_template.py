"""Templates are the same for the same declaration, hold by what CloudFormation's own rules say, and fit."""

import json
from pathlib import Path
from typing import Any

import cfnlint.api
import pytest
from cfnlint.config import ManualArgs

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.infra import Infra
from launchers.sagemaker.infrastructure.site import PARTS, Part, Site
from launchers.sagemaker.infrastructure.stack import MOST_BYTES
from launchers.sagemaker.infrastructure.template import template, templates
from tests.launchers.sagemaker.infrastructure.declared_sites import ONE, THREE, site

GOLDEN = Path(__file__).parent / "golden"
REFRESH = "python -m tests.launchers.sagemaker.infrastructure.test_template"
ACCOUNTS = {"one": ONE, "three": THREE}
LONG = f"name={'a.very-long_name.of-a-family.of-plants.that-nobody-would-choose-'[:62]}x"


@pytest.mark.parametrize("accounts", ACCOUNTS)
@pytest.mark.parametrize("part", PARTS)
def test_templates_are_as_they_were(accounts: str, part: Part) -> None:
    expected = (GOLDEN / accounts / f"{part}.yaml").read_text()

    assert templates(site(*ACCOUNTS[accounts]))[part] == expected, f"after a look at what changed: {REFRESH}"


def test_equal_declarations_give_equal_templates() -> None:
    declared = site(*THREE)
    again = Site(family=declared.family, infra=Infra.model_validate(declared.infra.model_dump()))

    assert templates(declared) == templates(again)


def lint(text: str) -> list[str]:
    """Rules of CloudFormation, of IAM and of each resource's schema, with no network."""
    config = ManualArgs(regions=["eu-west-1"])
    return [f"{one.rule.id} {one.path}: {one.message}" for one in cfnlint.api.lint(text, config=config)]


@pytest.mark.slow
def test_cfn_lint_finds_nothing_but_what_is_wrong() -> None:
    """Stage and prod differ in a word."""
    shared, stage = (templates(site(*THREE))[part] for part in ("shared", "stage"))
    wrong = stage.replace("RoleName:", "NameOfRole:").replace("logs:PutLogEvents", "logs:PutLogEvent")

    assert lint(templates(site(*ONE))["shared"]) == []
    assert lint(shared) == []
    assert lint(stage) == []
    assert {line.split()[0] for line in lint(wrong)} == {"E3002", "W3037"}


def test_the_longest_names_fit() -> None:
    family = site(*THREE, LONG)
    found = templates(family)

    assert max(len(text.encode()) for text in found.values()) <= MOST_BYTES
    assert max(len(policy) for policy in _policies(family)) <= 10_240  # characters that IAM takes of a role's policies


def _policies(family: Site) -> list[str]:
    resources = [one for part in PARTS for one in template(family, part)["Resources"].values()]
    return [json.dumps(one["Properties"]["Policies"]) for one in resources if one["Type"] == "AWS::IAM::Role"]


@pytest.mark.parametrize("typed", ["aws.region", "aws.bucket"])
def test_what_everything_needs_must_be_said(typed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site(*(one for one in ONE if not one.startswith(typed)))

    assert (caught.value.where, caught.value.remedy) == (typed, f"add {typed}=...")


def test_an_alias_of_a_key_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        site(*ONE, "aws.kms_key=alias/photographs")

    assert caught.value.where == "aws.kms_key"
    assert "describe-key" in caught.value.remedy


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        ("infra.accounts.stage='222222222222'", "infra.accounts"),
        ("infra.declaration=['name=$(id)']", "infra.declaration"),
        (
            "infra.repository={connection: x, url: 'https://github.com/a/b', branch: main}",
            "infra.repository.connection",
        ),
        ("infra.log_retention_days=8", "infra.log_retention_days"),
    ],
)
def test_what_cannot_be_is_refused(typed: str, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site(*ONE, typed)

    assert caught.value.where.startswith(where)


@pytest.mark.parametrize("typed", ["deployment.messages.webhook=SECRET", "+deployment.messages={webhook:SECRET}"])
def test_a_secret_comes_into_no_template_and_is_not_repeated(typed: str) -> None:
    address = "https://hooks.example/s3cr3t"
    with pytest.raises(ConfigError) as caught:
        site(*ONE, f"infra.declaration=['+experiment=plants','{typed.replace('SECRET', address)}']")

    assert caught.value.where == "infra.declaration.1"
    assert "is a secret, or may hold one, and templates show all of this" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_declaration_may_say_that_there_is_no_secret() -> None:
    typed = ("deployment.messages.webhook=null", "deployment=sagemaker", "training={lr:0.1}")
    declared = site(*ONE, f"infra.declaration=[{','.join(repr(one) for one in typed)}]")

    assert tuple(declared.infra.declaration) == typed


# ---- what must be so, whatever else changes


def resources(kind: str, *typed: str, part: Part = "shared") -> list[dict[str, Any]]:
    everything = template(site(*typed), part)["Resources"].values()
    return [one for one in everything if one["Type"] == kind]


@pytest.mark.parametrize("accounts", ACCOUNTS)
def test_what_holds_work_outlives_its_stack(accounts: str) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::Logs::LogGroup"):
        for one in resources(kind, *ACCOUNTS[accounts]):
            assert one["DeletionPolicy"] == "RetainExceptOnCreate"


def test_a_bucket_that_is_there_already_is_left_alone() -> None:
    assert resources("AWS::S3::Bucket", *ONE, "infra.makes_bucket=false") == []
    assert resources("AWS::S3::BucketPolicy", *ONE, "infra.makes_bucket=false") == []


def test_every_log_has_an_end() -> None:
    groups = [one for part in PARTS for one in resources("AWS::Logs::LogGroup", *THREE, part=part)]

    assert [one["Properties"]["RetentionInDays"] for one in groups] == [90] * 4


def test_what_was_captured_goes_after_the_days_that_were_declared() -> None:
    (bucket,) = resources("AWS::S3::Bucket", *ONE, "aws.prefix=deep/below", "infra.captured_days=7")

    rule = next(one for one in bucket["Properties"]["LifecycleConfiguration"]["Rules"] if one["Id"] == "captured")
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("deep/below/captured/", 7)
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_checkpoints_go_after_the_days_that_were_declared() -> None:
    (bucket,) = resources("AWS::S3::Bucket", *ONE, "aws.prefix=deep/below", "infra.noncurrent_days=7")

    rule = next(one for one in bucket["Properties"]["LifecycleConfiguration"]["Rules"] if one["Id"] == "checkpoints")
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("deep/below/checkpoints/", 7)


def test_without_a_repository_nothing_is_built() -> None:
    assert [one["Properties"]["Name"] for one in resources("AWS::CodeBuild::Project", *ONE)] == ["plants-rollout"]
    assert "plants-build" not in templates(site(*ONE))["shared"]


if __name__ == "__main__":
    for accounts, typed in ACCOUNTS.items():
        (GOLDEN / accounts).mkdir(parents=True, exist_ok=True)
        for part, text in templates(site(*typed)).items():
            (GOLDEN / accounts / f"{part}.yaml").write_text(text)
