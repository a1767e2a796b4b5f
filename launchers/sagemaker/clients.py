"""Clients of AWS's services, all with a region, patience and limits of time; and their errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from earthsnap_train.errors import EarthsnapError, EnvironmentProblem

CONNECT_S = 10
READ_S = 60
MOST_ATTEMPTS = 8  # of one request that is throttled or finds the service failing
INSTALL = 'pip install "earthsnap_train[sagemaker]"'
REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden")
UNKNOWN_KEYS = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
                "InvalidAccessKeyId", "SignatureDoesNotMatch")  # fmt: skip


def client(name: str, *, region: str | None) -> Any:
    """Raises EnvironmentProblem where boto3 is missing. ``region`` None: as the environment has it."""
    require_boto3()
    import boto3
    from botocore.config import Config

    retries = {"mode": "adaptive", "max_attempts": MOST_ATTEMPTS}
    config = Config(region_name=region, connect_timeout=CONNECT_S, read_timeout=READ_S, retries=retries)
    return boto3.client(name, config=config)


def require_boto3() -> None:
    try:
        import boto3  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(
            "SageMaker needs boto3, which is not installed", where="launcher=sagemaker", remedy=INSTALL
        ) from error


def code_of(error: Exception) -> str:
    """Of what a service refused; empty where it is no such error."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def in_our_words() -> Iterator[None]:
    """Raises EnvironmentProblem for what botocore raises."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _told(error) from error


def _told(error: Exception) -> EarthsnapError:
    code = code_of(error)
    operation = str(getattr(error, "operation_name", "") or "AWS")
    said = str(getattr(error, "response", {}).get("Error", {}).get("Message", "") or error)
    if code in REFUSED:
        return EnvironmentProblem(
            f"this is not allowed: {said}",
            where=operation,
            remedy=f"the role or user that runs this needs the permission for {operation}",
        )
    if code in UNKNOWN_KEYS or type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return EnvironmentProblem(
            f"AWS does not know who asks: {said}",
            where=operation,
            remedy="sign in again (aws sso login, or AWS_PROFILE)",
        )
    if not code:
        return EnvironmentProblem(said, where="AWS", remedy="look at the network and at aws.region, then run it again")
    return EnvironmentProblem(
        f"{code}: {said}", where=operation, remedy="the same command goes on from here once that is mended"
    )
