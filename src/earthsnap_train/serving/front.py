"""An endpoint of this machine: one process in front of a server process for each release that is wanted."""

import errno
import signal
import socket
import sys
from functools import partial
from pathlib import Path

import uvicorn

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.processes import allow_connections
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from earthsnap_train.serving.front_app import OVER_S, Front
from earthsnap_train.serving.front_command import address
from earthsnap_train.serving.front_place import Place
from earthsnap_train.serving.front_servers import Command
from earthsnap_train.serving.server import start_of
from earthsnap_train.spec.deployment import EndpointName, local
from earthsnap_train.spec.run import RunSpec

# Longer than clients keep idle connections, so that no request meets one that is being closed.
IDLE_CONNECTION_S = 75


def serve_endpoint(
    spec: RunSpec, registry: Registry, family: str, endpoint: EndpointName, *, command: Command | None = None
) -> None:
    """Serves what the registry wants of this endpoint until SIGTERM, which lets it answer what it has begun.

    ``command``: how servers are started; None: by this program. Raises EnvironmentProblem where the endpoint runs already
    or its port is taken.
    """
    on = local(spec.deployment)
    at = on.stage if endpoint == "stage" else on.prod
    # Before anything that has to be removed is there; uvicorn takes its place, and raises it again at the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Place(registry.root.resolve(), family, endpoint).taken(address(at.host, at.port)) as sockets:
        listening = _listen(at.host, at.port, endpoint)
        front = Front(
            family=family,
            endpoint=endpoint,
            wanted=partial(Deployments(registry.ledger).wanted, family, endpoint),
            command=command or partial(_server_command, spec, registry),
            sockets=sockets,
            serving=spec.serving,
            shadow_share=on.prod.canary.shadow_share if endpoint == "prod" else 0.0,
        )
        config = uvicorn.Config(
            front, http="httptools", ws="none", lifespan="on", access_log=False, log_level="warning", date_header=False,
            server_header=False, timeout_keep_alive=IDLE_CONNECTION_S,
            timeout_graceful_shutdown=int(2 * spec.serving.timeout_s + OVER_S),
        )  # fmt: skip
        allow_connections()
        print(f"the endpoint {endpoint} of {family} is at {address(at.host, at.port)}", flush=True)  # noqa: T201
        uvicorn.Server(config).run(sockets=[listening])


def _server_command(spec: RunSpec, registry: Registry, release: str, path: Path) -> list[str]:
    journal = spec.paths.journal_folder
    return start_of(release, find=registry.get, journal=journal, serving=spec.serving, socket=path).command


def _listen(host: str, port: int, endpoint: EndpointName) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(where)
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        raise EnvironmentProblem(
            f"port {port} of {host} is taken" if taken else f"cannot listen on port {port} of {host}: {error.strerror}",
            where=f"deployment.{endpoint}.port",
            remedy="another port; two families on one machine need endpoints at ports of their own",
        ) from error
    return listening
