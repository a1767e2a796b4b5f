"""The end of a sweep for people: a table of its jobs, which was best, and what to do next."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.sweep.axes import Axis, overrides
from earthsnap_train.sweep.follow import Followed
from earthsnap_train.sweep.objectives import best_of
from earthsnap_train.sweep.record import Job, SweepRecord, done_figures

MOST_BEST = 5
STATES = {"done": "done", "failed": "failed", "interrupted": "stopped", "running": "stopped", "waiting": "not run"}


def short_names(axes: Sequence[Axis]) -> list[str]:
    """``lr`` rather than ``training.lr``, where that is no other's name."""
    last = Counter(axis.name.rpartition(".")[2] for axis in axes)
    return [short if last[short := axis.name.rpartition(".")[2]] == 1 else axis.name for axis in axes]


def job_table(record: SweepRecord) -> Table:
    best = best_of(done_figures(record), record.settings.directions)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job", justify="right")
    for name in (*short_names(record.axes), *record.settings.directions):
        table.add_column(name, justify="right")
    table.add_column("release")
    table.add_column("seconds", justify="right")
    table.add_column("state", overflow="fold")
    for job in record.jobs:
        table.add_row(
            str(job.number),
            *(shown(job.values.get(axis.name, "")) for axis in record.axes),
            *(shown(job.objectives.get(name, "")) for name in record.settings.directions),
            job.release,
            "" if job.seconds is None else f"{job.seconds:.1f}",
            Text(state_of(job) + ("  best" if job.number in best else "")),
            style="bold" if job.number in best else "",
        )
    return table


def state_of(job: Job) -> str:
    return f"{STATES[job.state]}: {job.error}" if job.error else STATES[job.state]


def shown(value: float | int | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def closing(followed: Followed, page: Path, resume: str, out: Console) -> None:
    record = followed.record
    out.print()
    out.print(job_table(record))
    out.print()
    best = best_of(done_figures(record), record.settings.directions)
    for number in best[:MOST_BEST]:
        job = next(one for one in record.jobs if one.number == number)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in job.objectives.items())
        varied = " ".join(overrides(record.axes, job.values))
        out.print(f"best     {varied or 'its only job'}: {figures}", markup=False, soft_wrap=True)
    if len(best) > MOST_BEST:
        out.print(f"         and {len(best) - MOST_BEST} more that no other beats", markup=False)
    out.print(f"page     {page}", markup=False, soft_wrap=True)
    seconds = sum(job.seconds or 0 for job in record.jobs)
    out.print(f"took     {short_time(seconds)}", markup=False)
    failed = sum(job.state == "failed" for job in record.jobs)
    left = sum(job.state != "done" for job in record.jobs) - failed
    if failed:
        why = ", more than max_failures allows" if followed.how == "too_many_failures" else ""
        out.print(f"failed   {failed} of {len(record.jobs)} jobs{why}", markup=False)
    if followed.how != "finished" or failed or left:
        word = {"interrupted": "stopped; to go on", "too_many_failures": "to go on", "finished": "to try again"}
        out.print(f"{word[followed.how]}: {resume}", markup=False, soft_wrap=True)
