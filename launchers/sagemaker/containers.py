"""Processes that stand for the containers of one job: together they begin, and together they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earthsnap_train.processes import LIFELINE_VARIABLE

GRACE_S = 120  # between SIGTERM and SIGKILL, as the service has it
LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Container:
    """``root``: the folder that stands for its /opt/ml, in which it starts."""

    command: Sequence[str]
    root: Path
    log: Path
    environment: Mapping[str, str]


def run_together(containers: Sequence[Container], limit_s: float) -> tuple[Container, int] | None:
    """The first that ended otherwise than well, and its code; None where all did. Nothing is left when this returns.

    As on the service, one that fails ends the others, and all are asked to end when their time is over.
    """
    reading, writing = os.pipe()
    begun: list[subprocess.Popen[bytes]] = []
    try:
        begun += [_begin(one, reading) for one in containers]
        ended = _wait(begun, limit_s)
        codes = [_end(process, GRACE_S) for process in begun]
    except BaseException:
        for process in begun:
            process.send_signal(signal.SIGTERM)
        for process in begun:
            _end(process, GRACE_S)
        raise
    finally:
        os.close(reading)
        os.close(writing)
    if ended is None:  # nobody failed, or their time was over
        ended = next((at for at, code in enumerate(codes) if code), None)
    return None if ended is None else (containers[ended], codes[ended])


def _begin(container: Container, lifeline: int) -> "subprocess.Popen[bytes]":
    command = list(container.command)
    container.log.parent.mkdir(parents=True, exist_ok=True)
    with container.log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, *command[1:]] if command[0] == "python" else command,
            cwd=container.root, stdout=out, stderr=subprocess.STDOUT, pass_fds=(lifeline,),
            env={**container.environment, LIFELINE_VARIABLE: str(lifeline)},
        )  # fmt: skip


def _wait(processes: "Sequence[subprocess.Popen[bytes]]", limit_s: float) -> int | None:
    """Which failed first. Once one has, or their time is over, those that still run have been asked to end."""
    until = time.monotonic() + limit_s
    failed = None
    while None in [process.poll() for process in processes]:
        failed = next((at for at, process in enumerate(processes) if process.returncode), None)
        if failed is not None or time.monotonic() >= until:
            for process in processes:
                process.send_signal(signal.SIGTERM)  # of one that has ended it does nothing
            break
        time.sleep(LOOK_EVERY_S)
    return failed


def _end(process: "subprocess.Popen[bytes]", grace_s: float) -> int:
    try:
        return process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port
