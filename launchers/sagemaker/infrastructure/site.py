"""Where one family lies on AWS: the names of its things, and their ARNs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.infra import Infra
from launchers.sagemaker.names import PIPELINE, short

Json = dict[str, Any]
Part = Literal["shared", "stage", "prod"]
Principal = Literal[
    "job", "conductor", "build", "rollout", "api", "approval",
    "stage-endpoint", "prod-endpoint", "stage-deploy", "prod-deploy",
]  # fmt: skip

PARTS: tuple[Part, ...] = ("shared", "stage", "prod")
ENDPOINTS: tuple[Part, ...] = ("stage", "prod")
OUR_ACCOUNT = "${AWS::AccountId}"
_ROLE = 64  # characters that IAM takes of a role's name
_KEY = re.compile(r"[0-9a-f-]{36}|mrk-[0-9a-f]{32}|arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[\w-]+")
_STEM = 40  # characters of a family's name that ``short`` leaves in every name that begins with it


@dataclass(frozen=True, kw_only=True)
class Site:
    """``${AWS::...}`` in what it returns is filled in by CloudFormation, where the account is not declared."""

    family: str
    infra: Infra

    def __post_init__(self) -> None:
        """Raises ConfigError where something has no value that everything here needs."""
        for key in ("region", "bucket"):
            if getattr(self.infra, key) is None:
                raise ConfigError("no value was given", where=f"aws.{key}", remedy=f"add aws.{key}=...")
        if self.infra.kms_key is not None and not _KEY.fullmatch(self.infra.kms_key):
            raise ConfigError(
                f"{self.infra.kms_key!r} cannot stand in a policy, which takes no alias",
                where="aws.kms_key",
                allowed="a key's id or its ARN",
                remedy="`aws kms describe-key --key-id ALIAS` tells its ARN",
            )

    # ---- accounts

    def account(self, part: Part) -> str:
        declared: str | None = getattr(self.infra.accounts, part)
        return declared or OUR_ACCOUNT

    def is_apart(self, part: Part) -> bool:
        """Whether a part is in another account than the shared one."""
        return self.account(part) != self.account("shared")

    def arn(self, service: str, resource: str, *, part: Part = "shared") -> str:
        return f"arn:{self.partition}:{service}:{self.infra.region}:{self.account(part)}:{resource}"

    def iam_arn(self, resource: str, *, part: Part = "shared") -> str:
        return f"arn:{self.partition}:iam::{self.account(part)}:{resource}"

    def s3_arn(self, resource: str) -> str:
        return f"arn:{self.partition}:s3:::{resource}"

    @property
    def partition(self) -> str:
        region = str(self.infra.region)
        return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"

    # ---- names

    def name(self, what: str, *, limit: int = PIPELINE) -> str:
        return short(f"{self.family}-{what}", limit)

    def stack(self, part: Part) -> str:
        return self.name(f"infra-{part}")

    @property
    def every_name(self) -> str:
        """A pattern of everything that is named after the family; of a family whose name begins with ``FAMILY-``, too."""
        plain = re.sub(r"[^a-zA-Z0-9]+", "-", self.family).strip("-")
        return f"{plain}-*" if len(plain) <= _STEM else f"{plain[:_STEM]}*"

    @property
    def entry(self) -> str:
        return short(self.family, PIPELINE)

    @property
    def release_group(self) -> str:
        return self.name("release")

    @property
    def repository(self) -> str:
        return self.family

    def role(self, principal: Principal) -> str:
        return self.name(principal, limit=_ROLE)

    def role_arn(self, principal: Principal) -> str:
        part: Part = next((one for one in ENDPOINTS if principal.startswith(f"{one}-")), "shared")
        return self.iam_arn(f"role/{self.role(principal)}", part=part)

    # ---- the bucket and its key

    @property
    def bucket_arn(self) -> str:
        return self.s3_arn(str(self.infra.bucket))

    def objects(self, below: str = "") -> str:
        return f"{self.bucket_arn}/{self.infra.prefix}/{below}*"

    @property
    def key_arn(self) -> str | None:
        key = self.infra.kms_key
        return key if key is None or key.startswith("arn:") else self.arn("kms", f"key/{key}")

    @property
    def image_arn(self) -> str:
        return self.arn("ecr", f"repository/{self.repository}")

    @property
    def registry(self) -> str:
        return f"{self.account('shared')}.dkr.ecr.{self.infra.region}.${{AWS::URLSuffix}}"

    @property
    def images(self) -> str:
        """The repository's address; a tag follows."""
        return f"{self.registry}/{self.repository}"

    @property
    def tags(self) -> Mapping[str, str]:
        """Of the stacks: CloudFormation gives them to everything in them."""
        return {**self.infra.tags, "family": self.family}


def listed(tags: Mapping[str, str]) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
