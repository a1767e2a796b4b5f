"""What a server does with more than it takes: too large, too slow, too much at once, or no HTTP at all."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.hostile import encoded, jpeg, picture
from tests.serving.served import Reply, Served, reply_on, served, until


@pytest.fixture(scope="module")
def server(tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("limits")
    release = tiny("training=head").release()
    with served(release, folder, timeout_s=1.0, max_body_mb=1.0, max_waiting=4, max_waiting_mb=4.0, max_batch=2) as one:
        yield one


POST = ("POST /v1/identify HTTP/1.1", "Host: x", "Content-Type: image/jpeg")


def still_answers(server: Served) -> bool:
    return server.identify(jpeg()).status == 200


# ---- too large


def test_a_body_that_is_said_to_be_too_large_is_refused_before_it_comes(server: Served) -> None:
    with server.say(*POST, "Content-Length: 1048577") as connection:
        reply = reply_on(connection)
    assert (reply.status, reply.code) == (413, "body_too_large")


def test_a_body_of_chunks_is_refused_where_it_gets_too_large(server: Served) -> None:
    with server.say(*POST, "Transfer-Encoding: chunked") as connection:
        for _ in range(17):
            connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        reply = reply_on(connection)
    assert (reply.status, reply.code) == (413, "body_too_large")


def test_a_client_that_sends_all_the_same_reads_why_it_was_refused(server: Served) -> None:
    with server.say(*POST, "Content-Length: 3000000") as connection:
        connection.sendall(bytes(3_000_000))
        assert reply_on(connection).code == "body_too_large"
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")  # and may go on
        assert reply_on(connection).status == 200


def test_a_body_that_never_ends_is_not_read_for_ever(server: Served) -> None:
    with server.say(*POST, "Transfer-Encoding: chunked") as connection:

        def send_for_ever() -> None:
            while True:
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

        with pytest.raises(ConnectionError):
            send_for_ever()
    assert still_answers(server)


def test_headers_that_are_too_long_are_refused(server: Served) -> None:
    with server.say("GET /ping HTTP/1.1", "X-Long: " + "a" * 70_000) as connection:
        assert reply_on(connection).status == 431
    with server.connect() as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\n")
        for number in range(1_000):
            try:
                connection.sendall(b"X-%d: %s\r\n" % (number, b"a" * 100))
            except OSError:
                break
        assert reply_on(connection).status == 431
    assert still_answers(server)


# ---- too slow


def test_a_body_that_comes_too_slowly_is_refused(server: Served) -> None:
    with server.say(*POST, "Content-Length: 1000") as connection:
        connection.sendall(b"\xff\xd8")
        reply = reply_on(connection)
    assert (reply.status, reply.code) == (408, "body_too_slow")


def test_a_connection_that_says_nothing_or_never_ends_its_headers_is_closed(server: Served) -> None:
    with server.connect() as silent, server.connect() as slow:
        slow.sendall(b"GET /ping HTTP/1.1\r\nX: ")
        assert silent.recv(1) == b""
        assert slow.recv(1) == b""


# ---- no HTTP, or with holes


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"\r\n\r\n\0\0\0\0",
        b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999999\r\n\r\n",
        b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_what_is_no_proper_http_gets_a_clear_refusal(server: Served, sent: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        reply = reply_on(connection)
    assert reply.status in (400, 413)
    assert reply.code in ("bad_http", "body_too_large", "body_broken")
    assert still_answers(server)


def test_a_client_that_hangs_up_in_its_body_harms_nobody(server: Served) -> None:
    for _ in range(20):
        with server.say(*POST, "Content-Length: 100000") as connection:
            connection.sendall(bytes(50_000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: server.metric('earthsnap_requests_total{code="499"') >= 20)
    assert still_answers(server)


# ---- too much at once


def slow_photograph() -> bytes:
    """Some tenths of a second to decode."""
    return encoded("WEBP", picture(3_000, 2_000), quality=30)


def test_more_than_may_wait_is_told_when_to_come_back_and_what_waits_too_long_that_it_was_too_late(
    server: Served,
) -> None:
    body = slow_photograph()
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda: replies.append(server.identify(body, "image/webp"))) for _ in range(24)]
    for thread in threads:
        thread.start()
    quick = server.identify(jpeg())
    for thread in threads:
        thread.join()
    assert len(replies) == 24
    refused = [reply for reply in replies if reply.status != 200]  # on a busy machine nothing may be in time
    assert {reply.status for reply in refused} >= {429}
    for reply in refused:
        assert 1 <= int(reply.headers["retry-after"]) <= 60
        assert reply.code == {429: "busy", 503: "too_late"}[reply.status]
    assert quick.status in (200, 429, 503)
    until(lambda: server.metric("earthsnap_waiting_photographs") == 0)
    until(lambda: still_answers(server))


def test_more_bytes_than_may_be_held_are_refused(server: Served) -> None:
    held = [server.say(*POST, "Content-Length: 1000000") for _ in range(4)]
    time.sleep(0.1)  # so that all of them are being read
    with server.say(*POST, "Content-Length: 1000000") as connection:
        reply = reply_on(connection)
    for one in held:
        one.close()
    assert (reply.status, reply.code) == (429, "busy")
    until(lambda: still_answers(server))


def test_a_photograph_that_takes_long_does_not_keep_others_waiting(server: Served) -> None:
    """It is put off, and answered all the same."""
    slow = threading.Thread(target=lambda: server.identify(slow_photograph(), "image/webp"))
    begun = time.monotonic()
    slow.start()
    assert still_answers(server)
    slow.join()
    assert time.monotonic() > begun


def test_work_for_a_client_that_hung_up_is_dropped(tiny: Callable[..., Any], tmp_path: Path) -> None:
    with served(tiny("training=head").release(), tmp_path) as one:
        body = slow_photograph()
        for _ in range(10):
            with one.say(*POST, f"Content-Length: {len(body)}") as connection:
                connection.sendall(body)
        until(lambda: one.metric('earthsnap_requests_total{code="499"') == 10)
        until(lambda: one.metric("earthsnap_waiting_photographs") == 0)
        assert one.metric("earthsnap_answers_total") == 0
        assert json.loads(one.get("/v1/info").body)["memory_mb"] > 0
