"""The port to what AWS is asked: one call by the names that botocore gives it, and one invocation of an endpoint.

Requests and answers are botocore's, so that a stand-in can be held against botocore's own model of them.
"""

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from earthsnap_train.errors import EnvironmentProblem
from launchers.sagemaker.clients import client, in_our_words, require_boto3

MAX_INVOCATIONS = 64  # at once
# A retry would hide what users meet; and whoever measures latency waits for one answer.
ONCE: Mapping[str, Any] = {
    "retries": {"total_max_attempts": 1},
    "read_timeout": 65,  # SageMaker itself gives up after 60
    "max_pool_connections": MAX_INVOCATIONS,
}
_SORTED = ("ValidationException", "ResourceNotFound", "ResourceNotFoundException", "ResourceInUse", "404")
_ABSENT = ("could not find", "does not exist", "not found")
_EXISTS = ("already exist",)
_ONE_AT_A_TIME = threading.Lock()  # clients may be shared by threads; making one may not
_BUSY = ("in-progress", "in progress", "cannot update", "being updated")


class Refused(EnvironmentProblem):
    """AWS did not do what it was asked."""


class Absent(Refused):
    """What was asked about is not there."""


class Exists(Refused):
    """There is one of that name already."""


class Busy(Refused):
    """It is being changed just now, so that it cannot be changed again."""


class Aws(Protocol):
    def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        """``call("sagemaker", "describe_endpoint", EndpointName="x")``.

        Raises Absent, Exists, Busy or Refused, with what the service said.
        """

    def invoke(
        self, endpoint: str, body: bytes, *, content_type: str, attributes: str | None = None
    ) -> tuple[int, bytes]:
        """(status, body) as the container gave them, or the service in its place; status 0 where nothing came back."""


class Boto:
    """AWS itself. Raises EnvironmentProblem where boto3 is missing."""

    def __init__(self, region: str) -> None:
        require_boto3()
        from botocore.exceptions import BotoCoreError, ClientError

        self._region = region
        self._clients: dict[str, Any] = {}
        self._refused, self._failed = ClientError, BotoCoreError

    def client(self, service: str) -> Any:
        with _ONE_AT_A_TIME:
            if service not in self._clients:
                own = ONCE if service == "sagemaker-runtime" else {}
                self._clients[service] = client(service, region=self._region, **own)
            return self._clients[service]

    def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        try:
            with in_our_words(f"AWS {service}"):
                answer: Mapping[str, Any] = getattr(self.client(service), operation)(**request)
        except EnvironmentProblem as error:
            if not isinstance(error.__cause__, self._refused):
                raise
            kind = _kind(error.__cause__)
            raise kind(error.what, where=error.where, remedy=error.remedy) from error.__cause__
        return answer

    def invoke(
        self, endpoint: str, body: bytes, *, content_type: str, attributes: str | None = None
    ) -> tuple[int, bytes]:
        about = {"CustomAttributes": attributes} if attributes is not None else {}
        try:
            answer = self.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType=content_type, **about
            )
            return 200, answer["Body"].read()
        except self._refused as error:
            said: dict[str, Any] = getattr(error, "response", {})
            if "OriginalStatusCode" in said:  # a ModelError: the container's own answer
                return int(said["OriginalStatusCode"]), str(said.get("OriginalMessage", "")).encode()
            return int(said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)), b""
        except self._failed:
            return 0, b""


def _kind(error: BaseException | None) -> type[Refused]:
    """What botocore's ClientError says, sorted by what can be done about it."""
    said: Mapping[str, Any] = getattr(error, "response", {}).get("Error", {})
    if said.get("Code") in _SORTED:
        lower = str(said.get("Message", "")).lower()
        for kind, words in ((Exists, _EXISTS), (Busy, _BUSY), (Absent, _ABSENT)):
            if any(word in lower for word in words):
                return kind
    return Refused
