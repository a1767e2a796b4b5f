"""What CodeBuild would do with a message of the rule on decisions: the way that no stand-in for AWS has."""

import json
import shlex

from launchers.sagemaker.infrastructure.builds import IMAGE_VARIABLE, builds, rollout_command
from launchers.sagemaker.infrastructure.site import OUR_ACCOUNT, Site
from tests.launchers.sagemaker.account import ACCOUNT, IMAGE


def variables(message: str) -> dict[str, str]:
    """What the build is given: by name."""
    return {one["name"]: one["value"] for one in json.loads(message)["environmentVariablesOverride"]}


def environment(site: Site, project: str = "Rollout") -> dict[str, str]:
    """What it has besides: of its project, filled in as CloudFormation does; and of the image that it runs in."""
    declared = builds(site)[project]["Properties"]["Environment"]["EnvironmentVariables"]
    filled = {one["Name"]: one["Value"].replace(OUR_ACCOUNT, ACCOUNT) for one in declared}
    return {name: value.replace("${AWS::URLSuffix}", "amazonaws.com") for name, value in filled.items()} | {
        IMAGE_VARIABLE: IMAGE
    }


def argv(message: str, site: Site) -> list[str]:
    """The command that the build runs, as its shell splits it. Equal messages give equal commands."""
    return split(rollout_command(site), environment(site) | variables(message))


def split(command: str, given: dict[str, str]) -> list[str]:
    return [_filled_in(word, given) for word in shlex.split(command)]


def _filled_in(word: str, given: dict[str, str]) -> str:
    for name, value in given.items():
        word = word.replace(f"${name}", value)
    return word
