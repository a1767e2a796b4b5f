"""What ``conf/infra/`` declares: what a family needs on AWS before anything can run there. Where it lies is in ``aws``."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from earthsnap_train.spec.aws import BucketName, KmsKey, Prefix, Region, Tags
from earthsnap_train.spec.model import SpecModel

AccountId = Annotated[str, Field(pattern=r"^\d{12}$")]
Email = Annotated[str, Field(pattern=r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$", max_length=50)]
Days = Annotated[int, Field(ge=1, le=3650)]
Source = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*$")]


def _is_no_secret(override: str) -> str:
    """Templates and builds show what declares a family to whoever may look at them."""
    from earthsnap_train.spec.validate import secret_keys  # which knows all of a declaration, and so this part of it

    key, _, value = override.partition("=")
    place = key.lstrip("+~").partition("@")[0]
    inside = value.startswith("{") and any(secret.startswith(f"{place}.") for secret in secret_keys())
    if value and value != "null" and (place in secret_keys() or inside):
        raise PydanticCustomError("secret", "a declaration without {place}", {"place": place})
    return override


# One override of the command line; anything that a shell or CloudFormation would read is quoted or refused.
Override = Annotated[
    str, Field(pattern=r"^[\w+~][\w./@+~-]*=[^\s$`\\'\"]*$", max_length=500), AfterValidator(_is_no_secret)
]


class Accounts(SpecModel):
    """All None: everything is in one account, whose credentials are used."""

    shared: AccountId | None
    stage: AccountId | None
    prod: AccountId | None

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        if len({self.shared is None, self.stage is None, self.prod is None}) == 2:
            raise ValueError("all three accounts, or none of them")
        return self


class Repository(SpecModel):
    """A push to ``branch`` builds. ``connection``: of CodeConnections, made once by hand in the console."""

    connection: Annotated[
        str,
        Field(pattern=r"^arn:aws[a-z-]*:(codeconnections|codestar-connections):[a-z0-9-]+:\d{12}:connection/[\w-]+$"),
    ]
    url: Annotated[str, Field(pattern=r"^https://(github\.com|gitlab\.com|bitbucket\.org)/[\w./-]+$", max_length=200)]
    branch: Annotated[str, Field(pattern=r"^[\w./-]+$", max_length=100)]


class Budget(SpecModel):
    """Of the whole shared account. ``email`` is told at 80 % of what was spent and at 100 % of what is foreseen."""

    monthly_usd: Annotated[float, Field(gt=0)]
    email: Email


class Infra(SpecModel):
    """``declaration``: overrides by which builds declare this family. ``sources``: BUCKET or BUCKET/PREFIX of photographs."""

    region: Region | None
    bucket: BucketName | None
    prefix: Prefix
    kms_key: KmsKey | None
    tags: Tags
    accounts: Accounts
    makes_bucket: bool
    sources: Annotated[list[Source], Field(max_length=20)]
    repository: Repository | None
    declaration: list[Override]
    wandb_secret: Annotated[str, Field(pattern=r"^[\w/+=.@-]+$", max_length=512)] | None
    budget: Budget | None
    alarm_email: Email | None
    # The numbers of days that CloudWatch Logs takes.
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 3653]
    captured_days: Days
    noncurrent_days: Days
