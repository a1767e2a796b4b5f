"""Roles may do what the table says, the table says no more than is needed, and its clients call what it says."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import cfnlint
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from earthsnap_train.data.source_s3 import list_bucket
from earthsnap_train.spec.dataset import S3Source
from launchers.sagemaker import places
from launchers.sagemaker.bucket import S3Bucket
from launchers.sagemaker.infrastructure.permissions import permissions
from launchers.sagemaker.infrastructure.roles import SERVICES, statements
from launchers.sagemaker.infrastructure.site import PARTS, Site
from launchers.sagemaker.infrastructure.template import template
from launchers.sagemaker.names import PIPELINE, short
from tests.launchers.sagemaker.infrastructure.declared_sites import KEY, ONE, THREE, site
from tests.launchers.sagemaker.recorded import recording, unlike_the_table

# What IAM knows of each action, as cfn-lint has it from AWS.
KNOWN = json.loads((Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json").read_text())
# Composite alarms are shown to nobody whose right is narrower; and "dataset" is no metric's.
ASK_FOR_ALL = {"cloudwatch:DescribeAlarms"}
NOT_OURS = {"dataset"}
EVERYTHING = [(site(*typed), row) for typed in (ONE, THREE) for row in permissions(site(*typed))]


def known(action: str) -> list[str]:
    """The kinds of resources that a policy can name for an action."""
    service, _, name = action.partition(":")
    found: list[str] = KNOWN[service]["Actions"][name.lower()].get("Resources", [])
    return [kind for kind in found if kind not in NOT_OURS]


def test_a_wildcard_stands_only_where_no_resource_can_be_named() -> None:
    for _, row in EVERYTHING:
        for action in row.may:
            assert ("*" in row.on) == (not known(action) or action in ASK_FOR_ALL), (action, row.on)
            assert "*" not in action


def test_every_resource_is_one_that_its_action_knows() -> None:
    for _, row in EVERYTHING:
        for action in row.may if row.on != ("*",) else ():
            service = KNOWN[action.partition(":")[0]]["Resources"]
            formats = [form for kind in known(action) for form in service[kind.lower()]["ARNFormats"]]
            patterns = [re.sub(r"\$\{(?!AWS)\w+\}", "[^:]+", form) for form in formats]
            assert any(re.match(pattern, re.sub(r"\$\{[^}]+\}", "aws", arn)) for arn in row.on for pattern in patterns)


def test_every_arn_is_in_this_family_or_of_a_service() -> None:
    """Jobs of pipelines have names of the service's own; targets of scaling have ids."""
    ours = re.compile(r"plants|photographs|herbarium|walks|alarm:plants")
    services = re.compile(r"/pipelines-\*|scalable-target/\*|log-group:/aws/sagemaker/|aws-service-role/|secret:wandb-")
    for _, row in EVERYTHING:
        for arn in row.on if row.on != ("*",) else ():
            assert ours.search(arn) or services.search(arn) or arn == KEY or ":connection/" in arn, arn


def test_a_role_is_passed_to_sagemaker_alone_and_by_its_whole_name() -> None:
    passing = [row for _, row in EVERYTHING if "iam:PassRole" in row.may]

    assert passing
    for row in passing:
        assert row.when == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
        assert all(re.fullmatch(r"arn:aws:iam::[^:*]+(::[^:*]+)?:role/plants-[a-z-]+", arn) for arn in row.on)


def test_containers_of_an_endpoint_read_their_familys_releases_and_neither_ledger_nor_locks() -> None:
    for _, row in EVERYTHING:
        for who in {"stage-endpoint", "prod-endpoint"} & set(row.who) if "s3:GetObject" in row.may else ():
            own, other = (f"{places.release_folder(family, 'd' * 64)}/release.json" for family in ("plants", "birds"))
            names = (own, other, "registry/registry.sqlite", "registry/locks/plants/rollout.lock")
            below = "arn:aws:s3:::photographs/earthsnap"
            assert [name for name in names if any(fnmatchcase(f"{below}/{name}", arn) for arn in row.on)] == [own], who


