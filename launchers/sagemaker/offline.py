"""``launcher.execute``: this machine in the service's place. Executions are processes here, S3 is a folder.

::

    pipelines/<name>.json                 definitions
    executions/<pipeline>/<id>/           one execution: execution.json (what was asked for), state.json (how far it is),
                                          logs/<step>.log, ml/ (what stands for /opt/ml)

``python -m launchers.sagemaker.offline EXECUTION S3`` runs one; whoever asks later reads its files.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from earthsnap_train.errors import EarthsnapError, StageError
from earthsnap_train.pipeline.store import write_atomically
from earthsnap_train.processes import LIFELINE_VARIABLE, end_with_lifeline
from launchers.sagemaker.execution import Execution
from launchers.sagemaker.faults import Faults
from launchers.sagemaker.service import Progress, Step

WRITES_WITHIN_S = 60.0  # a process that has begun, until it says so


class OfflineService:
    """``root``: where all of it lies. ``outlives``: executions go on when this process has ended, as the service's do.

    ``in_containers``: jobs are containers of their images, not processes. ``faults``: by pipeline, what is to go wrong.
    """

    look_every_s = 0.2

    def __init__(
        self, root: Path, *, s3: Path, outlives: bool = False, at_once: int | None = 1, in_containers: bool = False,
        faults: Mapping[str, Faults] | None = None,
    ) -> None:  # fmt: skip
        self.root, self.s3 = root.resolve(), s3.resolve()
        self.outlives, self.at_once = outlives, at_once
        self.in_containers, self.faults = in_containers, faults or {}
        self._lifelines: list[int] = []  # their writing ends close with this process, in whatever way it ends

    # ---- pipelines

    def definition(self, pipeline: str) -> str | None:
        place = self._pipeline(pipeline)
        return place.read_text() if place.is_file() else None

    def put(self, pipeline: str, definition: str, *, role: str) -> None:
        self._pipeline(pipeline).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._pipeline(pipeline), definition.encode())

    # ---- executions

    def start(
        self, pipeline: str, parameters: Mapping[str, str], *,
        token: str, steps: Sequence[str] | None = None, at_once: int | None = None,
    ) -> str:  # fmt: skip
        name = f"{pipeline}/{token[:16]}"
        folder = self.root / "executions" / name
        if folder.is_dir():
            return name
        definition = json.loads(self._pipeline(pipeline).read_bytes())
        if steps is not None:
            definition["Steps"] = [step for step in definition["Steps"] if step["Name"] in steps]
        asked = {
            "definition": self.definition(pipeline), "runs": definition, "parameters": dict(parameters),
            "in_containers": self.in_containers, "faults": asdict(self.faults.get(pipeline, Faults())),
        }  # fmt: skip
        building = folder.with_name(f".{folder.name}.{os.getpid()}")
        building.mkdir(parents=True)
        (building / "execution.json").write_text(json.dumps(asked))
        building.rename(folder)
        self._spawn(folder)
        return name

    def definition_of(self, execution: str) -> str:
        asked = json.loads((self.root / "executions" / execution / "execution.json").read_bytes())
        return str(asked["definition"])

    def progress(self, execution: str) -> Progress:
        folder = self.root / "executions" / execution
        state = _state(folder)
        status, reason = state["status"], state["reason"]
        if status == "Executing" and not _is_alive(folder, state["pid"]):
            state = _state(folder)  # it may have ended between the two looks
            status, reason = state["status"], state["reason"]
            if status == "Executing":
                status, reason = "Stopped", "its process was ended"
        steps = {
            name: Step(name=name, status=one["status"], reason=one["reason"], job=f"{execution}/{name}")
            for name, one in state["steps"].items()
        }
        return Progress(status=status, reason=reason, steps=steps, notes=tuple(state["notes"]))

    def stop(self, execution: str) -> None:
        folder = self.root / "executions" / execution
        pid = _state(folder)["pid"]
        if pid is not None and _is_alive(folder, pid):
            os.kill(pid, signal.SIGTERM)

    def log(self, job: str, num_lines: int) -> Sequence[str]:
        execution, _, step = job.rpartition("/")
        file = self.root / "executions" / execution / "logs" / f"{step}.log"
        return file.read_text(errors="replace").splitlines()[-num_lines:] if file.is_file() else []

    def busy(self, *, without: Collection[str]) -> Mapping[str, int]:
        return {}  # no machine here is of any type

    def link(self, execution: str) -> str:
        return str(self.root / "executions" / execution / "logs")

    def _spawn(self, folder: Path) -> None:
        environment = dict(os.environ)
        reading = None
        if not self.outlives:
            reading, writing = os.pipe()
            self._lifelines.append(writing)
            environment[LIFELINE_VARIABLE] = str(reading)
        with (folder / "runner.log").open("wb") as out:
            subprocess.Popen(
                [sys.executable, "-m", "launchers.sagemaker.offline", str(folder), str(self.s3)], env=environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=() if reading is None else (reading,),
                start_new_session=True,  # an interrupt at the keyboard is for who follows, not for what runs
            )  # fmt: skip
        if reading is not None:
            os.close(reading)

    def _pipeline(self, name: str) -> Path:
        return self.root / "pipelines" / f"{name}.json"


def _state(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "state.json").read_bytes())
    except FileNotFoundError:
        return {"status": "Executing", "reason": "", "steps": {}, "notes": [], "pid": None}
    return found


def _is_alive(folder: Path, pid: int | None) -> bool:
    import psutil

    if pid is None:
        return time.time() - folder.stat().st_mtime < WRITES_WITHIN_S
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# ---- in the process of one execution


class _Stopped(BaseException):
    """Somebody asked for an end."""


def main(arguments: list[str]) -> int:
    end_with_lifeline()
    signal.signal(signal.SIGTERM, _stop)
    folder, s3 = map(Path, arguments)
    asked = json.loads((folder / "execution.json").read_bytes())
    telling = _Telling(folder)
    try:
        failed = Execution(
            asked["runs"], asked["parameters"], s3=s3, work=folder, about=telling.begun, after=telling.done,
            told=telling.note, in_containers=asked["in_containers"], faults=Faults(**asked["faults"]),
        ).run()  # fmt: skip
    except _Stopped:
        telling.end("Stopped", "it was stopped", step="Stopped")
    except EarthsnapError as error:
        telling.end("Failed", error.what if isinstance(error, StageError) else str(error), step="Failed")
    except Exception as error:
        telling.end("Failed", f"{type(error).__name__}: {error}", step="Failed")
        raise
    else:
        telling.end("Failed" if failed else "Succeeded", failed or "")
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


class _Telling:
    """Keeps ``state.json``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "state.json"
        self._status, self._reason = "Executing", ""
        self._steps: dict[str, dict[str, str]] = {}
        self._notes: list[str] = []
        self._write()

    def begun(self, step: str) -> None:
        self._steps[step] = {"status": "Executing", "reason": ""}
        self._write()

    def done(self, step: str) -> None:
        self._steps[step] = {"status": "Succeeded", "reason": ""}
        self._write()

    def note(self, step: str, text: str) -> None:
        self._notes.append(f"{step}: {text}")
        self._write()

    def end(self, status: str, reason: str, *, step: str = "") -> None:
        """``step``: what becomes of the one at work."""
        self._status, self._reason = status, reason
        for one in self._steps.values():
            if one["status"] == "Executing":
                one.update(status=step, reason=reason)
        self._write()

    def _write(self) -> None:
        told = {
            "status": self._status,
            "reason": self._reason,
            "steps": self._steps,
            "notes": self._notes,
            "pid": os.getpid(),
        }
        write_atomically(self._file, json.dumps(told).encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
