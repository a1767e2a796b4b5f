"""The two CodeBuild projects: ``build`` makes an image of what was pushed and starts the entry pipeline; ``rollout`` runs
our verb on the model package that was decided on."""

import re
import shlex
from collections.abc import Sequence

from earthsnap_train.spec.infra import Repository
from launchers.sagemaker.infrastructure.endpoint_permissions import server
from launchers.sagemaker.infrastructure.site import Json, Site
from launchers.sagemaker.infrastructure.storage import MOVING_TAG
from launchers.sagemaker.infrastructure.yaml_text import yaml_text

PACKAGE_VARIABLE = "PACKAGE_ARN"
IMAGE_VARIABLE = "EARTHSNAP_IMAGE"  # of the image that serves: its own address, by the tag that never moves
_DOCKERFILE = "launchers/sagemaker/container/Dockerfile"
_STANDARD = "aws/codebuild/amazonlinux-x86_64-standard:5.0"  # of CodeBuild; it has docker and the AWS command line
_BUILD_MINUTES = 120
_ROLLOUT_MINUTES = 2160  # the most that CodeBuild allows: production is watched between its steps
_QUEUED_MINUTES = 480
_SOURCES = {"github.com": "GITHUB", "gitlab.com": "GITLAB", "bitbucket.org": "BITBUCKET"}


def builds(site: Site) -> dict[str, Json]:
    """Without a repository nothing is built here, and images are pushed by hand."""
    rollout = {"RolloutLogs": log_group(site, f"/aws/codebuild/{site.name('rollout')}"), "Rollout": _rollout(site)}
    if site.infra.repository is None:
        return rollout
    return {
        "BuildLogs": log_group(site, f"/aws/codebuild/{site.name('build')}"),
        "Build": _build(site, site.infra.repository),
        **rollout,
    }


def log_group(site: Site, name: str) -> Json:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "LogGroupName": name,
            "RetentionInDays": site.infra.log_retention_days,
        },
    }


# ---- what they run


def declaration(site: Site) -> list[str]:
    """Overrides by which a build declares the family that this infrastructure is of."""
    infra = site.infra
    key = [f"aws.kms_key={infra.kms_key}"] if infra.kms_key else []
    tags = [f"aws.tags={{{','.join(_tag(*one) for one in sorted(infra.tags.items()))}}}"] if infra.tags else []
    place = [f"aws.region={infra.region}", f"aws.bucket={infra.bucket}", f"aws.prefix={infra.prefix}", *key, *tags]
    return [*infra.declaration, f"name={site.family}", *place]


def _tag(name: str, value: str) -> str:
    """As Hydra reads a pair of a mapping: no sign in it means anything else."""
    return re.sub(r"([ :=])", r"\\\1", name) + f':"{value}"'


def rollout_command(site: Site) -> str:
    """The package is never part of the text: a shell expands its variable into one word. What answers is the image that this
    runs in, which knows by what name it stays the same."""
    typed = [*declaration(site), "registry=sagemaker", "deployment=sagemaker"]
    images = f'"registry.serve_image=${IMAGE_VARIABLE}" "deployment.image=${IMAGE_VARIABLE}"'
    roles = '"deployment.role=$PROD_ROLE" "deployment.stage.role=$STAGE_ROLE"'
    return f'python -m earthsnap_train rollout "package=${PACKAGE_VARIABLE}" {_words(typed)} {images} {roles}'


def start_command(site: Site) -> str:
    """Run in the image that it names, so that keys are those of its libraries."""
    typed = [*declaration(site), "launcher=sagemaker", "launcher.wait=false", "registry=sagemaker"]
    inside = 'docker run --rm --network host --volume "$PWD:/declared" --workdir /declared'
    credentials = "--env AWS_REGION --env AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    images = '"launcher.image=$IMAGE" "registry.serve_image=$IMAGE-serve"'
    given = f'{images} "launcher.role=$JOB_ROLE" "launcher.entry_role=$CONDUCTOR_ROLE"'
    return f'{inside} {credentials} --entrypoint python "$IMAGE" -m earthsnap_train {_words(typed)} {given}'


