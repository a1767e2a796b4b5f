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
        (*DEMO, "architecture=shared_trunk"),
        (*DEMO, "architecture=shared_trunk", "training=head_then_full", "training.fit_on=full", "launcher.fuse=true"),
        (*DEMO, "launcher.data_jobs=1", "launcher.training.spot=false"),
    ],
    ids=["demo", "everything", "fused", "fused-full", "flat", "shared-trunk", "shared-trunk-taught", "one-data-job"],
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
    for fuse, *typed in (
        ("false", *ALL),
        ("true", *ALL),
        ("true", *DEMO, "architecture=shared_trunk", "training=full"),
    ):
        spec = declared(*typed, f"launcher.fuse={fuse}", f"paths.groupings={tmp_path}/groupings")
        plan = prepare(spec, Store(tmp_path / "store")).plan
        assert isinstance(spec.launcher, SageMaker)
        jobs = [job for one in compile_definitions(plan, spec.launcher).pipelines for job in one.jobs]

        assert sorted(s.name for job in jobs for s in job.stages) == sorted(s.name for s in plan.stages)


def test_a_shared_trunk_is_taught_before_anything_looks_through_it_and_all_heads_are_one_pipeline(
    tmp_path: Path,
) -> None:
    taught = compiled(*DEMO, "architecture=shared_trunk", "training=head_then_full", folder=tmp_path)

    assert [one.name for one in taught.pipelines] == [
        "plants-debug-data", "plants-debug-trunk", "plants-debug-heads", "plants-debug-release",
    ]  # fmt: skip
    trunk, heads = taught.pipelines[1:3]
    made = [stage.name for job in trunk.jobs for stage in job.stages]
    assert made[:2] == ["train/trunk", "trunk/taught"]
    assert set(made[2:]) == {
        "embed/originals",
        *(f"embed/trunk/taught/{g}" for g in ("campanora", "heliastra", "liriandra")),
    }
    assert [stage.name for job in heads.jobs for stage in job.stages] == ["heads", "ablate", "evaluate/heads"]

    frozen = compiled(*DEMO, "architecture=shared_trunk", folder=tmp_path)
    assert [one.name for one in frozen.pipelines] == ["plants-debug-data", "plants-debug-heads", "plants-debug-release"]


def test_fusing_joins_what_a_node_does_to_small_jobs(tmp_path: Path) -> None:
    apart = compiled(*DEMO, folder=tmp_path)
    joined = compiled(*DEMO, "launcher.fuse=true", folder=tmp_path)

    def jobs(one: Compiled, name: str) -> list[str]:
        return [job.name for pipeline in one.pipelines if pipeline.name == name for job in pipeline.jobs]

    assert jobs(apart, "plants-debug-parent") == ["train", "export", "evaluate"]
    assert jobs(joined, "plants-debug-parent") == ["train-to-evaluate"]
    assert jobs(joined, "plants-debug-release") == ["calibrate-to-report"]


def test_a_whole_network_is_taught_by_a_training_job_even_where_steps_are_joined(tmp_path: Path) -> None:
    joined = compiled(*DEMO, "training=full", "launcher.fuse=true", folder=tmp_path)

    parent = next(one for one in joined.pipelines if one.name == "plants-debug-parent")
    assert [(job.name, job.on) for job in parent.jobs] == [("train", "training"), ("export-to-evaluate", "processing")]


def test_reading_at_random_places_from_a_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"launcher\..*input_mode.*FastFile") as caught:
        declared(*DEMO, "launcher.input_mode=FastFile")
    assert "File" in caught.value.allowed


def step_of(one: Compiled, pipeline: str, job: str) -> Any:
    return next(step for step in json.loads(one.definitions[pipeline])["Steps"] if step["Name"] == job)


