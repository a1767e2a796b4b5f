"""What the image starts: ``python -m launchers.sagemaker.entry train|processing|serve``, or anything of our command line.

It is process 1 of its container, where the system passes a signal on only to who asked for it. So it starts the program
that is meant in a process of its own, tells it to end when it is told, and leaves with its exit code.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from earthsnap_train.errors import ConfigError, EarthsnapError
from launchers.sagemaker import places

NOBODY = 10001  # who answers requests: it owns nothing and needs no name
SERVED = "serving."  # overrides that whoever makes a model may give


@dataclass(frozen=True, kw_only=True)
class Program:
    """``reads``: a folder; the program runs as nobody in particular where anyone may read it, else as who started this."""

    command: list[str]
    reads: Path | None


def program(arguments: list[str], environment: Mapping[str, str]) -> Program:
    """Raises ConfigError for overrides in the environment that are no business of a server."""
    match arguments:
        case ["train"]:
            return Program(command=_python("launchers.sagemaker.job", "training"), reads=None)
        case ["processing"]:
            return Program(command=_python("launchers.sagemaker.job", "processing"), reads=None)
        case ["serve"]:
            return _serve(environment)
    return Program(command=_python("earthsnap_train", *arguments), reads=None)


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _serve(environment: Mapping[str, str]) -> Program:
    """One release with its whole family, or whatever the service loads where its endpoint holds many models."""
    root = Path(environment.get(places.ROOT_VARIABLE, places.ROOT))
    many = environment.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true"
    overrides = environment.get(places.SERVING_VARIABLE, "").split()
    for one in overrides:
        if not one.startswith(SERVED):
            raise ConfigError(
                f"{one!r} is not for a server", where=places.SERVING_VARIABLE, allowed="overrides of serving.*"
            )
    folder = root / ("models" if many else "model")
    command = _python(
        "earthsnap_train",
        "serve",
        f"models={folder}" if many else f"release={folder}",
        "host=0.0.0.0",
        f"port={environment.get('SAGEMAKER_BIND_TO_PORT', '8080')}",
        "serving=sagemaker",
        "paths.journal=null",
        *overrides,
    )
    return Program(command=command, reads=folder)


def anyone_reads(folder: Path) -> bool:
    return all(
        path.stat().st_mode & needed == needed
        for path in (folder, *folder.rglob("*"))
        for needed in (0o005 if path.is_dir() else 0o004,)
    )


def run(started: Program) -> int:
    """Its exit code, as a shell would say it: 143 where SIGTERM ended it."""
    rules = os.geteuid() == 0 and os.getpid() == 1  # in a container of its own; elsewhere it is a person's program
    is_open = started.reads is not None and started.reads.is_dir() and anyone_reads(started.reads)
    if rules and started.reads is not None and not is_open:
        print(f"{started.reads} can be read by root alone, so root answers", flush=True)  # noqa: T201
    changed = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if rules and is_open else {}
    told: list[int] = []
    process: list[subprocess.Popen[bytes]] = []

    def tell(number: int, frame: FrameType | None) -> None:
        told.append(number)
        for one in process:
            one.send_signal(number)

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, tell)
    process.append(subprocess.Popen(started.command, **changed))  # type: ignore[call-overload]
    for number in told:  # before there was anybody to tell
        process[0].send_signal(number)
    code = process[0].wait()
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    try:
        return run(program(arguments, os.environ))
    except EarthsnapError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
