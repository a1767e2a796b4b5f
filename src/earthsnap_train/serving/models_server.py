"""A server process of several releases. It begins with none: they are loaded and unloaded over HTTP."""

from pathlib import Path

from earthsnap_train.errors import NotFoundError
from earthsnap_train.serving.server import bind
from earthsnap_train.spec.serving import Serving


def serve_models(root: Path, serving: Serving, *, host: str, port: int, socket: Path | None) -> None:
    """Until SIGTERM or an interrupt. Raises NotFoundError where ``root`` is no folder, ConfigError for a taken address."""
    if not root.is_dir():
        raise NotFoundError("this folder is not there", where="models", allowed="a folder with releases below it")
    listening, address = bind(host, port, socket)
    with listening:
        from earthsnap_train.serving.loaded import Loaded
        from earthsnap_train.serving.models_app import create_models_app
        from earthsnap_train.serving.run import run

        loaded = Loaded(root, serving)
        try:
            run(
                create_models_app(loaded), listening, timeout_s=serving.timeout_s, drain=loaded.drain,
                ready=lambda: print(f"models below {root} are loaded at {address}", flush=True),  # noqa: T201
            )  # fmt: skip
        finally:
            loaded.close()
            if socket is not None:
                socket.unlink(missing_ok=True)
