"""A server process: opens one release, listens, answers until it is told to end, and then answers what it had begun.

It serves that release for its whole life. An endpoint that starts one gives it a Unix socket, and a lifeline
(``processes.LIFELINE_VARIABLE``): when the endpoint is gone, however it ended, so is the server.
"""

import json
import socket
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from earthsnap_train.errors import ConfigError, EarthsnapError, EnvironmentProblem, NotFoundError
from earthsnap_train.processes import end_with_lifeline, usable_cores
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from earthsnap_train.release.registry import Release
    from earthsnap_train.serving.service import Service

_BACKLOG = 512


class Start(SpecModel):
    """All that a server process needs to know. ``path``: the release's folder. ``journal: null`` keeps nothing.

    ``socket``: a Unix socket, instead of ``host`` and ``port`` (0: any that is free). ``digest``: what the registry
    calls it; null where it is in no registry.
    """

    release: str
    family: str
    digest: str | None
    path: Path
    journal: Path | None
    serving: Serving
    host: str
    port: int
    socket: Path | None

    @property
    def command(self) -> list[str]:
        """Starts this server in a process of its own, without composing a declaration once more."""
        return [sys.executable, "-m", "earthsnap_train.serving.server", self.model_dump_json()]


def start_of(
    release: str,
    *,
    find: "Callable[[str], Release] | None",
    journal: Path | None,
    serving: Serving,
    host: str = "127.0.0.1",
    port: int = 0,
    socket: Path | None = None,
) -> Start:
    """``release``: a name, which ``find`` looks up in a registry where there is one, or a folder that holds a release.

    Raises NotFoundError.
    """
    folder = Path(release).expanduser()
    if (folder / "release.json").is_file():
        described = json.loads((folder / "release.json").read_bytes())
        family = str(described.get("family", folder.resolve().name))
        name = f"{family}-{described['number']}" if "number" in described else family
        digest, path = described.get("digest"), folder.resolve()
    elif "/" in release or find is None:
        raise NotFoundError("no release lies in this folder", where=release, allowed="a folder with release.json")
    else:
        found = find(release)
        name, family, digest, path = found.name, found.family, found.digest, found.path.resolve()
    return Start(
        release=name, family=family, digest=digest, path=path, journal=journal, serving=serving, host=host, port=port,
        socket=socket,
    )  # fmt: skip


def serve(start: Start) -> None:
    """Until SIGTERM or an interrupt. Raises IntegrityError for a release that does not fit together, ConfigError for a
    taken address."""
    end_with_lifeline()
    listening, address = bind(start.host, start.port, start.socket)
    with listening, ThreadPoolExecutor(1) as beside:
        opening: Future[Service] = beside.submit(open_service, start)
        from earthsnap_train.serving.app import create_app  # FastAPI and uvicorn, while models are read
        from earthsnap_train.serving.run import run

        service = opening.result()
        try:
            run(
                create_app(service), listening, timeout_s=start.serving.timeout_s, drain=service.draining.set,
                ready=lambda: print(f"{start.release} answers at {address}", flush=True),  # noqa: T201
            )  # fmt: skip
        finally:
            service.close()
            if start.socket is not None:
                start.socket.unlink(missing_ok=True)


def open_service(start: Start) -> "Service":
    """Raises IntegrityError where a file of the release is not what was registered, or it does not fit together."""
    from earthsnap_train.release.bundle_files import release_digest
    from earthsnap_train.release.load import Opened, load_and_try, open_release
    from earthsnap_train.serving.precision import holds
    from earthsnap_train.serving.runtimes import Precision, runtime
    from earthsnap_train.serving.service import Identity, Service

    settings = start.serving
    streams = settings.workers or usable_cores()

    def opened_in(precision: Precision) -> Opened:
        opened = open_release(
            start.path,
            digest=start.digest,
            max_mb=settings.max_models_mb,
            runtime=runtime(settings.engine, precision, streams=streams),
        )
        load_and_try(opened)
        return opened

    opened = opened_in(settings.precision)
    if opened.engine.models.precision == "bf16" and not holds(opened, start.path):
        print(f"{start.release} does not give its golden answers in {settings.precision}: float32 it is", flush=True)  # noqa: T201
        opened = opened_in("float32")
    if opened.engine.precision == "int8" and not holds(opened, start.path):
        raise EnvironmentProblem(
            f"this processor does not give the golden answers of {start.release}, which computes in 8-bit integers",
            where=f"serving.engine={settings.engine}",
            remedy="another engine or processor, or a release made with backbone.quantization=none",
        )
    digest = start.digest or release_digest(start.path)
    return Service(opened, Identity(release=start.release, digest=digest, family=start.family), settings, start.journal)


def bind(host: str, port: int, unix: Path | None = None) -> tuple[socket.socket, str]:
    """Bound, and not yet listening: who connects too early is refused rather than left waiting."""
    try:
        if unix is not None:
            unix.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listening.bind(str(unix))
            return listening, f"unix:{unix}"
        listening = socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        where = str(unix) if unix is not None else f"{host}:{port}"
        raise ConfigError(
            f"cannot listen at {where}: {error.strerror}",
            where="socket" if unix is not None else "port",
            remedy="port=0 takes any that is free",
        ) from error
    host, port = listening.getsockname()[:2]
    return listening, f"http://{host}:{port}"


def main() -> int:
    try:
        serve(Start.model_validate_json(sys.argv[1]))
    except EarthsnapError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
