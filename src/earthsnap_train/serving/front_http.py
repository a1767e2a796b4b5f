"""Questions and answers of an endpoint, straight from and to ASGI: every request passes here."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

RELEASE_HEADER = "X-Earthsnap-Release"
SHADOW_HEADER = "X-Earthsnap-Shadow"
ASKING = ("/invocations", "/v1/identify")
LINGER_S = 2.0

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What belongs to one connection, and what is set anew here.
_OF_THE_CONNECTION = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
        "upgrade", "expect", "host", "content-length", "date", "server", RELEASE_HEADER.lower(), SHADOW_HEADER.lower(),
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Question:
    """One whole request. ``pinned``: the release that it names."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    pinned: str | None

    @property
    def is_about_photographs(self) -> bool:
        return self.method == "POST" and self.target.partition("?")[0] in ASKING

    @property
    def is_feedback(self) -> bool:
        return self.method == "POST" and self.target == "/v1/feedback"

    @property
    def answered_by(self) -> str | None:
        """The release whose answer the feedback is about; its name begins the request id."""
        try:
            return str(json.loads(self.body)["request_id"]).rpartition(".")[0]
        except (ValueError, LookupError, TypeError):
            return None

    @property
    def unseen(self) -> "Question":
        """The same, as nobody waits for the answer to it."""
        return replace(self, headers={**self.headers, SHADOW_HEADER: "1"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``seconds``: how long it took. ``lost``: the server went away, and nobody knows what it would have said."""

    status: int
    headers: Iterable[tuple[str, str]]
    body: bytes
    release: str | None = None
    seconds: float = 0.0
    lost: bool = False

    @property
    def ok(self) -> bool:
        return self.status < 400

    @property
    def is_refusal(self) -> bool:
        """Of the photograph, or of too many."""
        return 400 <= self.status < 500

    @property
    def is_failure(self) -> bool:
        return self.status >= 500 or self.status == 429

    @cached_property
    def _said(self) -> Any:
        try:
            return json.loads(self.body) if self.ok else {}
        except ValueError:
            return {}

    @property
    def is_unsure(self) -> bool:
        return isinstance(self._said, dict) and self._said.get("reason", "certain") != "certain"

    @property
    def species(self) -> str | None:
        """The one named first, however sure the answer is."""
        try:
            return str(self._said["species"][0]["species_id"])
        except (LookupError, TypeError):
            return None


@dataclass(kw_only=True)
class Room:
    """For the bodies of all requests at once; whoever takes some gives it back."""

    left_bytes: int


class Refused(Exception):
    """The request is answered by the endpoint itself, before any server saw it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def problem(status: int, code: str, message: str, *, retry_after_s: int | None = None, seconds: float = 0.0) -> Answer:
    said = {"error": {"code": code, "message": message, "request_id": f"endpoint.{secrets.token_hex(8)}"}}
    headers = [("content-type", "application/json")]
    if retry_after_s is not None:
        headers.append(("retry-after", str(retry_after_s)))
    return Answer(status=status, headers=headers, body=json.dumps(said).encode(), seconds=seconds)


async def read_question(
    scope: Scope, receive: Receive, *, max_bytes: int, within_s: float, room: Room
) -> Question | None:
    """None where the client went away. Raises Refused where the body is too large or too slow, or there is no room for it.

    A body that was read has taken its room.
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1")
        headers[key] = f"{headers[key]}, {value.decode('latin-1')}" if key in headers else value.decode("latin-1")
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > max_bytes:
        raise Refused(_too_large(max_bytes))
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(within_s):
            whole = await _receive_all(receive, parts, max_bytes, room)
    except TimeoutError:
        _give_back(room, parts)
        slow = problem(408, "body_too_slow", f"the body did not arrive within {within_s:g} s")
        raise Refused(slow) from None
    except BaseException:
        _give_back(room, parts)
        raise
    if not whole:
        _give_back(room, parts)
        return None
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("latin-1")
    return Question(
        method=scope["method"],
        target=f"{path}?{query}" if query else path,
        headers={name: value for name, value in headers.items() if name not in _OF_THE_CONNECTION},
        body=parts[0] if len(parts) == 1 else b"".join(parts),
        pinned=headers.get(RELEASE_HEADER.lower()),
    )


async def _receive_all(receive: Receive, parts: list[bytes], max_bytes: int, room: Room) -> bool:
    """False where the client went away. Each part has taken its room."""
    num_bytes = 0
    while (message := await receive())["type"] != "http.disconnect":
        part = message.get("body", b"")
        parts.append(part)
        num_bytes += len(part)
        room.left_bytes -= len(part)
        if num_bytes > max_bytes:
            raise Refused(_too_large(max_bytes))
        if room.left_bytes < 0:
            raise Refused(problem(429, "too_many_waiting", "too many photographs are waiting here", retry_after_s=1))
        if not message.get("more_body", False):
            return True
    return False


def _give_back(room: Room, parts: Iterable[bytes]) -> None:
    room.left_bytes += sum(map(len, parts))


def _too_large(max_bytes: int) -> Answer:
    return problem(413, "body_too_large", f"a body has at most {max_bytes / 1e6:g} MB")


async def send_answer(send: Send, answer: Answer, *, close: bool = False) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers
        if name.lower() not in _OF_THE_CONNECTION
    ]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    if answer.release is not None:
        headers.append((RELEASE_HEADER.lower().encode(), answer.release.encode("latin-1")))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": close})


async def send_refusal(receive: Receive, send: Send, answer: Answer) -> None:
    """Answers while the client is still sending, and reads on for a moment: it would not see the answer on a reset."""
    await send_answer(send, answer, close=True)
    try:
        async with asyncio.timeout(LINGER_S):
            while (message := await receive())["type"] != "http.disconnect" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
