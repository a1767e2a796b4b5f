"""The parts as templates: the same text for the same declaration."""

from collections.abc import Mapping
from typing import Any

from launchers.sagemaker.infrastructure.alarms import alarms, budget, topic
from launchers.sagemaker.infrastructure.api import api
from launchers.sagemaker.infrastructure.approval import approval
from launchers.sagemaker.infrastructure.builds import builds, log_group
from launchers.sagemaker.infrastructure.dashboard import dashboard
from launchers.sagemaker.infrastructure.roles import logical, principals, roles
from launchers.sagemaker.infrastructure.site import PARTS, Json, Part, Site
from launchers.sagemaker.infrastructure.storage import storage
from launchers.sagemaker.infrastructure.yaml_text import yaml_text


def templates(site: Site) -> dict[Part, str]:
    return {part: yaml_text(template(site, part)) for part in PARTS}


def template(site: Site, part: Part) -> Json:
    resources = _shared(site) if part == "shared" else _endpoint(site, part)
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"earthsnap: {site.family}, {part}",
        "Resources": _filled_in(resources),
        "Outputs": _filled_in(_outputs(site, part)),
    }


def _shared(site: Site) -> dict[str, Json]:
    return {
        **storage(site), **roles(site, "shared"), **builds(site), **approval(site), **api(site),
        **topic(site, "shared"), **alarms(site), **budget(site), **dashboard(site),
    }  # fmt: skip


def _endpoint(site: Site, part: Part) -> dict[str, Json]:
    logs = log_group(site, f"/aws/sagemaker/Endpoints/{site.name(part)}")
    return {**roles(site, part), "EndpointLogs": logs, **topic(site, part)}


def _outputs(site: Site, part: Part) -> dict[str, Json]:
    """What declarations of other things need."""
    found: dict[str, Json] = {
        logical(who): {"Value": {"Fn::GetAtt": [logical(who), "Arn"]}} for who in principals(site, part)
    }
    found["AlarmsTopic"] = {"Value": {"Ref": "Alarms"}}
    if part == "shared":
        address = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Stage}/executions"
        found |= {"ImageRepository": {"Value": site.images}, "Executions": {"Value": address}}
    return found


def _filled_in(given: Any) -> Any:
    """Every text with a ``${...}`` in it is one that CloudFormation fills in."""
    if isinstance(given, str):
        return {"Fn::Sub": given} if "${" in given else given
    if isinstance(given, Mapping):
        return {key: _filled_in(one) for key, one in given.items()}
    return [_filled_in(one) for one in given] if isinstance(given, list | tuple) else given
