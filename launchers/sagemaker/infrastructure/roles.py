"""One role for each principal, with what ``permissions`` says of it and nothing else."""

from collections.abc import Sequence

from launchers.sagemaker.infrastructure.endpoint_permissions import deployer, server
from launchers.sagemaker.infrastructure.permission import Permission
from launchers.sagemaker.infrastructure.permissions import permissions
from launchers.sagemaker.infrastructure.site import ENDPOINTS, Json, Part, Principal, Site

SERVICES: dict[Principal, str] = {
    "job": "sagemaker.amazonaws.com",
    "conductor": "sagemaker.amazonaws.com",
    "build": "codebuild.amazonaws.com",
    "rollout": "codebuild.amazonaws.com",
    "api": "apigateway.amazonaws.com",
    "approval": "events.amazonaws.com",
    "stage-endpoint": "sagemaker.amazonaws.com",
    "prod-endpoint": "sagemaker.amazonaws.com",
}


def principals(site: Site, part: Part) -> tuple[Principal, ...]:
    """Whose roles are in a part."""
    if part == "shared":
        builds = site.infra.repository is not None
        return tuple(who for who in SERVICES if not who.endswith("-endpoint") and (builds or who != "build"))
    return (server(part), deployer(site, part)) if site.is_apart(part) else (server(part),)


def roles(site: Site, part: Part) -> dict[str, Json]:
    rows = permissions(site)
    return {logical(who): _role(site, who, rows) for who in principals(site, part)}


def logical(who: Principal) -> str:
    """Its name within a template."""
    return "".join(word.title() for word in who.split("-")) + "Role"


def statements(who: Principal, rows: Sequence[Permission]) -> list[Json]:
    """A principal's policy; rows that differ in actions alone are one statement."""
    found: dict[str, Json] = {}
    for row in rows:
        if who in row.who:
            new: Json = {"Effect": "Allow", "Action": [], "Resource": list(row.on)}
            if row.when is not None:
                new["Condition"] = dict(row.when)
            statement = found.setdefault(repr((row.on, row.when)), new)
            statement["Action"] = sorted({*statement["Action"], *row.may})
    return list(found.values())


def _role(site: Site, who: Principal, rows: Sequence[Permission]) -> Json:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": site.role(who),
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [_trust(site, who)]},
            "Policies": [
                {
                    "PolicyName": "permissions",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": statements(who, rows)},
                }
            ],
        },
    }


def _trust(site: Site, who: Principal) -> Json:
    """A service acts for this account alone, else another account's things could make it act as our role."""
    if who.endswith("-deploy"):
        principal = {"AWS": site.role_arn("rollout")}
        return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    part: Part = next((one for one in ENDPOINTS if who.startswith(f"{one}-")), "shared")
    trust: Json = {"Effect": "Allow", "Principal": {"Service": SERVICES[who]}, "Action": "sts:AssumeRole"}
    if who != "api":  # API Gateway does not document that it says for whom it acts
        trust["Condition"] = {"StringEquals": {"aws:SourceAccount": site.account(part)}}
    return trust
