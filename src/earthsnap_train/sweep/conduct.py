"""A sweep from its first job to the table, the page, and the command that goes on with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earthsnap_train.pipeline.store import write_atomically
from earthsnap_train.sweep.axes import overrides, word
from earthsnap_train.sweep.follow import Followed, Perform, follow
from earthsnap_train.sweep.page import render
from earthsnap_train.sweep.record import Job, SweepRecord
from earthsnap_train.sweep.settings import PREFIX
from earthsnap_train.sweep.table import closing
from earthsnap_train.verbs.terminal import console
from earthsnap_train.verbs.train import SWEEP_VARIABLE

PAGE = "sweep.html"


def conduct(record: SweepRecord, folder: Path, perform: Perform, *, is_json: bool) -> Followed:
    """``folder``: ``held`` by the caller. ``is_json``: what jobs print is for programs, so this goes to stderr."""
    out = console(stderr=is_json)

    def begin(job: Job, num_jobs: int) -> None:
        varied = " ".join(overrides(record.axes, job.values))
        out.print(f"\njob {job.number} of {num_jobs}: {varied}".rstrip(": "), style="bold", markup=False)

    def keep(record: SweepRecord) -> None:
        record.write(folder)
        write_atomically(folder / PAGE, render(record).encode())

    with _named(folder):
        out.print(f"sweep    {folder}", markup=False, soft_wrap=True)
        try:
            followed = follow(record, perform, keep, begin)
        except KeyboardInterrupt:  # between two jobs
            out.print(f"stopped; to go on: {resume_command(folder)}", markup=False, soft_wrap=True)
            raise SystemExit(130) from None
        keep(followed.record)
    closing(followed, folder / PAGE, resume_command(folder), out)
    return followed


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Runs tell trackers whose they are."""
    os.environ[SWEEP_VARIABLE] = folder.name
    try:
        yield
    finally:
        del os.environ[SWEEP_VARIABLE]


def resume_command(folder: Path) -> str:
    return f"earthsnap -m {PREFIX}resume={word(folder)}"
