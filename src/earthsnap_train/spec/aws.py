"""What ``conf/aws/`` declares: where on AWS everything lies, for every choice that works there."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from earthsnap_train.spec.model import SpecModel

Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
BucketName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Prefix = Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)*$", max_length=200)]
KmsKey = Annotated[str, Field(pattern=r"^[a-zA-Z0-9:/_-]+$", max_length=2048)]
TagValue = Annotated[str, Field(pattern=r"^[\w .:/=+@-]*$", max_length=256)]


def _named(tags: dict[str, str]) -> dict[str, str]:
    if not all(re.fullmatch(r"[\w .:/=+@-]{1,128}", key) for key in tags):
        raise ValueError("names of at most 128 letters, digits, spaces and . : / = + @ - _")
    return tags


def _both_or_neither(groups: list[str], info: ValidationInfo) -> list[str]:
    if bool(groups) != bool(info.data.get("subnets", groups)):
        raise ValueError("given together with subnets, or neither of them")
    return groups


NetworkId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9-]+$", max_length=32)]
Subnets = Annotated[list[NetworkId], Field(max_length=16)]
# A field that comes after ``subnets``.
SecurityGroups = Annotated[list[NetworkId], Field(max_length=5), AfterValidator(_both_or_neither)]
Tags = Annotated[dict[str, TagValue], Field(max_length=50), AfterValidator(_named)]


class Aws(SpecModel):
    """``region`` and ``bucket`` are None where nothing on AWS is used; what uses them takes them by interpolation."""

    region: Region | None
    bucket: BucketName | None
    prefix: Prefix
    kms_key: KmsKey | None
    tags: Tags
