"""Calls to AWS as they are made, and what IAM has to allow for them.

``with recording() as calls: ...`` listens to every client that is made inside of it, by whatever session; then
``unlike_the_table(calls, site, who)`` says in what the table of permissions differs from them.
"""

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.handlers

from launchers.sagemaker.infrastructure.permissions import permissions
from launchers.sagemaker.infrastructure.site import Principal, Site

# Operations whose permission has another name, or another one besides. Of all others it is service:Operation.
ACTIONS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("s3", "CompleteMultipartUpload"): ("s3:PutObject",),
    ("s3", "CopyObject"): ("s3:GetObject", "s3:PutObject"),
    ("s3", "CreateMultipartUpload"): ("s3:PutObject",),
    ("s3", "DeleteObjects"): ("s3:DeleteObject",),
    ("s3", "HeadBucket"): ("s3:ListBucket",),
    ("s3", "HeadObject"): ("s3:GetObject",),
    ("s3", "ListObjects"): ("s3:ListBucket",),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
    ("s3", "ListObjectVersions"): ("s3:ListBucketVersions",),
    ("s3", "UploadPart"): ("s3:PutObject",),
    ("sts", "GetCallerIdentity"): (),  # everybody may
}
# botocore's name of a service, where IAM has another.
PREFIXES = {"sagemaker-runtime": "sagemaker", "service-quotas": "servicequotas"}
WITH_VERSION = {"s3:GetObject": "s3:GetObjectVersion", "s3:DeleteObject": "s3:DeleteObjectVersion"}
ROLES = ("RoleArn", "ExecutionRoleArn")
IN_CASE_OF_FAILURE = {"s3:AbortMultipartUpload": "s3:PutObject"}  # needed where the other is, and seldom seen


@dataclass(frozen=True)
class Call:
    service: str
    operation: str
    request: Mapping[str, Any]

    @property
    def needs(self) -> set[tuple[str, str | None]]:
        """(action, the ARN that it is done to); None where actions alone are compared."""
        prefix = PREFIXES.get(self.service, self.service)
        actions = ACTIONS.get((self.service, self.operation), (f"{prefix}:{self.operation}",))
        if self.request.get("VersionId"):
            actions = tuple(WITH_VERSION.get(action, action) for action in actions)
        found: set[tuple[str, str | None]] = {(action, self._object) for action in actions}
        found |= {("iam:PassRole", self.request[role]) for role in ROLES if self.request.get(role)}
        if self.service == "sagemaker" and self.request.get("Tags"):
            found.add(("sagemaker:AddTags", None))
        return found

    @property
    def _object(self) -> str | None:
        if self.service != "s3":
            return None
        arn = f"arn:aws:s3:::{self.request['Bucket']}"
        return f"{arn}/{self.request['Key']}" if "Key" in self.request else arn


@contextmanager
def recording() -> Iterator[list[Call]]:
    """botocore's own hook, which every new session registers; nothing of a call is changed."""
    calls: list[Call] = []

    def note(params: Mapping[str, Any], model: Any, **_: object) -> None:
        calls.append(Call(model.service_model.service_name, model.name, dict(params)))

    entry = ("provide-client-params", note)
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, None
    botocore.handlers.BUILTIN_HANDLERS.append(entry)
    try:
        yield calls
    finally:
        botocore.handlers.BUILTIN_HANDLERS.remove(entry)
        boto3.DEFAULT_SESSION = before


def unlike_the_table(calls: Collection[Call], site: Site, *who: Principal, services: Collection[str]) -> list[str]:
    """What these principals called and may not (all of them), and what of these ``services`` they may and never called.

    A row with resources counts as used only by calls on these, where the recording tells on what they were.
    """
    rows = [row for row in permissions(site) if set(row.who) & set(who)]
    found = set()
    needs = {need for call in calls for need in call.needs}
    for action, resource in needs:
        for one in who:
            if not any(action in row.may and one in row.who and _covers(row.on, resource) for row in rows):
                found.add(f"{one} may not {action} on {resource or 'anything'}")
    for row in rows:
        if row.asked_by == "us":
            called = {action for action, resource in needs if _covers(row.on, resource)}
            called |= {action for action, beside in IN_CASE_OF_FAILURE.items() if beside in called}
            unused = {action for action in row.may if action.partition(":")[0] in services} - called
            found |= {f"{', '.join(sorted({*row.who} & {*who}))} may {action}, and never did" for action in unused}
    return sorted(found)


def _covers(patterns: Collection[str], resource: str | None) -> bool:
    """As IAM compares ARNs: a star stands for anything, slashes too."""
    filled = [re.sub(r"\$\{[^}]+\}", "*", pattern) for pattern in patterns]
    return resource is None or any(fnmatch.fnmatchcase(resource, pattern) for pattern in filled)