def test_every_row_says_why() -> None:
    assert all(len(row.because) > 8 for _, row in EVERYTHING)


@pytest.mark.parametrize("typed", [ONE, THREE], ids=["one", "three"])
def test_a_role_holds_its_rows_and_nothing_else(typed: tuple[str, ...]) -> None:
    family = site(*typed)
    rows = permissions(family)
    held = dict(_roles(family))

    assert set(held) == {who for row in rows for who in row.who if who != "build" or family.infra.repository}
    for who, role in held.items():
        of_table = {(action, arn) for row in rows if who in row.who for action in row.may for arn in row.on}
        of_role = {
            (action, arn) for one in statements(who, rows) for action in one["Action"] for arn in one["Resource"]
        }  # type: ignore[arg-type]
        policies = role["Policies"]
        assert of_role == of_table
        assert [len(one["PolicyDocument"]["Statement"]) for one in policies] == [len(statements(who, rows))]  # type: ignore[arg-type]
        assert "ManagedPolicyArns" not in role


def _roles(family: Site) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in PARTS:
        for one in template(family, part)["Resources"].values():
            if one["Type"] == "AWS::IAM::Role":
                yield one["Properties"]["RoleName"].removeprefix("plants-"), one["Properties"]


def test_a_service_acts_for_its_own_account_alone() -> None:
    for who, role in _roles(site(*THREE)):
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        if who.endswith("-deploy"):
            assert trust["Principal"] == {"AWS": "arn:aws:iam::111111111111:role/plants-rollout"}
            continue
        assert trust["Principal"] == {"Service": SERVICES[who]}  # type: ignore[index]
        account = {"stage-endpoint": "222222222222", "prod-endpoint": "333333333333"}.get(who, "111111111111")
        if who != "api":
            assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": account}}


def test_endpoints_elsewhere_are_moved_by_a_role_of_that_account() -> None:
    here, elsewhere = permissions(site(*ONE)), permissions(site(*THREE))

    assert {who for row in here if "sagemaker:UpdateEndpoint" in row.may for who in row.who} == {"rollout"}
    assert {who for row in elsewhere if "sagemaker:UpdateEndpoint" in row.may for who in row.who} == {
        "stage-deploy", "prod-deploy",
    }  # fmt: skip
    assumed = [arn for row in elsewhere if "sts:AssumeRole" in row.may for arn in row.on]
    assert assumed == [f"arn:aws:iam::{n * 12}:role/plants-{p}-deploy" for n, p in (("2", "stage"), ("3", "prod"))]


