"""``advise`` from the command line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.advice.figures import GroupingFigures
from earthsnap_train.evaluation.figures import Estimate
from earthsnap_train.pipeline.advised import pages_of
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.job import Advise
from earthsnap_train.verbs.advise import command
from tests.conftest import FinishedRun, Said

Command = Callable[..., Said]
JOB = Advise(verb="advise", out="advice/x", num_groups=None, min_species=2, max_species=9, num_folds=5)
TYPED = ("job=advise", "job.num_folds=3", "name=x", "grouping.rank=order", "dataset.source.ranks=[a,b]", "json=true")


def grouping(**changes: Any) -> GroupingFigures:
    half = Estimate(value=0.5, low=0.4, high=0.6)
    usual = {
        "name": "by-look-9", "made_by": "look", "rank": None, "groups": {"a": ("one",)}, "is_declared": False, "top1": half,
        "minus_flat": half, "routing": half, "ceiling": half, "multiply_adds": 1, "child_share": 0.5, "stability": 1.0,
    }  # fmt: skip
    return GroupingFigures.model_validate(usual | changes)


def test_the_command_takes_a_grouping_by_its_rank_where_it_has_one() -> None:
    assert command(TYPED, grouping(rank="genus"), JOB, is_locked=False) == (
        "earthsnap name=x 'dataset.source.ranks=[a,b]' grouping=by_rank grouping.rank=genus grouping.min_species=2 "
        "grouping.max_species=9"
    )


def test_and_from_its_file_where_photographs_decided() -> None:
    said = command(TYPED, grouping(), JOB, is_locked=False)

    assert said.endswith("grouping=file grouping.file=advice/x/by-look-9.yaml")


def test_once_there_is_a_lock_only_regroup_moves_species() -> None:
    said = command(TYPED, grouping(), JOB, is_locked=True)

    assert said.startswith("earthsnap regroup name=x ")
    assert said.endswith(" grouping=file grouping.file=advice/x/by-look-9.yaml write=true")


def test_what_is_declared_already_is_trained_as_it_is() -> None:
    said = command(TYPED, grouping(is_declared=True), JOB, is_locked=True)

    assert said == "earthsnap name=x grouping.rank=order 'dataset.source.ranks=[a,b]'"


@pytest.mark.parametrize(
    ("override", "what", "remedy"),
    [
        ("architecture=parent_child", "heads on one trunk", "architecture=shared_trunk"),
        ("training=head_then_full", "has seen the labels that are to be doubted", "training=head"),
        ("launcher=sagemaker", "drawn on this machine", "launcher=local"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_remedy(
    override: str, what: str, remedy: str, earthsnap: Command
) -> None:
    place = [
        "aws.region=eu-west-1", "aws.bucket=photographs", "launcher.role=arn:aws:iam::123456789012:role/x",
        "launcher.image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/x:1",
    ]  # fmt: skip
    more = place if "sagemaker" in override else []
    said = earthsnap("advise", "+experiment=plants", "tracking=none", "architecture=shared_trunk", override, *more)

    assert said.code == 2
    assert what in said.err
    assert remedy in said.err


def test_a_group_cannot_be_smaller_than_it_must_be(earthsnap: Command) -> None:
    said = earthsnap("advise", "name=x", "architecture=shared_trunk", "min_species=9", "max_species=3")

    assert said.code == 2
    assert "min_species (9) is more than max_species (3)" in said.err


@pytest.mark.slow
def test_it_proposes_writes_and_says_what_to_type_next(
    tmp_path: Path, finished_run: FinishedRun, earthsnap: Command
) -> None:
    for name in ("store", "groupings"):  # photographs, trunk and lock; what it writes others must not see
        shutil.copytree(finished_run.folder / name, tmp_path / name)
    typed = ["+experiment=plants", "debug=true", "tracking=none", "architecture=shared_trunk"]
    said = earthsnap("advise", *typed, "num_folds=2", "--json")
    assert said.code == 0, said.err

    found: Any = said.json
    folder = tmp_path / "advice" / "plants"
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{one['name']}.yaml" for one in found["groupings"]} | {
        "advice.html", "advice.json", "suspects.csv",
    }  # fmt: skip
    assert "data:image" in (folder / "advice.html").read_text()
    assert "data:image" not in said.out
    store, clearest = Store(tmp_path / "store"), found["species"][0]["clearest"]
    assert {page.name for page in pages_of(store, "0", [clearest])} == {"advice.html", "advice.json"}

    file = next(folder.glob("by-*.yaml"))
    regrouped = earthsnap("regroup", *typed, "grouping=file", f"grouping.file={file}", "--json")
    assert regrouped.code == 0, regrouped.err

    again = earthsnap("advise", *typed, "num_folds=2")
    assert again.code == 0, again.err
    assert "one flat head" in again.out
    assert "next     earthsnap" in again.out

    other = earthsnap("advise", *typed, "num_folds=2", "num_groups=3")
    assert other.code == 2
    assert "advice.json is there already" in other.err
    assert "out=advice/plants-2" in other.err
    assert "done in" not in other.out  # it says so before it works
