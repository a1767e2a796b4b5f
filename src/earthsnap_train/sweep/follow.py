"""Runs what is left of a sweep, one job after the other, and writes down what came of each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from earthsnap_train.sweep.ended import Ended
from earthsnap_train.sweep.objectives import figures_of
from earthsnap_train.sweep.propose import propose
from earthsnap_train.sweep.record import Job, SweepRecord

Perform = Callable[[Job], Ended]
Keep = Callable[[SweepRecord], None]
How = Literal["finished", "interrupted", "too_many_failures"]


@dataclass(frozen=True, kw_only=True)
class Followed:
    record: SweepRecord
    how: How


def follow(record: SweepRecord, perform: Perform, keep: Keep, begin: Callable[[Job, int], None]) -> Followed:
    """What is done is left alone; what was running, stopped or failed runs again with the same values.

    ``keep`` writes the record down whenever a job changes; ``begin`` hears of each job before it runs, and of how many
    there will be. A failure is tolerated, until there are more than ``max_failures``.
    """
    tried: set[int] = set()
    num_failures = 0
    while (job := _next(record, tried)) is not None:
        tried.add(job.number)
        record = record.with_job(job.model_copy(update={"state": "running", "error": ""}))
        keep(record)
        begin(job, _num_jobs(record))
        started = time.monotonic()
        try:
            ended = perform(job)
        except KeyboardInterrupt:  # between two steps of the job, where nobody else hears of it
            ended = Ended(code=130)
        job = _concluded(job, ended, record, time.monotonic() - started)
        record = record.with_job(job)
        keep(record)
        if job.state == "interrupted":
            return Followed(record=record, how="interrupted")
        num_failures += job.state == "failed"
        if num_failures > record.settings.max_failures:
            return Followed(record=record, how="too_many_failures")
    return Followed(record=record, how="finished")


def _next(record: SweepRecord, tried: set[int]) -> Job | None:
    left = next((job for job in record.jobs if job.state != "done" and job.number not in tried), None)
    if left is not None or record.settings.sampler == "grid" or len(record.jobs) >= record.settings.num_trials:
        return left
    values, for_sampler = propose(record.axes, record.jobs, record.declared, record.settings)
    return Job(number=len(record.jobs) + 1, values=values, for_sampler=for_sampler)


def _num_jobs(record: SweepRecord) -> int:
    return len(record.jobs) if record.settings.sampler == "grid" else max(record.settings.num_trials, len(record.jobs))


def _concluded(job: Job, ended: Ended, record: SweepRecord, seconds: float) -> Job:
    changes: dict[str, object] = {"seconds": round(seconds, 2)}
    if ended.was_interrupted:
        return job.model_copy(update=changes | {"state": "interrupted"})
    if ended.code != 0 or ended.summary is None:
        return job.model_copy(update=changes | {"state": "failed", "error": ended.error or f"exit code {ended.code}"})
    figures = figures_of(ended.summary, record.settings.directions)
    missing = [name for name in record.settings.directions if name not in figures]
    release = ended.summary.get("release")
    changes |= {
        "state": "failed" if missing else "done",
        "error": f"its summary has no figure {missing[0]}" if missing else "",
        "objectives": figures,
        "release": str(release["name"]) if isinstance(release, Mapping) else "",
        "folder": str(ended.summary.get("folder", "")),
    }
    return job.model_copy(update=changes)
