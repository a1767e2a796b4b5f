"""Under a limit on machines of a type each of a job's machines counts, and what would wait for good is refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError
from launchers.sagemaker.definition import Compiled
from launchers.sagemaker.room import Share, share_of
from tests.conftest import DEMO
from tests.launchers.sagemaker.test_definition import compiled

CPU, GPU = "ml.m5.xlarge", "ml.g5.xlarge"
# A limited number of photographs is dealt out to no one.
WHOLE = ("+experiment=plants", "architecture=parent_child", "tracking=none")


def share(found: Compiled, name: str, most: Mapping[str, int], *given: Share, busy: int = 0) -> Share | None:
    pipeline = next(one for one in found.pipelines if one.name.endswith(f"-{name}"))
    return share_of(pipeline, found.uses, most=most, busy={CPU: busy}, given=given)


def test_photographs_that_are_dealt_out_take_so_many_machines_of_what_is_allowed(tmp_path: Path) -> None:
    found = compiled(*WHOLE, "launcher.qa_instances=8", folder=tmp_path)

    assert share(found, "data", {CPU: 7}) is None
    assert share(found, "data", {CPU: 15}) == Share(steps=1, machines={CPU: 8})
    assert share(found, "data", {CPU: 17}) == Share(steps=2, machines={CPU: 16})
    assert share(found, "data", {CPU: 17}, busy=2) == Share(steps=1, machines={CPU: 8})


def test_machines_that_teach_one_network_together_count_each(tmp_path: Path) -> None:
    found = compiled(*DEMO, "training=full", "launcher.training.instance_count=4", folder=tmp_path)

    alone = share(found, "parent", {GPU: 7})

    assert alone == Share(steps=1, machines={GPU: 4})
    assert share(found, "parent", {GPU: 7}, alone) is None
    assert share(found, "parent", {GPU: 8}, alone) == alone


def test_trials_side_by_side_count_each_and_so_does_the_job_that_looks_for_their_result(tmp_path: Path) -> None:
    typed = ("training=full", "tuning=sagemaker", "launcher.trials_at_once=3", "launcher.training.instance_count=2")
    found = compiled(*DEMO, *typed, folder=tmp_path)  # a trial has one machine, whatever a network is taught on

    assert share(found, "tune-parent", {GPU: 4, CPU: 2}) == Share(steps=1, machines={GPU: 3, CPU: 1})
    assert share(found, "tune-parent", {CPU: 2}, busy=2) is None


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        ((*WHOLE, "launcher.qa_instances=3"), f"look of plants-data works on 3 machines of {CPU} at once"),
        (
            (*DEMO, "tuning=sagemaker", "launcher.trials_at_once=4", "launcher.max_instances={ml.g5.xlarge: 3}"),
            f"tune of plants-debug-tune-parent works on 4 machines of {GPU} at once",
        ),
    ],
)
def test_a_job_for_which_there_is_never_room_is_refused(typed: tuple[str, ...], what: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled("launcher.max_instances={ml.m5.xlarge: 2}", *typed, folder=tmp_path)

    assert caught.value.what == what
    assert caught.value.where == "launcher.max_instances"
    assert "at least" in caught.value.allowed
    assert "launcher.qa_instances" in caught.value.remedy


def test_the_entry_pipeline_works_on_no_machine_that_its_jobs_would_wait_for(tmp_path: Path) -> None:
    typed = (*DEMO, f"launcher.entry.instance_type={CPU}")
    compiled(*typed, "launcher.max_instances={ml.g5.xlarge: 2}", folder=tmp_path)

    with pytest.raises(ConfigError) as caught:
        compiled(*typed, "launcher.max_instances={ml.m5.xlarge: 2}", folder=tmp_path)

    assert caught.value.where == "launcher.entry.instance_type"
    assert caught.value.what.startswith(f"{CPU} is limited, and both the entry pipeline and ")
    assert "not in launcher.max_instances" in caught.value.allowed
