"""``console``: the pages for people, until it is interrupted."""

import getpass
import ipaddress
import os
import socket
from contextlib import suppress
from pathlib import Path

from earthsnap_train.console.app import make_app, make_desk
from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.spec.job import Console
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Console)
    import uvicorn

    listening = _listen(job.host, job.port)
    host, port = listening.getsockname()[:2]
    is_local = ipaddress.ip_address(host).is_loopback
    desk = make_desk(Path(spec.paths.registry), spec.deployment, is_local=is_local)
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    people = console_for_people()
    if is_local:
        token = desk.sessions.link_for(_user())
        people.print(f"console  {address}/sign-in?once={token}", markup=False, soft_wrap=True)
        people.print("         this link signs you in as approver, once, within the hour", markup=False)
    else:
        people.print(f"console  {address}", markup=False)
        people.print(
            "warning: others can reach this, and what they send can be read on its way: put a server with TLS in front\n"
            "         of it. People sign in with tokens: earthsnap user login=anna role=approver",
            markup=False,
        )
    people.print("         Ctrl-C ends it and signs everybody out", markup=False)
    config = uvicorn.Config(
        make_app(desk), log_level="warning", access_log=False, server_header=False, lifespan="off",
        limit_concurrency=200, timeout_keep_alive=5, timeout_graceful_shutdown=5, h11_max_incomplete_event_size=64 * 1024,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # uvicorn ends as it should, and then raises it again
        uvicorn.Server(config).run(sockets=[listening])
    return 0, None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        raise EnvironmentProblem(
            f"{host}:{port} cannot be listened on: {error.strerror}",
            where="port",
            remedy="port=0 takes any that is free",
        ) from error
    return listening


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run as users that have no name
        return f"user {os.getuid()}"
