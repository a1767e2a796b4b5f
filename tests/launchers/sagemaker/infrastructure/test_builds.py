"""What CodeBuild runs are our own commands, on the family that the infrastructure is of."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from launchers.sagemaker.infrastructure.builds import IMAGE_VARIABLE, declaration, rollout_command
from launchers.sagemaker.infrastructure.storage import MOVING_TAG
from launchers.sagemaker.infrastructure.template import template
from tests.conftest import REPOSITORY, declare
from tests.launchers.sagemaker.infrastructure.declared_sites import CONNECTION, ONE, THREE, site

IMAGES = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/plants"
ROLES = "arn:aws:iam::111111111111:role/plants"
GIVEN = {
    "IMAGES": IMAGES,
    "REGISTRY": IMAGES.partition("/")[0],
    "JOB_ROLE": f"{ROLES}-job",
    "CONDUCTOR_ROLE": f"{ROLES}-conductor",
    "CODEBUILD_RESOLVED_SOURCE_VERSION": "abc123",
}


def project(logical: str, *typed: str) -> dict[str, Any]:
    found: dict[str, Any] = template(site(*typed), "shared")["Resources"][logical]["Properties"]
    return found


def commands(given: dict[str, Any]) -> list[str]:
    found: list[str] = yaml.safe_load(given["Source"]["BuildSpec"])["phases"]["build"]["commands"]
    return found


def test_a_push_builds_both_images_pushes_them_and_starts_the_entry_pipeline(tmp_path: Path) -> None:
    """In a real shell, with stand-ins that say what they were called with."""
    for name in ("docker", "aws"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/said\n')
        (tmp_path / name).chmod(0o755)
    build = project("Build", *THREE)
    environment = {**os.environ, **GIVEN, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert {one["Name"] for one in build["Environment"]["EnvironmentVariables"]} <= set(GIVEN)

    subprocess.run(["/bin/sh", "-ec", "\n".join(commands(build))], env=environment, cwd=tmp_path, check=True)

    said = (tmp_path / "said").read_text().splitlines()
    pushed = [line.split()[2] for line in said if line.startswith("docker push")]
    assert pushed == [f"{IMAGES}:abc123", f"{IMAGES}:abc123-serve", f"{IMAGES}:{MOVING_TAG}"]
    (served,) = (line for line in said if "--target serve" in line)
    assert f"--build-arg {IMAGE_VARIABLE}={IMAGES}:abc123-serve" in served
    started = said[-1].split()
    assert started[:3] == ["docker", "run", "--rm"]
    assert started[started.index(f"{IMAGES}:abc123") + 1 :] == [
        "-m", "earthsnap_train", "+experiment=plants", "training.fit_on=full", "name=plants", "aws.region=eu-west-1",
        "aws.bucket=photographs", "aws.prefix=earthsnap",
        "aws.kms_key=arn:aws:kms:eu-west-1:111111111111:key/12345678-1234-1234-1234-123456789012",
        'aws.tags={team:"botany"}', "launcher=sagemaker", "launcher.wait=false", "registry=sagemaker",
        f"launcher.image={IMAGES}:abc123", f"registry.serve_image={IMAGES}:abc123-serve",
        f"launcher.role={ROLES}-job", f"launcher.entry_role={ROLES}-conductor",
    ]  # fmt: skip


def test_the_image_that_serves_knows_by_what_name_it_stays_the_same() -> None:
    dockerfile = (REPOSITORY / "launchers" / "sagemaker" / "container" / "Dockerfile").read_text()
    serve = dockerfile.partition(" AS serve\n")[2].partition("\nFROM ")[0]

    assert f"ARG {IMAGE_VARIABLE}=\nENV {IMAGE_VARIABLE}=${{{IMAGE_VARIABLE}}}\n" in serve
    assert f'"deployment.image=${IMAGE_VARIABLE}"' in rollout_command(site(*ONE))


def test_a_declaration_of_a_build_says_all_that_is_declared_of_the_place() -> None:
    tags = {"team": "botany", "cost:center": "a = b"}
    typed = "aws.tags={team: botany, cost\\:center: 'a = b'}"
    declared = declare(
        "status", *declaration(site(*ONE, "aws.prefix=deep/below", "aws.kms_key=mrk-" + "0" * 32, typed))
    )

    assert (declared.name, declared.aws.region, declared.aws.bucket) == ("plants", "eu-west-1", "photographs")
    assert (declared.aws.prefix, declared.aws.kms_key, declared.aws.tags) == ("deep/below", "mrk-" + "0" * 32, tags)


def test_only_a_push_to_the_declared_branch_builds() -> None:
    build = project("Build", *THREE)

    assert build["Triggers"]["FilterGroups"] == [
        [{"Type": "EVENT", "Pattern": "PUSH"}, {"Type": "HEAD_REF", "Pattern": r"^refs/heads/release/1\.x$"}]
    ]
    assert build["Source"]["Type"] == "GITHUB"
    assert build["Source"]["Auth"] == {"Type": "CODECONNECTIONS", "Resource": CONNECTION}


def test_rollouts_run_one_after_the_other_in_an_image_of_ours_and_build_nothing() -> None:
    rollout = project("Rollout", *ONE)

    assert rollout["ConcurrentBuildLimit"] == 1
    assert rollout["Environment"]["PrivilegedMode"] is False
    assert rollout["Environment"]["Image"]["Fn::Sub"].endswith(f"/plants:{MOVING_TAG}")
    assert len(commands(rollout)) == 1


def test_of_all_tags_one_can_move() -> None:
    images = template(site(*ONE), "shared")["Resources"]["Images"]["Properties"]

    assert images["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert [one["ImageTagMutabilityExclusionFilterValue"] for one in images["ImageTagMutabilityExclusionFilters"]] == [
        MOVING_TAG
    ]
