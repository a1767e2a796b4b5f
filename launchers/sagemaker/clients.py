"""The door to AWS: clients of its services, all with a region, patience and limits of time; and its errors in our words."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from earthsnap_train.errors import EnvironmentProblem

CONNECT_S = 10
READ_S = 60
MOST_ATTEMPTS = 8  # of one request that is throttled or finds the service failing
INSTALL = 'pip install "earthsnap_train[sagemaker]"'
SIGN_IN = "sign in to AWS: aws sso login, or AWS_PROFILE, or a role"
REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden")
UNKNOWN_KEYS = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
                "InvalidAccessKeyId", "SignatureDoesNotMatch")  # fmt: skip
REMEDIES: Mapping[str, str] = {
    "NoSuchBucket": "aws.bucket names a bucket that is there, in aws.region",
    "ResourceLimitExceeded": "ask AWS for a higher quota, or declare other instances",
    "ThrottlingException": "too many requests at once; the same command again, a little later",
}


def client(name: str, *, region: str | None, **other: Any) -> Any:
    """Raises EnvironmentProblem where boto3 is missing. ``region`` None: as the environment has it.

    ``other``: settings of botocore's Config in place of those that all clients have.
    """
    require_boto3()
    import boto3
    from botocore.config import Config

    usual = {
        "connect_timeout": CONNECT_S, "read_timeout": READ_S,
        "retries": {"mode": "adaptive", "max_attempts": MOST_ATTEMPTS},
    }  # fmt: skip
    config = Config(region_name=region, **{**usual, **other})
    with in_our_words(name):
        return boto3.client(name, config=config)


def require_boto3() -> None:
    try:
        import boto3  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(
            "SageMaker needs boto3, which is not installed", where="launcher=sagemaker", remedy=INSTALL
        ) from error


def code_of(error: Exception) -> str:
    """``NoSuchKey``, ``412``, ...; empty where the service gave none, or it is no such error."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def is_absent(error: Exception) -> bool:
    """Whether SageMaker says that there is no such thing: a ResourceNotFound or, of some things, a failed validation."""
    absent = re.search(r"(does|do) not exist|not found|(cannot|could not) find", str(error), re.IGNORECASE)
    return "NotFound" in code_of(error) or (code_of(error).startswith("Validation") and absent is not None)


@contextmanager
def in_our_words(where: str = "") -> Iterator[None]:
    """botocore's errors, of the service and of the way there, as EnvironmentProblem. ``where``: empty for the operation."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code, operation = code_of(error), error.operation_name
        said = error.response.get("Error", {}).get("Message", "")
        raise EnvironmentProblem(
            f"{operation} was refused: {said or code} ({code})",
            where=where or operation,
            remedy=_remedy(code, operation),
        ) from error
    except BotoCoreError as error:
        no_key = type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")
        raise EnvironmentProblem(
            str(error).rstrip("."),
            where=where or "AWS",
            remedy=SIGN_IN if no_key else "look at the network and at aws.region, then run it again",
        ) from error


def _remedy(code: str, operation: str) -> str:
    if code in REFUSED:
        return f"the role or user that runs this needs the permission for {operation}"
    if code in UNKNOWN_KEYS:
        return SIGN_IN
    return REMEDIES.get(code, "the same command goes on from here once that is mended")