def test_another_account_gets_of_bucket_and_images_what_its_roles_may_and_by_their_names() -> None:
    found = template(site(*THREE), "shared")["Resources"]
    bucket = found["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    images = found["Images"]["Properties"]["RepositoryPolicyText"]["Statement"]

    allowed = [one for one in (*bucket, *images) if one["Effect"] == "Allow"]
    assert {action for one in allowed for action in one["Action"]} == {
        "s3:GetObject", "s3:ListBucket", "s3:PutObject",
        "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
    }  # fmt: skip
    for one in allowed:
        assert re.search(r"role/plants-(stage|prod)-endpoint$", one["Condition"]["ArnEquals"]["aws:PrincipalArn"])
    (put,) = (one for one in allowed if one["Action"] == ["s3:PutObject"] and "Stage" in one["Sid"])
    assert put["Resource"] == ["arn:aws:s3:::photographs/earthsnap/captured/*"]
    assert [one["Sid"] for one in bucket if one["Effect"] == "Deny"] == ["OnlyTLS"]


def test_in_one_account_nobody_else_gets_anything() -> None:
    found = template(site(*ONE), "shared")["Resources"]

    assert len(found["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]) == 1
    assert "RepositoryPolicyText" not in found["Images"]["Properties"]


@given(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,62}", fullmatch=True), st.from_regex(r"[a-z0-9/-]{1,40}", fullmatch=True))
def test_the_pattern_of_a_family_covers_every_name_that_begins_with_it(family: str, what: str) -> None:
    pattern = Site(family=family, infra=site(*ONE).infra).every_name

    assert short(f"{family}-{what}x", PIPELINE).startswith(pattern.removesuffix("*"))


def test_no_job_writes_what_decides_over_production_and_no_build_either() -> None:
    for family in (site(*ONE), site(*THREE)):
        for row in permissions(family):
            if "s3:PutObject" in row.may and {"job", "build"} & {*row.who}:
                assert not [arn for arn in row.on if re.search(r"/earthsnap/(\*|registry|releases|captured)", arn)]


def test_a_build_lists_the_photographs_that_it_sends_a_run_for_and_reads_none() -> None:
    rows = [
        row for row in permissions(site(*THREE)) if "build" in row.who and any("herbarium" in arn for arn in row.on)
    ]

    assert [row.may for row in rows] == [("s3:ListBucketVersions",)]
    assert rows[0].on == ("arn:aws:s3:::herbarium", "arn:aws:s3:::walks")


# ---- what is really called


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("photographs", "herbarium"):
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.put_object(Bucket="herbarium", Key="sheets/rose/1.jpg", Body=b"1")
        yield


def test_jobs_may_exactly_what_they_do_with_their_bucket_and_with_photographs(account: None, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(9 * 2**20))  # above 8 MiB it goes in parts
    declared = {
        "kind": "s3", "bucket": "herbarium", "prefix": "sheets", "region": "eu-west-1", "endpoint_url": None, "mirror": "",
        "ranks": ["order"], "species_table": None,
    }  # fmt: skip
    with recording() as calls:
        bucket = S3Bucket("photographs", kms_key=None)
        bucket.write("earthsnap/store/a", b"1")
        bucket.write_new("earthsnap/store/b", b"2")
        bucket.read("earthsnap/store/not-there")
        bucket.upload("earthsnap/store/large", tmp_path / "large")
        bucket.download("earthsnap/store/large", tmp_path / "back")
        list_bucket(S3Source.model_validate(declared))

    assert {"CreateMultipartUpload", "HeadObject", "ListObjectVersions"} <= {call.operation for call in calls}
    assert unlike_the_table(calls, site(*THREE), "job", services=["s3"]) == []


def test_a_call_that_is_not_in_the_table_is_found_and_so_is_a_permission_that_nobody_uses(account: None) -> None:
    with recording() as calls:
        client = boto3.session.Session().client("s3")
        client.put_object(Bucket="photographs", Key="elsewhere/a", Body=b"1")
        client.delete_object(Bucket="photographs", Key="elsewhere/a")

    assert unlike_the_table(calls, site(*ONE), "job", services=["s3"]) == [
        "job may not s3:DeleteObject on arn:aws:s3:::photographs/elsewhere/a",
        "job may not s3:PutObject on arn:aws:s3:::photographs/elsewhere/a",
        "job may s3:AbortMultipartUpload, and never did",
        "job may s3:GetObject, and never did",
        "job may s3:PutObject, and never did",
    ]


def test_a_role_and_tags_in_a_request_need_permissions_of_their_own(account: None) -> None:
    role = "arn:aws:iam::123456789012:role/plants-job"
    with recording() as calls:
        boto3.client("sagemaker").create_pipeline(
            PipelineName="plants", PipelineDefinition="{}", ClientRequestToken="t" * 32, RoleArn=role,
            Tags=[{"Key": "family", "Value": "plants"}],
        )  # fmt: skip

    assert calls[0].needs == {("sagemaker:CreatePipeline", None), ("iam:PassRole", role), ("sagemaker:AddTags", None)}
    assert unlike_the_table(calls, site(*ONE), "conductor", services=[]) == []
    assert unlike_the_table(calls, site(*ONE), "rollout", services=[]) == [
        f"rollout may not iam:PassRole on {role}",
        "rollout may not sagemaker:CreatePipeline on anything",
    ]
