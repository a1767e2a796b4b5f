"""Takes what W&B wrote offline into a run's folder up to its service, and never waits for one that has fallen silent."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from earthsnap_train.tracking.links import Links
from earthsnap_train.tracking.service import answers, service_url
from earthsnap_train.tracking.wandb_report import save_report

HEARTBEAT_EVERY_S = 2.0
END_TIMEOUT_S = 1.0  # of W&B's own processes, once they are told to end
QUIET = ("WANDB_SILENT", "WANDB_MODE")  # what keeps W&B from uploading, or from saying what it did


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """``missing``: what did not go up, and why, in words; empty where everything is there."""

    num_runs: int
    missing: str


def waits(folder: Path) -> bool:
    """Whether anything of a run folder is not up there yet."""
    links = Links.read(folder)
    return bool(_waiting(folder)) or (links is not None and bool(links.waiting))


def upload(folder: Path, *, most_s: float) -> Uploaded:
    """Runs, then links. What is there already is left out, so that the same call goes on where another stopped."""
    url, until = service_url(), time.monotonic() + most_s
    runs = _waiting(folder)
    links = Links.read(folder)
    if not waits(folder):
        return Uploaded(num_runs=0, missing="")
    if not answers(url):
        return Uploaded(num_runs=0, missing=f"offline, for {url} does not answer")
    why = _sync(folder, runs, url, until) if runs else ""
    left = len(_waiting(folder))
    if left:
        return Uploaded(num_runs=len(runs) - left, missing=f"{left} of {len(runs)} runs are missing, for {why}")
    if links is not None and links.waiting:
        why = _replay(folder, url, until)
        now = Links.read(folder)
        if now is not None and now.waiting:
            what = f"{len(now.waiting)} of {len(links.waiting)} links between runs and artifacts are missing, for {why}"
            return Uploaded(num_runs=len(runs), missing=what)
    return Uploaded(num_runs=len(runs), missing="")


def _waiting(folder: Path) -> list[Path]:
    """Runs that are not up there yet, relative to the folder; W&B leaves a mark beside those that are."""
    files = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    return [file.parent.relative_to(folder) for file in files if not file.with_name(f"{file.name}.synced").exists()]


def _sync(folder: Path, runs: list[Path], url: str, until: float) -> str:
    """W&B's own command, from the run's folder: the names of staged files are relative to it. Returns why it ended."""
    place = folder.resolve() / "wandb"
    # Else W&B keeps copies of what goes up (pages, manifests) in the user's cache, where nothing that is forgotten is found.
    cache = place / "cache"
    environment = {name: value for name, value in os.environ.items() if name not in QUIET}
    environment |= {"WANDB_DATA_DIR": str(place), "WANDB_CACHE_DIR": str(cache)}
    with _log(folder).open("wb") as log, _temporary() as temporary:
        process = subprocess.Popen(
            [sys.executable, "-m", "wandb", "sync", *map(str, runs)],
            cwd=folder, env=environment | {"TMPDIR": temporary},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            why = _watch(lambda: process.poll() is None, url, until)
        finally:
            process.terminate()
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            shutil.rmtree(cache, ignore_errors=True)
    return why or f"wandb sync ended with {process.returncode}: see {_log(folder)}"


def report(folder: Path, *, most_s: float) -> tuple[str, str]:
    """Makes a page of a run that is up there. Returns its address, and where there is none why."""
    url = service_url()
    if not answers(url):
        return "", f"{url} does not answer"
    why, code = _aside(save_report, folder, url, time.monotonic() + most_s)
    links = Links.read(folder)
    if code or links is None or links.report is None:
        return "", why or f"W&B refused it: see {_log(folder)}"
    return links.report.url, ""


def _replay(folder: Path, url: str, until: float) -> str:
    from earthsnap_train.tracking.wandb import replay

    why, _ = _aside(replay, folder, url, until)
    return why or f"W&B refused them: see {_log(folder)}"


def _aside(work: Callable[[Path], None], folder: Path, url: str, until: float) -> tuple[str, int]:
    """In a process of its own, which can be ended. Returns why it was ended, or nothing, and its exit code."""
    with _temporary() as temporary:
        process = get_context("spawn").Process(target=_logged, args=(work, folder, temporary))
        process.start()
        try:
            why = _watch(process.is_alive, url, until)
        finally:
            process.terminate()
            process.join(END_TIMEOUT_S)
            process.kill()
            process.join()
    return why, process.exitcode or 0


def _temporary() -> "TemporaryDirectory[str]":
    """For a process that imports W&B: folders that it makes there stay where it is ended, and even where it ends."""
    return TemporaryDirectory(prefix="earthsnap-", ignore_cleanup_errors=True)


def _logged(work: Callable[[Path], None], folder: Path, temporary: str) -> None:
    """What W&B has to say goes into the log and not between the lines that people read."""
    os.environ["TMPDIR"], tempfile.tempdir = temporary, temporary
    with _log(folder).open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
        for name in QUIET:
            os.environ.pop(name, None)
        work(folder)


def _log(folder: Path) -> Path:
    return folder / "wandb" / "sync.log"


def _watch(goes_on: Callable[[], bool], url: str, until: float) -> str:
    """Looks after an upload until it ends, or until nothing answers any more. Returns why it has to end, or nothing."""
    asked = time.monotonic()
    while goes_on():
        now = time.monotonic()
        if now > until:
            return "the time was over"
        if now - asked >= HEARTBEAT_EVERY_S:
            if not answers(url) and goes_on():
                return f"{url} fell silent"
            asked = time.monotonic()
        time.sleep(0.05)
    return ""
