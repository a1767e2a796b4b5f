"""What an account has of what a launcher declares: who asks, bucket, role, image, and limits on machines.

Nothing is made or changed. What may not be looked at is said, and is no fault.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.clients import REFUSED, client, code_of

TRUSTED = "sagemaker.amazonaws.com"
ABSENT = ("404", "NoSuchBucket", "NoSuchEntity", "RepositoryNotFoundException", "ImageNotFoundException")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """``is_there`` None: it could not be looked at."""

    name: str
    is_there: bool | None
    found: str
    remedy: str = ""


def preflight(settings: SageMaker) -> Iterator[Seen]:
    """Raises EnvironmentProblem where boto3 is missing."""
    who = _seen("identity", "sts:GetCallerIdentity", lambda: _identity(settings))
    yield who
    if who.is_there is not True:
        return
    yield _seen("bucket", "s3:ListBucket", lambda: _bucket(settings))
    yield _seen("role", "iam:GetRole", lambda: _role(settings))
    yield _seen("image", "ecr:DescribeImages", lambda: _image(settings))
    try:
        quotas = quotas_of(client("service-quotas", region=settings.region))
    except Exception as error:
        yield told("quotas", "servicequotas:ListServiceQuotas", error)
        return
    for use, most_wanted in sorted(uses(settings).items()):
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
        return Seen(name=name, is_there=False, found="absent", remedy=f"launcher.{name} or aws.{name} names another")
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


def _role(settings: SageMaker) -> Seen:
    name = settings.role.rpartition("/")[2]
    trust = str(client("iam", region=settings.region).get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
    is_trusted = TRUSTED in trust
    remedy = "" if is_trusted else f"its trust policy has to name {TRUSTED}"
    return Seen(name="role", is_there=is_trusted, found=name, remedy=remedy)


def _image(settings: SageMaker) -> Seen:
    parts = re.fullmatch(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?::([^@]+))?(?:@(.+))?",
                         settings.image)  # fmt: skip
    if parts is None:
        return Seen(name="image", is_there=None, found=f"{settings.image} is in no registry that can be asked")
    account, region, repository, tag, digest = parts.groups()
    wanted = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    ecr = client("ecr", region=region)
    images = ecr.describe_images(registryId=account, repositoryName=repository, imageIds=[wanted])["imageDetails"]
    return Seen(name="image", is_there=True, found=f"{settings.image} of {images[0]['imagePushedAt']:%Y-%m-%d}")


# ---- limits


def uses(settings: SageMaker) -> dict[str, int]:
    """A quota's name -> how many machines the launcher may want of it at once, as far as that is declared."""
    training, processing = settings.training, settings.processing
    wanted: dict[str, int] = {}

    def want(instance_type: str, kind: str) -> None:
        name = f"{instance_type} for {kind} job usage"
        wanted[name] = settings.max_instances.get(instance_type, 1)

    spots = {training.spot, *(bool(own["spot"]) for own in _overrides(settings) if "spot" in own)}
    types = {training.instance_type, processing.instance_type}
    types |= {str(own["instance_type"]) for own in _overrides(settings) if "instance_type" in own}
    want(processing.instance_type, "processing")
    want(settings.entry.instance_type, "processing")
    for instance_type in types - {processing.instance_type}:
        for spot in spots:
            want(instance_type, "spot training" if spot else "training")
    return wanted


def _overrides(settings: SageMaker) -> list[dict[str, object]]:
    return [*settings.kinds.values(), *settings.nodes.values()]


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
