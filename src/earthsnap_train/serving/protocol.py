"""uvicorn's HTTP protocol with the limits that it lacks: on headers, and on what follows a refused request."""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 32 * 1024


class Protocol(HttpToolsProtocol):
    """Headers come within ``headers_within_s`` and ``MAX_HEADER_BYTES``; ``within`` makes one with other times.

    The rest of a refused body is thrown away for ``linger_s`` at most: a client that still sends would otherwise meet a
    closed connection before it reads why.
    """

    headers_within_s = 10.0
    linger_s = 5.0

    @classmethod
    def within(cls, seconds: float) -> type["Protocol"]:
        return type(cls.__name__, (cls,), {"headers_within_s": seconds, "linger_s": min(seconds, cls.linger_s)})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_headers = True
        self._in_message = False
        self._is_refused = False
        self._num_header_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._wait(self.headers_within_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if self._in_headers:
            self._num_header_bytes += len(data)
            if self._num_header_bytes > MAX_HEADER_BYTES:
                self._refuse_headers()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", "bad_http", "this is not HTTP/1.1 as it is written")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = self._in_message = True
        self._num_header_bytes = 0
        self._wait(self.headers_within_s)

    def on_headers_complete(self) -> None:
        if sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADER_BYTES:
            self._refuse_headers()
            raise ValueError("headers")  # the parser then stops
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

    def _refuse_headers(self) -> None:
        self._refuse(b"431 Request Header Fields Too Large", "headers_too_large", "the headers are too long")

    def _refuse(self, status: bytes, code: str, message: str) -> None:
        """And hears nothing more, but leaves the client time to read it: closed at once, it would meet a reset."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        error = {"error": {"code": code, "message": message, "request_id": None}}
        body = json.dumps(error).encode()
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.write_eof()
        self._wait(self.linger_s)
