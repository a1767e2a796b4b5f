"""Definitions hold as far as can be known without the service; whatever is wrong with one would be found."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.definition import Compiled, compile_definitions
from tests.conftest import DEMO, draw_folder
from tests.launchers.sagemaker.declared import declared
from tests.launchers.sagemaker.shapes import request, required_and_enums
from tests.launchers.sagemaker.validator import CREATE, problems

GOLDEN = Path(__file__).parent / "golden"
REFRESH = "python -m tests.launchers.sagemaker.test_definition"
# Everything that a definition may hold, at once.
ALL = (
    *DEMO, "tuning=quick", "training=full", "training.fit_on=full", "aws.kms_key=alias/photographs",
    "launcher.subnets=[subnet-1]", "launcher.security_groups=[sg-1]", "aws.tags.team=botany",
    "launcher.kinds.embed.volume_gb=70", "launcher.nodes.child.spot=false", "launcher.nodes.parent.max_minutes=60",
)  # fmt: skip


def compiled(*typed: str, folder: Path) -> Compiled:
    spec = declared(*typed, f"paths.groupings={folder}/groupings")
    assert isinstance(spec.launcher, SageMaker)
    return compile_definitions(prepare(spec, Store(folder / "store")).plan, spec.launcher)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled(*ALL, folder=tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize(
    "typed",
    [
        DEMO,
        ALL,
        (*DEMO, "launcher.fuse=true"),
        (*DEMO, "launcher.fuse=true", "training=head_then_full", "tuning=thorough"),
        (*DEMO, "architecture=flat"),
        (*DEMO, "launcher.data_jobs=1", "launcher.training.spot=false"),
    ],
    ids=["demo", "everything", "fused", "fused-full", "flat", "one-data-job"],
)
def test_every_definition_holds(typed: tuple[str, ...], tmp_path: Path) -> None:
    definitions = compiled(*typed, folder=tmp_path).definitions

    assert {name: problems(text) for name, text in definitions.items()} == {name: [] for name in definitions}


def test_equal_declarations_give_equal_definitions(tmp_path: Path) -> None:
    first = compiled(*ALL, folder=tmp_path / "one")
    second = compiled(*ALL, folder=tmp_path / "two")

    assert first.definitions == second.definitions
    assert first.descriptions == second.descriptions


def test_every_stage_is_in_one_job(tmp_path: Path) -> None:
    for fuse in ("false", "true"):
        spec = declared(*ALL, f"launcher.fuse={fuse}", f"paths.groupings={tmp_path}/groupings")
        plan = prepare(spec, Store(tmp_path / "store")).plan
        assert isinstance(spec.launcher, SageMaker)
        jobs = [job for one in compile_definitions(plan, spec.launcher).pipelines for job in one.jobs]

        assert sorted(s.name for job in jobs for s in job.stages) == sorted(s.name for s in plan.stages)


def test_fusing_joins_what_a_node_does_to_small_jobs(tmp_path: Path) -> None:
    apart = compiled(*DEMO, folder=tmp_path)
    joined = compiled(*DEMO, "launcher.fuse=true", folder=tmp_path)

    def jobs(one: Compiled, name: str) -> list[str]:
        return [job.name for pipeline in one.pipelines if pipeline.name == name for job in pipeline.jobs]

    assert jobs(apart, "plants-debug-parent") == ["train", "export", "evaluate"]
    assert jobs(joined, "plants-debug-parent") == ["train-to-evaluate"]
    assert jobs(joined, "plants-debug-release") == ["evaluate-family-to-report"]


def test_a_whole_network_is_taught_by_a_training_job_even_where_steps_are_joined(tmp_path: Path) -> None:
    joined = compiled(*DEMO, "training=full", "launcher.fuse=true", folder=tmp_path)

    parent = next(one for one in joined.pipelines if one.name == "plants-debug-parent")
    assert [(job.name, job.on) for job in parent.jobs] == [("train", "training"), ("export-to-evaluate", "processing")]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Fifty groups of two species each."""
    folder = tmp_path_factory.mktemp("wide")
    species = {f"Genus{group:02d}/species {group:02d} {at}": 5 for group in range(50) for at in range(2)}
    root = draw_folder(folder / "photographs", species=species)
    return (
        "name=wide", "dataset=folder", f"dataset.source.root={root}", "dataset.source.ranks=[genus]",
        "dataset.min_images_per_species=4", "dataset.split.min_per_species=1", "grouping.min_species=2", "training=full",
    )  # fmt: skip


