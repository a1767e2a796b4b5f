"""Where the console listens."""

import ipaddress
import socket

import uvicorn

from earthsnap_train.console.app import make_app
from earthsnap_train.console.asked import Desk
from earthsnap_train.errors import EnvironmentProblem

MOST_HEADER_BYTES = 32 * 1024


def listen(host: str, port: int) -> socket.socket:
    """``port: 0`` takes any that is free. Raises EnvironmentProblem where it is not to be had."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        remedy = "port=0 takes any that is free"
        raise EnvironmentProblem(
            f"cannot listen at {host}:{port}: {error.strerror}", where="port", remedy=remedy
        ) from error
    return listening


def is_local(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def make_server(desk: Desk) -> uvicorn.Server:
    """Which tells no log what was asked for: a link that signs in would be in it."""
    return uvicorn.Server(
        uvicorn.Config(
            make_app(desk), http="h11", h11_max_incomplete_event_size=MOST_HEADER_BYTES, log_level="warning",
            access_log=False, server_header=False, lifespan="off", limit_concurrency=200, timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
        )
    )  # fmt: skip
