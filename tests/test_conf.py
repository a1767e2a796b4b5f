"""Every file under conf/ can be chosen, says what it is, and declares only what there is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from earthsnap_train.__main__ import verbs
from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.evaluation import Gate
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.spec.tracking import Tracking
from earthsnap_train.spec.tuning import Choice, FloatRange, IntRange
from tests.conftest import REPOSITORY, declare

CONF = REPOSITORY / "conf"
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
EXPERIMENTS = [path.stem for path in FILES if path.parts[0] == "experiment"]
CHOICES = [
    (path.parts[0], path.stem)
    for path in FILES
    if len(path.parts) == 2 and path.parts[0] not in ("experiment", "job") and path.stem != "base"
]
# What a choice leaves to the person who makes it.
GIVEN = {
    ("dataset", "folder"): ["dataset.source.root=photographs"],
    ("dataset", "table"): ["dataset.source.root=photographs"],
    ("dataset", "s3"): ["dataset.source.bucket=photographs"],
    ("grouping", "manual"): ["grouping.groups={roses: [rosa-canina]}"],
    ("grouping", "file"): ["grouping.file=groups.yaml"],
    ("deployment", "sagemaker"): [
        "aws.region=eu-west-1",
        "aws.bucket=photographs",
        "deployment.image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/earthsnap:1",
        "deployment.role=arn:aws:iam::123456789012:role/earthsnap",
    ],
    ("launcher", "sagemaker"): [
        "aws.region=eu-west-1",
        "aws.bucket=photographs",
        "launcher.image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/earthsnap:1",
        "launcher.role=arn:aws:iam::123456789012:role/earthsnap",
    ],
    ("registry", "sagemaker"): [
        "aws.region=eu-west-1",
        "aws.bucket=photographs",
        "registry.serve_image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/earthsnap:1",
    ],
    ("job", "forget"): ["image=x"],
    ("job", "export-records"): ["node=parent", "out=there"],
    ("job", "approve"): ["release=plants-1"],
    ("job", "reject"): ["release=plants-1", "why=blurred"],
    ("job", "rollout"): ["release=plants-1"],
    ("job", "promote"): ["release=plants-1"],
    ("job", "rollback"): ["release=plants-1"],
    ("job", "stop"): ["endpoint=prod"],
    ("job", "infra"): ["aws.region=eu-west-1", "aws.bucket=photographs"],
}


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_makes_a_valid_declaration(group: str, choice: str) -> None:
    spec = declare("name=x", f"{group}={choice}", *GIVEN.get((group, choice), []))

    assert isinstance(spec, RunSpec)


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [
        ("", {"wandb"}),
        ("tracking=none", set()),
        ("tracking=csv", {"csv"}),
        ("tracking=[wandb,csv]", {"wandb", "csv"}),
        ("tracking=[csv,tensorboard,wandb]", {"wandb", "tensorboard", "csv"}),
    ],
)
def test_any_number_of_trackers_can_be_chosen(typed: str, chosen: set[str]) -> None:
    tracking = declare("name=x", *typed.split()).tracking

    assert {name for name, settings in tracking if settings is not None} == chosen


def test_a_trackers_setting_can_be_overridden_beside_the_choice() -> None:
    tracking = declare(
        "name=x", "tracking=[csv,wandb]", "tracking.wandb.project=roses", "tracking.csv.separator=semicolon"
    ).tracking

    assert tracking.wandb is not None
    assert tracking.csv is not None
    assert (tracking.wandb.project, tracking.csv.separator) == ("roses", "semicolon")


def test_an_experiment_can_choose_trackers_and_the_command_line_others(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    header = "# @package _global_\ndefaults:\n  - override /tracking: [csv, tensorboard]\n"
    (tmp_path / "experiment" / "garden.yaml").write_text(
        f"{header}name: garden\ntracking:\n  csv:\n    separator: semicolon\n"
    )
    path = f"hydra.searchpath=[file://{tmp_path}]"

    tracking = declare("experiment=garden", path).tracking

    assert tracking.csv is not None
    assert tracking.csv.separator == "semicolon"
    assert tracking.tensorboard is not None
    assert tracking.wandb is None
    others = declare("experiment=garden", path, "tracking=[wandb,csv]").tracking
    assert others.wandb is not None
    assert others.tensorboard is None


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_makes_a_valid_declaration(verb: str) -> None:
    assert declare(verb, "name=x", *GIVEN.get(("job", verb), [])).job.verb == verb


def test_every_verb_has_its_file() -> None:
    assert {path.stem for path in FILES if path.parts[0] == "job"} == set(verbs())


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("debug", ["false", "true"])
def test_every_experiment_can_be_planned(name: str, debug: str, tmp_path: Path) -> None:
    spec = declare(f"experiment={name}", f"debug={debug}", f"paths.groupings={tmp_path}")
    source: Any = spec.dataset.source
    if not Path(getattr(source, "root", ".")).is_dir():
        pytest.skip(f"the photographs of {name} are not here: {source.root}")

    plan = prepare(spec, Store(tmp_path / "store")).plan

    assert {"ingest", "bundle", "report"} <= {stage.name for stage in plan.stages}
    assert plan.family == (f"{name}-debug" if debug == "true" else name)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_opens_with_its_command_and_what_it_needs(name: str) -> None:
    header = _header(CONF / "experiment" / f"{name}.yaml")

    assert f"python -m earthsnap_train +experiment={name}" in header
    assert "Needs:" in header


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert len(_header(CONF / path).removeprefix("# @package _global_").strip("# \n")) > 10


def test_every_group_is_a_part_of_the_declaration() -> None:
    groups = {path.parts[0] for path in FILES if len(path.parts) > 1} - {"experiment", "hydra"}

    assert groups <= set(RunSpec.model_fields)


def test_defaults_live_in_yaml_alone() -> None:
    with_defaults = {
        f"{model.__name__}.{name}"
        for model in _models(RunSpec)
        if model not in (Gate, FloatRange, IntRange, Choice)  # entries that people write themselves, as short as may be
        and model is not Tracking  # who is not chosen is absent
        for name, field in model.model_fields.items()
        if not field.is_required()
    }

    assert with_defaults == set()


def _header(path: Path) -> str:
    lines = path.read_text().splitlines()
    return "\n".join(lines[: next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))])


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation)
    for argument in get_args(annotation):
        yield from _models(argument)
