"""A request's body, read within its limits, as the photographs that it holds."""

import asyncio
import binascii
import json
from collections.abc import Mapping
from typing import Final

from starlette.types import Receive

from earthsnap_train.serving.refusal import Refusal

IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/heif", "application/octet-stream")
JSON_TYPE: Final = "application/json"
ATTRIBUTES_HEADER: Final = "x-amzn-sagemaker-custom-attributes"
INFO_ATTRIBUTE: Final = "earthsnap-info"
_MIB: Final = 1 << 20
# Base64 has none of these, so a body that has many is no list of photographs; parsed, it would take many times its size.
_STRUCTURE: Final = (b"[", b"{", b",", b"\\")
_MAX_STRUCTURE: Final = 256


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class Room:
    """Bytes of bodies that may be held at once, in a process."""

    def __init__(self, max_mb: float) -> None:
        self._left = int(max_mb * _MIB)

    def take(self, num_bytes: int) -> bool:
        if num_bytes > self._left:
            return False
        self._left -= num_bytes
        return True

    def give_back(self, num_bytes: int) -> None:
        self._left += num_bytes


class Body:
    """One body while it is in the room; ``with`` gives its place back."""

    def __init__(self, receive: Receive, headers: Mapping[str, str], *, room: Room, max_mb: float) -> None:
        self._receive = receive
        self._declared = headers.get("content-length", "")
        self._room = room
        self._max_mb = max_mb
        self._held = 0

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._held)

    async def read(self, timeout_s: float) -> bytes:
        """Raises Refusal (408, 413, 429) or ClientGone; what is refused is not read on."""
        self._hold(int(self._declared) if self._declared.isdecimal() else 0)
        parts: list[bytes] = []
        num_bytes = 0
        try:
            async with asyncio.timeout(timeout_s):
                more = True
                while more:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        raise ClientGone
                    part: bytes = message.get("body", b"")
                    num_bytes += len(part)
                    self._hold(num_bytes)
                    parts.append(part)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refusal(408, "body_too_slow", f"the body did not arrive within {timeout_s:g} s") from None
        return b"".join(parts)

    def _hold(self, num_bytes: int) -> None:
        if num_bytes > self._max_mb * _MIB:
            raise Refusal(413, "body_too_large", f"at most {self._max_mb:g} MB are taken")
        if num_bytes > self._held:
            if not self._room.take(num_bytes - self._held):
                raise Refusal(429, "busy", "too much is being sent at once", retry_after_s=1)
            self._held = num_bytes


def photographs_of(body: bytes, content_type: str | None, *, max_photographs: int) -> list[bytes]:
    """One photograph as it is, or those of a JSON list in base64. Raises Refusal (400, 415, 422)."""
    kind = (content_type or "application/octet-stream").partition(";")[0].strip().lower()
    if kind in IMAGE_TYPES:
        return [body]
    if kind != JSON_TYPE:
        raise Refusal(415, "unsupported_type", f"{kind[:80]!r} is not taken: {', '.join(IMAGE_TYPES)} or {JSON_TYPE}")
    encoded = _json(body).get("photographs")
    if not isinstance(encoded, list) or not all(isinstance(one, str) for one in encoded):
        raise Refusal(422, "no_photographs", '{"photographs": ["<base64>", ...]} is expected')
    if not 1 <= len(encoded) <= max_photographs:
        raise Refusal(
            422, "too_many_photographs", f"1 to {max_photographs} photographs of one plant, not {len(encoded)}"
        )
    try:
        return [binascii.a2b_base64(one, strict_mode=True) for one in encoded]
    except (binascii.Error, ValueError):
        raise Refusal(422, "bad_base64", "a photograph is not strict base64 (RFC 4648, no line breaks)") from None


def _json(body: bytes) -> dict[str, object]:
    """Raises Refusal where the body is no object, or one that only wants to be large."""
    if sum(body.count(sign) for sign in _STRUCTURE) > _MAX_STRUCTURE:
        raise Refusal(400, "bad_json", "the JSON holds far more than photographs in base64")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "bad_json", "the body is not JSON") from None
    if not isinstance(said, dict):
        raise Refusal(422, "bad_json", "a JSON object is expected")
    return said
