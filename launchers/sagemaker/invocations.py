"""The tests in stage over InvokeEndpoint: the same questions, signed, by whoever may ask the endpoint.

There is one route on the other side. A server says of itself there what ``/v1/info`` says, asked by an attribute.
"""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from earthsnap_train.release.transport import NoAnswer, Reply
from earthsnap_train.serving.body import INFO_ATTRIBUTE
from launchers.sagemaker.aws import MAX_INVOCATIONS, Aws


class InvokeTransport:
    """The port ``release.transport.Transport``. boto3 blocks, so that each question under way takes a thread."""

    def __init__(self, aws: Aws, endpoint: str) -> None:
        self._aws, self._endpoint = aws, endpoint
        self._pool: ThreadPoolExecutor

    async def __aenter__(self) -> Self:
        self._pool = ThreadPoolExecutor(MAX_INVOCATIONS, thread_name_prefix="invocation")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def identify(self, body: bytes, content_type: str = "application/octet-stream") -> Reply:
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, ask, self._aws, self._endpoint, body, content_type
        )

    async def info(self) -> Mapping[str, Any]:
        reply = await asyncio.get_running_loop().run_in_executor(
            self._pool, ask, self._aws, self._endpoint, b"{}", "application/json", INFO_ATTRIBUTE
        )
        return reply.json


def ask(aws: Aws, endpoint: str, body: bytes, content_type: str, attributes: str | None = None) -> Reply:
    """Who answered stands in the answer, for the service hands on no header of ours. Raises NoAnswer."""
    status, content = aws.invoke(endpoint, body, content_type=content_type, attributes=attributes)
    if status == 0:
        raise NoAnswer("the connection broke, or took too long")
    try:
        said = json.loads(content)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    return Reply(status=status, release=said.get("release"), json=said)
