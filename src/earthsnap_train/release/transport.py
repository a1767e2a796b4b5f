"""How the tests in stage reach what they test: a port, and the one that is HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

RELEASE_HEADER = "X-Earthsnap-Release"
REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """``release``: who answered; None where that was not said."""

    status: int
    release: str | None
    json: Mapping[str, Any]


class NoAnswer(Exception):
    """Nothing came back in time, or nothing that can be read."""


class Transport(Protocol):
    """Entered before the first question and left after the last."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def identify(self, body: bytes, content_type: str = "application/octet-stream") -> Reply:
        """Raises NoAnswer."""

    async def info(self) -> Mapping[str, Any]:
        """What the server says of itself. Raises NoAnswer."""


class HttpTransport:
    """``url``: of an endpoint of ours. Every request names the release, so that no other can answer for it."""

    def __init__(self, url: str, release: str) -> None:
        self._url, self._release = url, release
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={RELEASE_HEADER: self._release},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def identify(self, body: bytes, content_type: str = "application/octet-stream") -> Reply:
        return await self._ask("POST", "/v1/identify", data=body, headers={"Content-Type": content_type})

    async def info(self) -> Mapping[str, Any]:
        return (await self._ask("GET", "/v1/info")).json

    async def _ask(self, method: str, path: str, **request: Any) -> Reply:
        try:
            async with self._session.request(method, self._url + path, **request) as response:
                said = await response.json(content_type=None)
                who = response.headers.get(RELEASE_HEADER)
                return Reply(status=response.status, release=who, json=said if isinstance(said, dict) else {})
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}".rstrip(": ")) from error