def test_fifty_groups_fit(wide: tuple[str, ...], tmp_path: Path) -> None:
    """A pipeline of data, one for each of 52 nodes, one that reads what all of them made, and the entry."""
    found = compiled(*wide, folder=tmp_path)

    assert len(found.definitions) == 55
    assert max(len(json.loads(text)["Steps"]) for text in found.definitions.values()) <= 50
    assert {name: problems(text) for name, text in found.definitions.items()} == {
        name: [] for name in found.definitions
    }
    report = next(job for job in found.pipelines[-1].jobs if job.name == "report")
    assert len(report.earlier) > 20


def test_a_definition_of_more_than_a_mebibyte_is_refused(wide: tuple[str, ...], tmp_path: Path) -> None:
    spec = declared(*wide, "launcher.data_jobs=20", f"paths.groupings={tmp_path}/groupings")
    assert isinstance(spec.launcher, SageMaker)
    tags = {f"{at:02d}{'k' * 126}": "v" * 256 for at in range(50)}
    plan = prepare(spec, Store(tmp_path / "store")).plan

    with pytest.raises(ConfigError, match="bytes") as caught:
        compile_definitions(plan, spec.launcher.model_copy(update={"tags": tags}))
    assert "launcher.fuse=true" in caught.value.remedy


@pytest.mark.parametrize(
    ("typed", "where"),
    [
        ("launcher.kinds.embde.volume_gb=70", "launcher.kinds.embde"),
        ("launcher.nodes.mother.volume_gb=70", "launcher.nodes.mother"),
        ("launcher.nodes.parent.volume=70", "launcher.nodes.parent.volume"),
        ("launcher.kinds.export.spot=true", "launcher.kinds.export.spot"),
        ("launcher.kinds.train.max_wait_minutes=5", "launcher.kinds.train.max_wait_minutes"),
    ],
)
def test_an_override_that_cannot_be_is_named(typed: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(*DEMO, typed, folder=tmp_path)

    assert caught.value.where == where


def test_overrides_of_a_node_go_over_those_of_a_kind(tmp_path: Path) -> None:
    typed = (
        "launcher.kinds.train.volume_gb=70",
        "launcher.nodes.child.volume_gb=80",
        "launcher.nodes.parent.spot=false",
    )

    machines = compiled(*DEMO, *typed, folder=tmp_path).machines

    assert machines["plants-debug-parent", "train"].volume_gb == 70
    assert machines["plants-debug-child-liriandra", "train"].volume_gb == 80
    assert machines["plants-debug-child-liriandra", "export"].volume_gb == 80
    assert machines["plants-debug-parent", "export"].volume_gb == 50


# ---- whatever is wrong is found


def test_every_mutation_of_a_definition_is_found(everything: Compiled) -> None:
    chosen = ("plants-debug-data", "plants-debug-parent", "plants-debug-tune-child", "plants-debug-release")
    kinds: dict[str, int] = {}
    missed = []
    for name in chosen:
        for kind, what, mutant in mutants(json.loads(everything.definitions[name])):
            kinds[kind] = kinds.get(kind, 0) + 1
            if not problems(json.dumps(mutant)):
                missed.append((name, kind, what))

    assert missed == []
    assert set(kinds) == {"required", "enum", "reference"}
    assert min(kinds.values()) > 50


Place = tuple[Any, ...]


def mutants(definition: dict[str, Any]) -> Iterator[tuple[str, Place, dict[str, Any]]]:
    """(kind, where, a definition that differs there): each required field gone, each choice and each reference another."""
    for kind, place in places(definition):
        mutant = copy.deepcopy(definition)
        holder: Any = mutant
        for part in place[:-1]:
            holder = holder[part]
        if kind == "required":
            del holder[place[-1]]
        else:
            holder[place[-1]] = f"{holder[place[-1]]}x"
        yield kind, place, mutant


def places(definition: dict[str, Any]) -> Iterator[tuple[str, Place]]:
    yield from (("required", (key,)) for key in ("Version", "Steps", "Parameters"))
    yield "enum", ("Version",)
    for at in range(len(definition["Parameters"])):
        yield from (("required", ("Parameters", at, key)) for key in ("Name", "Type"))
        yield "enum", ("Parameters", at, "Type")
        yield "reference", ("Parameters", at, "Name")
    for at, step in enumerate(definition["Steps"]):
        yield from places_of_step(step, ("Steps", at))


def places_of_step(step: dict[str, Any], at: Place) -> Iterator[tuple[str, Place]]:
    yield from (("required", (*at, key)) for key in ("Name", "Type", "Arguments"))
    yield "enum", (*at, "Type")
    yield from (("reference", (*at, "DependsOn", number)) for number in range(len(step.get("DependsOn", ()))))
    if "DependsOn" in step and step["Type"] in CREATE:
        yield "required", (*at, "DependsOn")
    for number in range(len(step.get("PropertyFiles", ()))):
        place = (*at, "PropertyFiles", number)
        yield from (("required", (*place, key)) for key in ("PropertyFileName", "OutputName", "FilePath"))
        yield from (("reference", (*place, key)) for key in ("PropertyFileName", "OutputName"))
    for number, policy in enumerate(step.get("RetryPolicies", ())):
        place = (*at, "RetryPolicies", number)
        yield from (("required", (*place, key)) for key in policy)
        yield from (("enum", (*place, "ExceptionType", one)) for one in range(len(policy["ExceptionType"])))
    if step["Type"] in CREATE:
        for kind, place in required_and_enums(step["Arguments"], request(CREATE[step["Type"]])):
            yield kind, (*at, "Arguments", *place)
    if step["Type"] == "Condition":
        yield from (("required", (*at, "Arguments", key)) for key in step["Arguments"])
        for number, condition in enumerate(step["Arguments"]["Conditions"]):
            place = (*at, "Arguments", "Conditions", number)
            yield from (("required", (*place, key)) for key in condition)
            yield "enum", (*place, "Type")
        for number, inside in enumerate(step["Arguments"]["ElseSteps"]):
            yield from places_of_step(inside, (*at, "Arguments", "ElseSteps", number))
    if step["Type"] == "Fail":
        yield "required", (*at, "Arguments", "ErrorMessage")
    yield from (("reference", (*at, *place)) for place in gets({k: v for k, v in step.items() if k != "ElseSteps"}))


def gets(given: Any, at: Place = ()) -> Iterator[Place]:
    if isinstance(given, dict):
        for key, value in given.items():
            if key == "Get":
                yield (*at, key)
            yield from gets(value, (*at, key))
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from gets(value, (*at, number))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["Steps"][0]["RetryPolicies"][0].update(ExpireAfterMin=5), "either MaxAttempts or ExpireAfterMin"),
        (lambda d: d["Steps"][0].update(DependsOn=["train"]), "wait for each other"),
        (lambda d: d["Steps"].append(copy.deepcopy(d["Steps"][0])), "2 steps of this name"),
        (lambda d: d["Steps"][0]["Arguments"].update(RoleArn="me"), "is not of the form"),
        (lambda d: d["Steps"][0].update(Name="a" * 65), "no name of a step"),
        (lambda d: d["Steps"][0]["Arguments"]["Environment"].update(A=1), "is no string"),
        (lambda d: d["Steps"][0]["Arguments"]["StoppingCondition"].pop("MaxWaitTimeInSeconds"), "spot capacity"),
        (lambda d: d["Steps"][0]["Arguments"]["StoppingCondition"].update(MaxWaitTimeInSeconds=1), "waits for less"),
        (lambda d: d["Steps"][0]["Arguments"].pop("CheckpointConfig"), "without checkpoints"),
        (lambda d: d["Steps"][0]["Arguments"]["InputDataConfig"].extend([{"ChannelName": "x", "DataSource": {}}] * 20),
         "is not from 1 to 20"),
    ],
)  # fmt: skip
def test_what_no_field_says_is_found_too(
    change: Callable[[dict[str, Any]], Any], said: str, everything: Compiled
) -> None:
    definition = json.loads(everything.definitions["plants-debug-parent"])
    change(definition)

    assert any(said in problem for problem in problems(json.dumps(definition)))


def test_more_than_a_mebibyte_is_found() -> None:
    assert any("bytes" in one for one in problems(json.dumps({"Metadata": {"a": "b" * 1024 * 1024}})))


# ---- golden files


@pytest.mark.parametrize("name", ["data", "parent", "release", "entry"])
def test_definitions_of_the_demo_are_as_they_were(name: str, tmp_path: Path) -> None:
    assert golden(tmp_path)[name] == (GOLDEN / f"{name}.json").read_text(), f"after a look at what changed: {REFRESH}"


def golden(folder: Path) -> dict[str, str]:
    definitions = compiled(*DEMO, "launcher.data_jobs=1", folder=folder).definitions
    kept = {name: definitions[f"plants-debug-{name}"] for name in ("data", "parent", "release")}
    return {name: f"{text}\n" for name, text in (kept | {"entry": definitions["plants-debug"]}).items()}


if __name__ == "__main__":
    import tempfile

    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as here:
        for name, text in golden(Path(here)).items():
            (GOLDEN / f"{name}.json").write_text(text)
