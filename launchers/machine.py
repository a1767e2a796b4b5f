"""How busy this machine is while a run goes on: a line now and then, in a file beside the run's events."""

import json
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

MACHINE_FILE = "machine.jsonl"
EVERY_S = 2.0
GPU_TIMEOUT_S = 5.0


class Sampler:
    """While it is open, a thread looks at processor, memory and GPUs; what cannot be read is left out."""

    def __init__(self, folder: Path, *, every_s: float = EVERY_S) -> None:
        self._file = folder / MACHINE_FILE
        self._every_s = every_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join(GPU_TIMEOUT_S)

    def _look(self) -> None:
        with suppress(OSError):  # a run needs none of it
            self._write()

    def _write(self) -> None:
        import psutil

        psutil.cpu_percent()  # the share since the last call; the first has nothing to compare with
        with self._file.open("a") as file:
            while not self._closed.wait(self._every_s):
                memory = psutil.virtual_memory()
                figures = {"cpu_percent": psutil.cpu_percent(), "memory_gb": (memory.total - memory.available) / 1e9}
                row = {"at": time.time(), **{name: round(value, 3) for name, value in (figures | gpus()).items()}}
                file.write(json.dumps(row) + "\n")
                file.flush()


def gpus() -> dict[str, float]:
    """``gpu0_percent``, ``gpu0_memory_gb``, ...; nothing where there is none, or none that says so."""
    if shutil.which("nvidia-smi") is None:
        return {}
    ask = ["nvidia-smi", "--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=GPU_TIMEOUT_S).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return read_gpus(said)


def read_gpus(said: str) -> dict[str, float]:
    """``0, 37, 1024``: number, percent, MiB; a figure that the driver does not know is left out."""
    figures: dict[str, float] = {}
    for line in (line for line in said.splitlines() if line.count(",") == 2):
        number, percent, memory_mib = (part.strip() for part in line.split(","))
        if percent.isdigit():
            figures[f"gpu{number}_percent"] = float(percent)
        if memory_mib.isdigit():
            figures[f"gpu{number}_memory_gb"] = int(memory_mib) * 2**20 / 1e9
    return figures
