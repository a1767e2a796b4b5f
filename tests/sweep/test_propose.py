"""Proposals depend on what came before and on nothing else."""

from typing import Any

import pytest

from earthsnap_train.sweep.propose import propose
from earthsnap_train.sweep.record import Job, SweepRecord
from tests.sweep.conftest import BATCH, DECAY, LR, METHOD, record

SAMPLERS = ["tpe", "random", "nsga2"]


def continued(sweep: SweepRecord, num_jobs: int) -> SweepRecord:
    """With jobs until there are so many; the figure is best at a rate of 0.01, and every fifth job fails."""
    while len(sweep.jobs) < num_jobs:
        values, noted = propose(sweep.axes, sweep.jobs, sweep.declared, sweep.settings)
        rate = float(values["training.lr"])
        figures = {"family.top1": 1 - abs(rate - 0.01), "family.ece": rate}
        number = len(sweep.jobs) + 1
        changes: dict[str, Any] = (
            {"state": "failed"}
            if number % 5 == 0
            else {"state": "done", "objectives": {name: figures[name] for name in sweep.settings.directions}}
        )
        sweep = sweep.with_job(Job(number=number, values=values, for_sampler=noted, **changes))
    return sweep


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sweep_that_was_written_down_and_read_goes_on_as_if_it_had_not_been(sampler: str) -> None:
    objectives = {"family.top1": "maximize", "family.ece": "minimize"}
    start = record(sampler=sampler, objectives=objectives)

    whole = continued(start, 18)
    half = SweepRecord.model_validate_json(continued(start, 9).model_dump_json())

    assert continued(half, 18) == whole


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_proposes_other_values(sampler: str) -> None:
    one, other = (continued(record(sampler=sampler, seed=seed), 3) for seed in (0, 1))

    assert [job.values for job in one.jobs] != [job.values for job in other.jobs]


def test_no_two_jobs_of_a_random_search_are_the_same() -> None:
    assert len({str(job.values) for job in continued(record(sampler="random"), 20).jobs}) == 20


def test_values_lie_in_their_ranges_and_on_their_steps() -> None:
    for job in continued(record(sampler="tpe", num_trials=30), 30).jobs:
        assert 0.0001 <= float(job.values["training.lr"]) <= 1.0
        assert job.values["training.batch_size"] in range(8, 65, 8)


def test_a_number_is_as_short_as_people_write_it() -> None:
    values, _ = propose([LR], [], {}, record().settings)

    assert len(f"{values['training.lr']}".replace(".", "").lstrip("0")) <= 6


def test_an_axis_is_varied_only_where_its_condition_holds() -> None:
    jobs = continued(record(axes=(LR, METHOD, DECAY)), 20).jobs

    assert {job.values["training.method"] for job in jobs} == {"head", "full"}
    for job in jobs:
        assert ("training.ema_decay" in job.values) == (job.values["training.method"] == "full")


def test_tpe_learns_where_figures_are_good() -> None:
    jobs = continued(record(sampler="tpe", axes=(LR, BATCH), num_trials=40), 40).jobs
    near = [0.003 <= float(job.values["training.lr"]) <= 0.03 for job in jobs]

    assert sum(near[20:]) > 2 * sum(near[:10])


def test_nsga2_knows_which_generation_each_job_was_of() -> None:
    jobs = continued(record(sampler="nsga2", population=4), 12).jobs

    generations = [next(iter(job.for_sampler.values())) for job in jobs]
    assert generations[0] == 0
    assert generations[-1] == 2
