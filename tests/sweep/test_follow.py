"""Which jobs run, in which order, and what is kept of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.sweep.conduct import conduct
from earthsnap_train.sweep.ended import Ended
from earthsnap_train.sweep.follow import Followed, follow
from earthsnap_train.sweep.record import Job, SweepRecord
from earthsnap_train.verbs.train import SWEEP_VARIABLE
from tests.sweep.conftest import BATCH, record


def grid(*states: str, **changes: Any) -> SweepRecord:
    jobs = [
        Job(number=at, values={"training.batch_size": 8 * at}, state=state)  # type: ignore[arg-type]
        for at, state in enumerate(states, start=1)
    ]
    return record(*jobs, axes=(BATCH,), sampler="grid", **changes)


def good(top1: float = 0.9) -> Ended:
    summary: Mapping[str, object] = {"family": {"top1": top1}, "release": {"name": "plants-1"}, "folder": "outputs/x"}
    return Ended(code=0, summary=summary)


class Watched:
    """Everything that happens to a sweep, as each job ends as ``endings`` says (well, where it says nothing)."""

    def __init__(self, endings: Mapping[int, Ended | type[BaseException]] = {}) -> None:
        self.endings = endings
        self.ran: list[Job] = []
        self.kept: list[SweepRecord] = []
        self.announced: list[tuple[int, int]] = []

    def follow(self, sweep: SweepRecord) -> Followed:
        return follow(sweep, self.perform, self.kept.append, lambda job, of: self.announced.append((job.number, of)))

    def perform(self, job: Job) -> Ended:
        self.ran.append(job)
        ending = self.endings.get(job.number, good())
        if isinstance(ending, Ended):
            return ending
        raise ending


def states(followed: Followed) -> list[str]:
    return [job.state for job in followed.record.jobs]


def test_what_is_done_is_not_run_again_and_what_was_running_runs_with_the_same_values() -> None:
    watched = Watched()

    followed = watched.follow(grid("done", "running", "interrupted", "failed", "waiting"))

    assert [(job.number, job.values) for job in watched.ran] == [
        (number, {"training.batch_size": 8 * number}) for number in (2, 3, 4, 5)
    ]
    assert (states(followed), followed.how) == (["done"] * 5, "finished")


def test_a_job_is_written_down_as_running_before_it_runs() -> None:
    watched = Watched()
    before: list[list[str]] = []

    def perform(job: Job) -> Ended:
        before.append([one.state for one in watched.kept[-1].jobs])
        return good()

    follow(grid("waiting", "waiting"), perform, watched.kept.append, lambda job, of: None)

    assert before == [["running", "waiting"], ["done", "running"]]


def test_a_proposal_is_written_down_before_it_runs() -> None:
    watched = Watched()

    followed = watched.follow(record(sampler="random", num_trials=3))

    assert [len(one.jobs) for one in watched.kept] == [1, 1, 2, 2, 3, 3]
    assert watched.announced == [(1, 3), (2, 3), (3, 3)]
    assert states(followed) == ["done"] * 3


def test_figures_release_and_folder_are_kept() -> None:
    (job,) = Watched({1: good(0.75)}).follow(grid("waiting")).record.jobs

    assert (job.objectives, job.release, job.folder) == ({"family.top1": 0.75}, "plants-1", "outputs/x")
    assert job.seconds is not None


@pytest.mark.parametrize(("max_failures", "ran", "how"), [(2, 4, "finished"), (1, 3, "too_many_failures")])
def test_failures_are_tolerated_up_to_a_bound(max_failures: int, ran: int, how: str) -> None:
    bad = Ended(code=5, error="train/parent: it broke")
    watched = Watched({1: bad, 3: bad})

    followed = watched.follow(grid(*["waiting"] * 4, max_failures=max_failures))

    assert (len(watched.ran), followed.how) == (ran, how)
    assert followed.record.jobs[0].error == "train/parent: it broke"


def test_a_failure_of_last_time_counts_no_more() -> None:
    watched = Watched({1: Ended(code=5)})

    assert watched.follow(grid("failed", "failed", "waiting", max_failures=1)).how == "finished"


def test_a_job_without_the_figure_that_was_asked_for_has_failed() -> None:
    (job,) = Watched().follow(grid("waiting", objectives={"flat.top1": "maximize"})).record.jobs

    assert (job.state, job.error) == ("failed", "its summary has no figure flat.top1")


@pytest.mark.parametrize("ending", [Ended(code=130), KeyboardInterrupt])
def test_an_interrupt_ends_the_sweep_and_leaves_the_job_to_be_run_again(ending: Any) -> None:
    watched = Watched({2: ending})

    followed = watched.follow(grid("waiting", "waiting", "waiting"))

    assert (states(followed), followed.how) == (["done", "interrupted", "waiting"], "interrupted")
    assert [one.state for one in watched.kept[-1].jobs] == ["done", "interrupted", "waiting"]


def test_more_trials_than_before_go_on_where_it_ended() -> None:
    ended = Watched().follow(record(sampler="random", num_trials=2)).record
    more = ended.model_copy(update={"settings": ended.settings.model_copy(update={"num_trials": 4})})
    watched = Watched()

    watched.follow(more)

    assert [job.number for job in watched.ran] == [3, 4]


def test_every_job_knows_whose_sweep_it_belongs_to_and_nothing_after_it_does(tmp_path: Path) -> None:
    heard: list[str | None] = []

    def perform(job: Job) -> Ended:
        heard.append(os.environ.get(SWEEP_VARIABLE))
        return good()

    folder = tmp_path / "2026-11-26_12-00-00"
    folder.mkdir()
    conduct(grid("waiting", "waiting"), folder, perform, is_json=False)

    assert heard == [folder.name, folder.name]
    assert SWEEP_VARIABLE not in os.environ
