"""Processes that stand for the containers of one job: together they begin, and together they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from earthsnap_train.processes import LIFELINE_VARIABLE

GRACE_S = 120  # between SIGTERM and SIGKILL, as the service has it
LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Container:
    """``root``: the folder that stands for its /opt/ml, in which it starts."""

    command: Sequence[str]
    root: Path
    log: Path
    environment: Mapping[str, str]


class Ended(NamedTuple):
    """``first``: the container that ended otherwise than well before all others, if one did. ``code``: with what."""

    first: Container
    code: int
    interrupted: bool


def run_together(containers: Sequence[Container], limit_s: float, moment: Callable[[], bool] | None = None) -> Ended:
    """Runs them to their end, their limit, or the ``moment`` at which they are interrupted. Nothing is left after it.

    As on the service, one that fails ends the others, and all are asked to end when their time is over. They end with
    this process too, however that ends.
    """
    reading, writing = os.pipe()
    begun: list[subprocess.Popen[bytes]] = []
    try:
        begun += [_begin(one, reading) for one in containers]
        failed, interrupted = _wait(begun, limit_s, moment)
        codes = [_end(process) for process in begun]
    except BaseException:
        for process in begun:
            process.send_signal(signal.SIGTERM)
        for process in begun:
            _end(process)
        raise
    finally:
        os.close(reading)
        os.close(writing)
    if failed is None:  # their time was over, or nobody failed
        failed = next((at for at, code in enumerate(codes) if code), 0)
    return Ended(containers[failed], codes[failed], interrupted)


def _begin(container: Container, lifeline: int) -> "subprocess.Popen[bytes]":
    command = list(container.command)
    container.log.parent.mkdir(parents=True, exist_ok=True)
    with container.log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, *command[1:]] if command[0] == "python" else command,
            cwd=container.root, stdout=out, stderr=subprocess.STDOUT, pass_fds=(lifeline,),
            env={**container.environment, LIFELINE_VARIABLE: str(lifeline)},
        )  # fmt: skip


def _wait(
    processes: "Sequence[subprocess.Popen[bytes]]", limit_s: float, moment: Callable[[], bool] | None
) -> tuple[int | None, bool]:
    """Which failed first, and whether they were interrupted. Those that still run then have been asked to end."""
    until = time.monotonic() + limit_s
    failed, interrupted = None, False
    while None in [process.poll() for process in processes]:
        failed = next((at for at, process in enumerate(processes) if process.returncode), None)
        interrupted = failed is None and moment is not None and moment()
        if failed is not None or interrupted or time.monotonic() >= until:
            for process in processes:
                process.send_signal(signal.SIGTERM)  # of one that has ended it does nothing
            break
        time.sleep(LOOK_EVERY_S)
    return failed, interrupted


def _end(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port
