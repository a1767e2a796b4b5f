"""What CodeBuild would do with a message of the rule on decisions: the way that no stand-in for AWS has."""

import json
import shlex

from launchers.sagemaker.infrastructure.builds import rollout_command
from launchers.sagemaker.infrastructure.site import Site


def variables(message: str) -> dict[str, str]:
    """What the build is given: by name."""
    return {one["name"]: one["value"] for one in json.loads(message)["environmentVariablesOverride"]}


def argv(message: str, site: Site) -> list[str]:
    """The command that the build runs, as its shell splits it. Equal messages give equal commands."""
    given = variables(message)
    return [_filled_in(word, given) for word in shlex.split(rollout_command(site))]


def _filled_in(word: str, given: dict[str, str]) -> str:
    for name, value in given.items():
        word = word.replace(f"${name}", value)
    return word