def _words(typed: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, typed))


def _buildspec(commands: Sequence[str]) -> Json:
    return {"version": 0.2, "phases": {"build": {"commands": list(commands)}}}


# ---- the projects


def _build(site: Site, repository: Repository) -> Json:
    commands = [
        f'export IMAGE="$IMAGES:$CODEBUILD_RESOLVED_SOURCE_VERSION" && export MOVING="$IMAGES:{MOVING_TAG}"',
        'aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY"',
        f'docker build --file {_DOCKERFILE} --target train --tag "$IMAGE" .',
        f'docker build --file {_DOCKERFILE} --target serve --build-arg {IMAGE_VARIABLE}="$IMAGE-serve" '
        '--tag "$IMAGE-serve" --tag "$MOVING" .',
        # A commit that is built again finds its tags taken, which never move.
        'docker push "$IMAGE" || docker manifest inspect "$IMAGE" > /dev/null',
        'docker push "$IMAGE-serve" || docker manifest inspect "$IMAGE-serve" > /dev/null',
        'docker push "$MOVING"',
        start_command(site),
    ]
    project = _project(
        site, "build", commands, image=_STANDARD, pulled_by="CODEBUILD", minutes=_BUILD_MINUTES, privileged=True,
        variables={
            "REGISTRY": site.registry, "IMAGES": site.images,
            "JOB_ROLE": site.role_arn("job"), "CONDUCTOR_ROLE": site.role_arn("conductor"),
        },
    )  # fmt: skip
    project["Properties"]["Source"] |= {
        "Type": _SOURCES[repository.url.split("/")[2]],
        "Location": repository.url,
        "GitCloneDepth": 1,
        "Auth": {"Type": "CODECONNECTIONS", "Resource": repository.connection},
    }
    branch = re.escape(repository.branch)
    filters = [{"Type": "EVENT", "Pattern": "PUSH"}, {"Type": "HEAD_REF", "Pattern": f"^refs/heads/{branch}$"}]
    project["Properties"] |= {
        "SourceVersion": repository.branch,
        "Triggers": {"Webhook": True, "FilterGroups": [filters]},
    }
    return project


def _rollout(site: Site) -> Json:
    return _project(
        site, "rollout", [rollout_command(site)], image=f"{site.images}:{MOVING_TAG}", pulled_by="SERVICE_ROLE",
        minutes=_ROLLOUT_MINUTES, privileged=False,
        variables={"STAGE_ROLE": site.role_arn(server("stage")), "PROD_ROLE": site.role_arn(server("prod"))},
    )  # fmt: skip


def _project(
    site: Site, name: str, commands: Sequence[str], *, image: str, pulled_by: str, minutes: int, privileged: bool,
    variables: dict[str, str],
) -> Json:  # fmt: skip
    """One at a time: what comes meanwhile waits."""
    return {
        "Type": "AWS::CodeBuild::Project",
        "DependsOn": [f"{name.title()}Logs"],
        "Properties": {
            "Name": site.name(name),
            "ServiceRole": {"Fn::GetAtt": [f"{name.title()}Role", "Arn"]},
            "Artifacts": {"Type": "NO_ARTIFACTS"},
            "Source": {"Type": "NO_SOURCE", "BuildSpec": yaml_text(_buildspec(commands))},
            "Environment": {
                "Type": "LINUX_CONTAINER",
                "ComputeType": "BUILD_GENERAL1_MEDIUM",
                "Image": image,
                "ImagePullCredentialsType": pulled_by,
                "PrivilegedMode": privileged,
                "EnvironmentVariables": [{"Name": key, "Value": value} for key, value in variables.items()],
            },
            "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": f"/aws/codebuild/{site.name(name)}"}},
            "TimeoutInMinutes": minutes,
            "QueuedTimeoutInMinutes": _QUEUED_MINUTES,
            "ConcurrentBuildLimit": 1,
        },
    }
