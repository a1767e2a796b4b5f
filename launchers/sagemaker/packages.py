"""SageMaker's Model Registry: groups of model packages, the versions in them, and whether each is approved."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from earthsnap_train.errors import ConfigError, NotFoundError
from earthsnap_train.release.catalogue import Decision, State
from launchers.sagemaker.clients import client, in_our_words, is_absent

GROUP = 63  # characters of a group's name
NOTE = 1024  # of a description
METADATA = 256  # of a value
_STATUS: Mapping[State, str] = {state: state for state in get_args(State)} | {
    "PendingApproval": "PendingManualApproval"
}
_STATE: Mapping[str, State] = {status: state for state, status in _STATUS.items()}


@dataclass(frozen=True, kw_only=True)
class Version:
    """One package of a group. ``about``: its description, by which it is found again."""

    arn: str
    number: int
    about: str
    state: State


class Packages:
    """Each request is a few lines of what boto3 sends; botocore checks its shape before it is sent."""

    def __init__(self, *, region: str, tags: Mapping[str, str]) -> None:
        self._client: Any = client("sagemaker", region=region)
        self._tags = [{"Key": key, "Value": value} for key, value in tags.items()]

    def ensure_group(self, name: str, about: str) -> None:
        """Raises ConfigError where a group of this name is about something else."""
        with in_our_words(name):
            there = self._group(name)
            if there is None:
                tags = {"Tags": self._tags} if self._tags else {}
                self._client.create_model_package_group(
                    ModelPackageGroupName=name, ModelPackageGroupDescription=about, **tags
                )
            elif there.get("ModelPackageGroupDescription") != about:
                raise ConfigError(
                    f"the package group {name} is there already, and is about something else: "
                    f"{there.get('ModelPackageGroupDescription', 'it does not say what')}",
                    where="name",
                    allowed=f"a group that says: {about}",
                    remedy="another name=... for the family",
                )

    def _group(self, name: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self._client.describe_model_package_group(ModelPackageGroupName=name)
        except self._client.exceptions.ClientError as error:
            if is_absent(error):
                return None
            raise
        return found

    def versions(self, group: str) -> list[Version]:
        """Nothing where there is no such group."""
        with in_our_words(group):
            try:
                pages = list(
                    self._client.get_paginator("list_model_packages").paginate(
                        ModelPackageGroupName=group, ModelPackageType="Versioned"
                    )
                )
            except self._client.exceptions.ClientError as error:
                if is_absent(error):
                    return []
                raise
        return [_version(one) for page in pages for one in page["ModelPackageSummaryList"]]

    def ensure(self, group: str, about: str, request: Mapping[str, object]) -> Version:
        """The package of this description, made by ``request`` where there is none."""
        found = next((one for one in self.versions(group) if one.about == about), None)
        if found is not None:
            return found
        with in_our_words(group):
            arn = self._client.create_model_package(
                ModelPackageGroupName=group, ModelPackageDescription=about, **request
            )["ModelPackageArn"]
        return _version(self.described(arn))

    def described(self, arn: str) -> Mapping[str, Any]:
        """What the service says of a package. Raises NotFoundError where there is none."""
        with in_our_words(arn):
            try:
                found: Mapping[str, Any] = self._client.describe_model_package(ModelPackageName=arn)
            except self._client.exceptions.ClientError as error:
                if is_absent(error):
                    raise NotFoundError("there is no such model package", where=f"package={arn}") from error
                raise
        return found

    def decision(self, arn: str) -> Decision:
        found = self.described(arn)
        by = found.get("LastModifiedBy", {})
        who = by.get("UserProfileName") or by.get("IamIdentity", {}).get("Arn") or "model registry"
        return Decision(state=_STATE[found["ModelApprovalStatus"]], who=who, why=found.get("ApprovalDescription", ""))

    def decide(self, arn: str, state: State, why: str) -> None:
        """What is not sent might be taken for removed, so the metadata is sent again as it is."""
        found = self.described(arn)
        with in_our_words(arn):
            kept = {"CustomerMetadataProperties": said} if (said := found.get("CustomerMetadataProperties")) else {}
            self._client.update_model_package(
                ModelPackageArn=arn, ModelApprovalStatus=_STATUS[state], ApprovalDescription=one_line(why), **kept
            )


def status(state: State) -> str:
    return _STATUS[state]


def one_line(text: str) -> str:
    return " ".join(text.split())[:NOTE]


def metadata(values: Mapping[str, str]) -> dict[str, str]:
    """Only what the service takes: letters, digits, spaces and a few signs; nothing empty."""
    plain = {key: re.sub(r"[^\w .:/=+\-@]", "_", value)[:METADATA] for key, value in values.items()}
    return {key: value for key, value in plain.items() if value}


def _version(found: Mapping[str, Any]) -> Version:
    return Version(
        arn=found["ModelPackageArn"],
        number=found["ModelPackageVersion"],
        about=found.get("ModelPackageDescription", ""),
        state=_STATE[found["ModelApprovalStatus"]],
    )
