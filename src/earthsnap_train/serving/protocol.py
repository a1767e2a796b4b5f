"""uvicorn's HTTP protocol with the limits that it lacks: on headers, and on what follows a refused request."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 32 * 1024


class Protocol(HttpToolsProtocol):
    """Headers come within ``headers_within_s`` and ``MAX_HEADER_BYTES``.

    The rest of a refused body is thrown away for ``linger_s`` at most: a client that still sends would otherwise meet a
    closed connection before it reads why.
    """

    headers_within_s = 10.0
    linger_s = 5.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_headers = True
        self._in_message = False
        self._num_header_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._wait(self.headers_within_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._num_header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._num_header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large", "headers_too_large", "the headers are too long")

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse(b"400 Bad Request", "bad_http", "this is not HTTP/1.1 as it is written")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = self._in_message = True
        self._num_header_bytes = 0
        self._wait(self.headers_within_s)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._be_patient()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
        self._be_patient()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message:
            self._wait(self.linger_s)

    def _wait(self, seconds: float) -> None:
        self._be_patient()
        self._patience = self.loop.call_later(seconds, self.transport.close)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, status: bytes, code: str, message: str) -> None:
        error: dict[str, Any] = {"error": {"code": code, "message": message, "request_id": None}}
        body = json.dumps(error).encode()
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
