"""What an account has of what a launcher declares: who asks, bucket, key, roles, images, and limits on machines.

Nothing is made or changed. What may not be looked at is said, and is no fault.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from earthsnap_train.errors import EarthsnapError, EnvironmentProblem
from earthsnap_train.spec.launcher import Machine, SageMaker, TrainingMachine
from launchers.sagemaker.clients import REFUSED, client, code_of

if TYPE_CHECKING:
    from launchers.sagemaker.definition import Compiled

TRUSTED = "sagemaker.amazonaws.com"
ABSENT = ("404", "NoSuchBucket", "NoSuchEntity", "RepositoryNotFoundException", "ImageNotFoundException",
          "NotFoundException")  # fmt: skip
OF_AWS = ("bucket", "kms_key")  # what conf/aws/ declares; the rest is the launcher's own


@dataclass(frozen=True, kw_only=True)
class Seen:
    """``is_there`` None: it could not be looked at."""

    name: str
    is_there: bool | None
    found: str
    remedy: str = ""


def preflight(settings: SageMaker, compiled: "Callable[[], Compiled]") -> Iterator[Seen]:
    """``compiled``: makes what a plan would run, which decides on limits. Raises EnvironmentProblem where boto3 is missing."""
    who = _seen("identity", "sts:GetCallerIdentity", lambda: _identity(settings))
    yield who
    if who.is_there is not True:
        return
    yield _seen("bucket", "s3:ListBucket", lambda: _bucket(settings))
    if (key := settings.kms_key) is not None:
        yield _seen("kms_key", "kms:DescribeKey", lambda: _kms_key(key, settings.region))
    for name in ("role", "entry_role")[: 1 if settings.entry_role in (None, settings.role) else 2]:
        yield _seen(name, "iam:GetRole", partial(_role, name, settings))
    for name in ("image", "light_image")[: 1 if settings.light_image is None else 2]:
        yield _seen(name, "ecr:DescribeImages", partial(_image, name, settings))
    try:
        wanted = uses(compiled(), settings)
    except EarthsnapError as error:
        found = f"there is no plan to hold them against: {error.what}"
        yield Seen(name="quotas", is_there=None, found=found, remedy=error.remedy)
        return
    try:
        quotas = quotas_of(client("service-quotas", region=settings.region))
    except Exception as error:
        yield told("quotas", "servicequotas:ListServiceQuotas", error)
        return
    for use, most_wanted in sorted(wanted.items()):
        yield quota(use, quotas.get(use), most_wanted)


def _seen(name: str, permission: str, look: Callable[[], Seen]) -> Seen:
    try:
        return look()
    except EnvironmentProblem:
        raise
    except Exception as error:  # whatever botocore raises
        return told(name, permission, error)


def told(name: str, permission: str, error: Exception) -> Seen:
    """What an error says of what was looked at."""
    code = code_of(error)
    if code in ABSENT:
        return Seen(
            name=name,
            is_there=False,
            found="absent",
            remedy=f"{'aws' if name in OF_AWS else 'launcher'}.{name} names another",
        )
    if code in REFUSED:
        return Seen(name=name, is_there=None, found="may not be looked at", remedy=f"{permission} would allow it")
    unknown = type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")
    remedy = "sign in (aws sso login, or AWS_PROFILE)" if unknown or name == "identity" else ""
    return Seen(name=name, is_there=False if name == "identity" else None, found=str(error), remedy=remedy)


def _identity(settings: SageMaker) -> Seen:
    who = client("sts", region=settings.region).get_caller_identity()
    return Seen(name="identity", is_there=True, found=f"{who['Arn']} in {settings.region}")


def _bucket(settings: SageMaker) -> Seen:
    answer = client("s3", region=settings.region).head_bucket(Bucket=settings.bucket)
    region = answer.get("BucketRegion", settings.region)
    is_right = region == settings.region
    remedy = "" if is_right else f"aws.region={region}, or a bucket of {settings.region}"
    return Seen(name="bucket", is_there=is_right, found=f"{settings.bucket} in {region}", remedy=remedy)


def _kms_key(key: str, region: str) -> Seen:
    state = client("kms", region=region).describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    is_enabled = state == "Enabled"
    remedy = "" if is_enabled else "enable it, or aws.kms_key names another"
    return Seen(name="kms_key", is_there=is_enabled, found=f"{key}: {state.lower()}", remedy=remedy)


def _role(name: str, settings: SageMaker) -> Seen:
    """``name``: which of the launcher's roles; so of its images."""
    role = str(getattr(settings, name)).rpartition("/")[2]
    trust = str(client("iam", region=settings.region).get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])
    is_trusted = TRUSTED in trust
    remedy = "" if is_trusted else f"its trust policy has to name {TRUSTED}"
    return Seen(name=name, is_there=is_trusted, found=role, remedy=remedy)


def _image(name: str, settings: SageMaker) -> Seen:
    image = str(getattr(settings, name))
    parts = re.fullmatch(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?::([^@]+))?(?:@(.+))?",
                         image)  # fmt: skip
    if parts is None:
        return Seen(name=name, is_there=None, found=f"{image} is in no registry that can be asked")
    account, region, repository, tag, digest = parts.groups()
    wanted = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    ecr = client("ecr", region=region)
    images = ecr.describe_images(registryId=account, repositoryName=repository, imageIds=[wanted])["imageDetails"]
    return Seen(name=name, is_there=True, found=f"{image} of {images[0]['imagePushedAt']:%Y-%m-%d}")


# ---- limits


def uses(compiled: "Compiled", settings: SageMaker) -> dict[str, int]:
    """A quota's name -> how many machines may be wanted of it at once: those of the largest job, or as many as are allowed."""
    wanted: dict[str, int] = {}

    def want(machine: Machine, num_machines: int) -> None:
        sort = "processing"
        if isinstance(machine, TrainingMachine):
            sort = "spot training" if machine.spot else "training"
        name = f"{machine.instance_type} for {sort} job usage"
        num_machines = settings.max_instances.get(machine.instance_type, num_machines)
        wanted[name] = max(num_machines, wanted.get(name, 0))

    want(settings.entry, 1)
    for pipeline in compiled.pipelines:
        for job in pipeline.jobs:
            machine = compiled.machines[pipeline.name, job.name]
            want(machine, compiled.uses[pipeline.name, job.name][machine.instance_type])
            if job.on == "tuning":  # small jobs around its trials
                want(settings.processing, 1)
    return wanted


def quotas_of(service_quotas: Any) -> dict[str, float]:
    """Of a client: the name of each of SageMaker's -> how much is allowed."""
    pages = service_quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
    listed: list[dict[str, Any]] = [one for page in pages for one in page["Quotas"]]
    return {one["QuotaName"]: one["Value"] for one in listed}


def quota(use: str, allowed: float | None, wanted: int) -> Seen:
    if allowed is None:
        return Seen(name="quota", is_there=None, found=f"{use}: not listed")
    enough = allowed >= wanted
    remedy = "" if enough else f"ask for {wanted} under Service Quotas, or declare another instance type"
    return Seen(name="quota", is_there=enough, found=f"{use}: {allowed:g}", remedy=remedy)
