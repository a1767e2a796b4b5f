"""The door to AWS: a client of one of its services, and what it refuses in words that a person can act upon."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from earthsnap_train.errors import EnvironmentProblem

_REMEDIES: Mapping[str, str] = {
    "AccessDenied": "whoever runs this needs the right to do that; the role or user is what `aws sts get-caller-identity` says",
    "ExpiredToken": "sign in again; the credentials have run out",
    "NoSuchBucket": "aws.bucket names a bucket that is there, in aws.region",
    "ThrottlingException": "too many requests at once; the same command again, a little later",
}
_SAME = {"AccessDeniedException": "AccessDenied", "ExpiredTokenException": "ExpiredToken", "403": "AccessDenied"}


def client(service: str, *, region: str | None) -> Any:
    """Raises EnvironmentProblem where boto3 is missing. ``region: None``: that of this machine's configuration."""
    try:
        import boto3
    except ImportError as error:
        raise EnvironmentProblem(
            f"AWS ({service}) is reached through boto3, which is not installed",
            where=service,
            remedy='pip install "earthsnap_train[sagemaker]"',
        ) from error
    with in_our_words(service):
        return boto3.client(service, region_name=region)


@contextmanager
def in_our_words(where: str) -> Iterator[None]:
    """botocore's errors, of the service and of the way there, as EnvironmentProblem."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = code_of(error)
        said = error.response.get("Error", {}).get("Message", "")
        raise EnvironmentProblem(
            f"{error.operation_name} was refused: {said or code} ({code})",
            where=where,
            remedy=_REMEDIES.get(_SAME.get(code, code), ""),
        ) from error
    except BotoCoreError as error:
        no_key = type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")
        raise EnvironmentProblem(
            str(error).rstrip("."),
            where=where,
            remedy="sign in to AWS: aws sso login, or AWS_PROFILE, or a role" if no_key else "",
        ) from error


def code_of(error: Exception) -> str:
    """``NoSuchKey``, ``412``, ...; empty where the service gave none."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))