def distributions(step: Any) -> dict[str, str]:
    return {i["InputName"]: i["S3Input"]["S3DataDistributionType"] for i in step["Arguments"]["ProcessingInputs"]}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    root = draw_folder(tmp_path_factory.mktemp("few"), species={"Rosa/canina": 8, "Rosa/rugosa": 8})
    return (
        "name=few", "dataset=folder", f"dataset.source.root={root}", "dataset.source.ranks=[genus]", "grouping.min_species=1",
        "dataset.min_images_per_species=4", "dataset.split.min_per_species=1",
    )  # fmt: skip


def test_photographs_are_dealt_out_to_the_machines_that_look_at_them_and_to_no_others(
    folder_of: tuple[str, ...], tmp_path: Path
) -> None:
    found = compiled(*folder_of, "launcher.qa_instances=3", folder=tmp_path)

    look, ingest = (step_of(found, "few-data", name) for name in ("look", "ingest"))
    assert problems(found.definitions["few-data"]) == []
    assert look["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 3
    assert ingest["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1
    assert distributions(look) == {"job": "FullyReplicated", "external-photographs": "ShardedByS3Key"}
    assert set(distributions(ingest).values()) == {"FullyReplicated"}
    assert ingest["DependsOn"] == ["look"]


def test_what_was_drawn_is_whole_on_every_machine_and_ingest_waits_for_both(tmp_path: Path) -> None:
    """Of an artifact no machine could tell whether its share is whole; each takes its photographs by their paths."""
    found = compiled(*DEMO, "launcher.qa_instances=2", "launcher.fuse=true", folder=tmp_path)

    data = found.definitions["plants-debug-data"]
    assert problems(data) == []
    assert [step["Name"] for step in json.loads(data)["Steps"]][:3] == ["draw", "look", "ingest"]
    look, ingest = (step_of(found, "plants-debug-data", name) for name in ("look", "ingest"))
    assert set(distributions(look).values()) == {"FullyReplicated"}
    assert ingest["DependsOn"] == ["draw", "look"]
    assert list(distributions(ingest)) == ["job", "before"]


def test_one_machine_for_checking_or_a_limit_on_photographs_makes_no_job_of_it(
    folder_of: tuple[str, ...], tmp_path: Path
) -> None:
    one = compiled(*folder_of, "launcher.qa_instances=1", folder=tmp_path)
    limited = compiled(*folder_of, "launcher.qa_instances=3", "dataset.limit.species=2", folder=tmp_path)

    for found in (one, limited):
        assert "look" not in [job.name for job in found.pipelines[0].jobs]


def test_several_machines_teach_whole_networks_together_and_nothing_else(tmp_path: Path) -> None:
    typed = (*DEMO, "training=full", "tuning=quick", "launcher.training.instance_count=2")
    found = compiled(*typed, "launcher.nodes.flat.instance_count=4", "nodes.parent.method=head", folder=tmp_path)

    counts = {
        (pipeline, step["Name"]): step["Arguments"]["ResourceConfig"]["InstanceCount"]
        for pipeline, text in found.definitions.items()
        for step in json.loads(text)["Steps"]
        if step["Type"] == "Training"
    }
    assert {count for (_, job), count in counts.items() if job.startswith("tune")} == {1}
    assert counts["plants-debug-parent", "train"] == 1
    taught = {pipeline: count for (pipeline, job), count in counts.items() if job == "train" and "child" in pipeline}
    assert set(taught.values()) == {2}
    assert all(problems(text) == [] for text in found.definitions.values())


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


def test_however_many_jobs_one_reads_they_are_one_channel(wide: tuple[str, ...], tmp_path: Path) -> None:
    """As if one job selected from what twenty others packed: no plan of today has such a job."""
    spec = declared(*wide, "launcher.data_jobs=20", f"paths.groupings={tmp_path}/groupings")
    assert isinstance(spec.launcher, SageMaker)
    plan = prepare(spec, Store(tmp_path / "store")).plan
    packed = [stage.name for stage in plan.stages if stage.kind == "records"]
    trunk = plan.stage("trunk").model_copy(update={"inputs": {name: name for name in packed}})
    plan = plan.model_copy(update={"stages": tuple(trunk if s.name == "trunk" else s for s in plan.stages)})

    found = compile_definitions(plan, spec.launcher)

    step = step_of(found, "wide-data", "trunk")
    assert len(step["DependsOn"]) == 20
    assert list(distributions(step)) == ["job", "before"]
    followers = [one.followers for one in found.descriptions.values() if one.job.startswith("records")]
    assert all(one["trunk"] == tuple(step["DependsOn"]) for one in followers)
    assert problems(found.definitions["wide-data"]) == []


def test_a_definition_of_more_than_a_mebibyte_is_refused(wide: tuple[str, ...], tmp_path: Path) -> None:
    spec = declared(*wide, "launcher.data_jobs=20", f"paths.groupings={tmp_path}/groupings")
    assert isinstance(spec.launcher, SageMaker)
    tags = {f"{at:02d}{'k' * 126}": "v" * 256 for at in range(50)}
    plan = prepare(spec, Store(tmp_path / "store")).plan

    with pytest.raises(ConfigError, match="bytes") as caught:
        compile_definitions(plan, spec.launcher.model_copy(update={"tags": tags, "subnets": ["s" * 32] * 16}))
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
        for branch in ("IfSteps", "ElseSteps"):
            for number, inside in enumerate(step["Arguments"][branch]):
                yield from places_of_step(inside, (*at, "Arguments", branch, number))
    if step["Type"] == "Fail":
        yield "required", (*at, "Arguments", "ErrorMessage")
    if step["Type"] != "Condition":  # the steps inside of one have been looked at by themselves
        yield from places_of_functions(step, at)
    else:
        yield from places_of_functions(step["Arguments"]["Conditions"], (*at, "Arguments", "Conditions"))


def places_of_functions(given: Any, at: Place) -> Iterator[tuple[str, Place]]:
    yield from (("reference", (*at, *place)) for place in gets(given))
    yield from (("required", (*at, *place)) for place in fields_of_functions(given))


def fields_of_functions(given: Any, at: Place = ()) -> Iterator[Place]:
    if isinstance(given, dict | list):
        for key, value in given.items() if isinstance(given, dict) else enumerate(given):
            if isinstance(key, str) and key.startswith("Std:"):
                yield from ((*at, key, field) for field in value)
            yield from fields_of_functions(value, (*at, key))


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


def test_machines_that_teach_stay_for_the_next_job_where_that_is_declared(tmp_path: Path) -> None:
    made = compiled(
        *DEMO, "training=full", "launcher.training.spot=false", "launcher.training.warm_minutes=10", folder=tmp_path
    )

    kept = {
        step["Arguments"]["ResourceConfig"].get("KeepAlivePeriodInSeconds")
        for text in made.definitions.values()
        for step in json.loads(text)["Steps"]
        if step["Type"] == "Training"
    }
    assert kept == {600}
    assert {name: problems(text) for name, text in made.definitions.items()} == {name: [] for name in made.definitions}


def test_jobs_that_teach_nothing_run_in_the_light_image(tmp_path: Path) -> None:
    light = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/light:1"
    made = compiled(*DEMO, f"launcher.light_image={light}", folder=tmp_path)

    found: dict[str, bool] = {}
    for text in made.definitions.values():
        for step in json.loads(text)["Steps"]:
            request = step["Arguments"]
            image = request.get("AppSpecification", {}).get("ImageUri")
            if step["Type"] in ("Processing", "Training"):
                found[step["Name"].rstrip("-0123456789")] = image == light
    assert {name for name, is_light in found.items() if is_light} == {
        "draw", "ingest", "select", "records", "evaluate", "calibrate", "evaluate-family", "bundle", "report",
    }  # fmt: skip
    assert {name for name, is_light in found.items() if not is_light} == {
        "trunk",
        "embed",
        "train",
        "export",
        "conduct",
    }


if __name__ == "__main__":
    import tempfile

    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as here:
        for name, text in golden(Path(here)).items():
            (GOLDEN / f"{name}.json").write_text(text)
