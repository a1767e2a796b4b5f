"""A search by the service's own tuning asks for what was declared, and what that cannot do is refused by name."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Stage
from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from launchers.sagemaker.definition import Compiled
from launchers.sagemaker.strategy import tuning_config
from tests.conftest import DEMO
from tests.launchers.sagemaker.declared import ON_SAGEMAKER, declared
from tests.launchers.sagemaker.test_definition import compiled, mutants
from tests.launchers.sagemaker.validator import problems

GOLDEN = Path(__file__).parent / "golden" / "tune-parent.json"
REFRESH = "python -m tests.launchers.sagemaker.test_tuning"
WHOLE = (
    "+experiment=plants",
    "architecture=parent_child",
    "tracking=none",
)  # as many epochs and trials as are declared
BY_SERVICE = ("tuning=sagemaker",)
HYPERBAND = ("tuning.sampler=random", "tuning.pruning.kind=hyperband")
CHOICES = (
    "~tuning.space.lr", "~tuning.space.weight_decay", "+tuning.space.batch_size={kind: choice, of: [32, 64]}",
    "+tuning.space.imbalance={kind: choice, of: [none, sqrt]}", "+tuning.space.ema_decay={kind: choice, of: [null, 0.9]}",
)  # fmt: skip
# Everything that such a pipeline may hold, at once.
ALL = (
    "training=full", "aws.kms_key=alias/photographs", "launcher.subnets=[subnet-1]", "launcher.security_groups=[sg-1]",
    "aws.tags.team=botany", "tuning.max_minutes=90", "+tuning.space.batch_size={kind: int, low: 16, high: 64, log: true}",
    "+tuning.space.imbalance={kind: choice, of: [none, sqrt]}", *HYPERBAND,
)  # fmt: skip


def tuning_step(found: Compiled, name: str = "plants-tune-parent") -> Any:
    find, condition = json.loads(found.definitions[name])["Steps"]
    assert (find["Name"], condition["Name"]) == ("tune-find", "tune-needed")
    return condition["Arguments"]["ElseSteps"][0]


def config(found: Compiled) -> Any:
    return tuning_step(found)["Arguments"]["HyperParameterTuningJobConfig"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled(*WHOLE, *BY_SERVICE, *ALL, folder=tmp_path_factory.mktemp("tuning"))


@pytest.mark.parametrize(
    "typed",
    [
        (*DEMO, *BY_SERVICE),
        (*WHOLE, *BY_SERVICE, *ALL),
        (*WHOLE, *BY_SERVICE, "tuning.per=node", "launcher.fuse=true", "training=head_then_full"),
        (*WHOLE, *BY_SERVICE, "tuning.sampler=grid", *CHOICES),
    ],
    ids=["demo", "everything", "fused-nodes", "grid"],
)
def test_every_definition_holds(typed: tuple[str, ...], tmp_path: Path) -> None:
    definitions = compiled(*typed, folder=tmp_path).definitions

    assert {name: problems(text) for name, text in definitions.items()} == {name: [] for name in definitions}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Stage]:
    """The stage of a search, with what differs of it from what is declared."""
    folder = tmp_path_factory.mktemp("searched")
    spec = declared(*WHOLE, *BY_SERVICE, f"paths.groupings={folder}/groupings")
    stage = prepare(spec, Store(folder / "store")).plan.stage("tune/parent")

    def make(*, num_epochs: int | None = None, pruning: str = "none", **changes: Any) -> Stage:
        search: Any = copy.deepcopy(stage.settings["search"]) | changes
        search["pruning"]["kind"] = pruning
        members: Any = copy.deepcopy(stage.settings["members"])
        for member in members.values():
            member["training"]["num_epochs"] = num_epochs or member["training"]["num_epochs"]
        return stage.model_copy(update={"settings": stage.settings | {"search": search, "members": members}})

    return make


LR = {"kind": "float", "low": 0.0003, "high": 0.03, "log": True}
CHOICE = {"kind": "choice", "of": ["none", "sqrt"]}


def test_the_request_is_what_was_declared(searched: Callable[..., Stage]) -> None:
    stage = searched(
        num_trials=9, max_minutes=90, objective="val_top1", direction="maximize",
        space={"lr": LR, "batch_size": {"kind": "int", "low": 16, "high": 64},
               "ema_decay": {"kind": "choice", "of": [None, 0.9, "0.9"]}},
    )  # fmt: skip
    stage = stage.model_copy(update={"settings": stage.settings | {"seed": 7}})

    assert tuning_config(stage, at_once=3) == {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "val_top1"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 3, "MaxRuntimeInSeconds": 5400},
        "ParameterRanges": {
            "ContinuousParameterRanges": [
                {"Name": "lr", "MinValue": "0.0003", "MaxValue": "0.03", "ScalingType": "Logarithmic"},
            ],
            "IntegerParameterRanges": [
                {"Name": "batch_size", "MinValue": "16", "MaxValue": "64", "ScalingType": "Linear"}
            ],
            "CategoricalParameterRanges": [{"Name": "ema_decay", "Values": ["null", "0.9", '"0.9"']}],
        },
        "TrainingJobEarlyStoppingType": "Off",
        "RandomSeed": 7,
    }


def test_the_number_of_trials_at_once_is_the_launchers(searched: Callable[..., Stage], tmp_path: Path) -> None:
    found = compiled(*WHOLE, *BY_SERVICE, "launcher.trials_at_once=4", folder=tmp_path)

    assert config(found)["ResourceLimits"]["MaxParallelTrainingJobs"] == 4
    assert tuning_config(searched(num_trials=2), at_once=4)["ResourceLimits"]["MaxParallelTrainingJobs"] == 2


def test_a_grid_tries_every_combination(searched: Callable[..., Stage]) -> None:
    space = {"batch_size": {"kind": "choice", "of": [8, 16]}, "imbalance": CHOICE}

    asked = tuning_config(searched(sampler="grid", space=space), at_once=2)

    assert asked["Strategy"] == "Grid"
    assert asked["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 4


def test_hyperband_deals_out_the_epochs_of_all_that_share_a_search(everything: Compiled) -> None:
    parent = tuning_step(everything)["Arguments"]["HyperParameterTuningJobConfig"]
    child = tuning_step(everything, "plants-tune-child")["Arguments"]["HyperParameterTuningJobConfig"]
    num_epochs = parent["StrategyConfig"]["HyperbandStrategyConfig"]["MaxResource"]
    num_children = sum(name.startswith("plants-child") for name in everything.definitions)

    assert parent["Strategy"] == child["Strategy"] == "Hyperband"
    assert parent["StrategyConfig"]["HyperbandStrategyConfig"]["MinResource"] == round(0.25 * num_epochs)
    assert child["StrategyConfig"]["HyperbandStrategyConfig"]["MaxResource"] == num_children * num_epochs


def test_a_search_is_a_pipeline_of_its_own_and_its_node_learns_what_it_found(tmp_path: Path) -> None:
    """Nothing may have to wait for a branch that can be left out."""
    found = compiled(*DEMO, *BY_SERVICE, "tuning.per=node", folder=tmp_path)

    search, node = (
        next(p for p in found.pipelines if p.name == f"plants-debug-{n}") for n in ("tune-parent", "parent")
    )
    assert [(job.name, job.on) for job in search.jobs] == [("tune", "tuning")]
    assert [job.name for job in node.jobs] == ["train", "export", "evaluate"]
    assert "tune/parent" in node.jobs[0].earlier
    assert found.pipelines.index(search) < found.pipelines.index(node)


def test_trials_run_on_the_machines_of_their_node_and_small_jobs_on_small_ones(tmp_path: Path) -> None:
    typed = ("launcher.nodes.parent.instance_type=ml.g5.4xlarge", "launcher.kinds.tune.volume_gb=70")
    found = compiled(*WHOLE, *BY_SERVICE, *typed, folder=tmp_path)

    find, condition = json.loads(found.definitions["plants-tune-parent"])["Steps"]
    tune, best = condition["Arguments"]["ElseSteps"]
    trials = tune["Arguments"]["TrainingJobDefinition"]["ResourceConfig"]
    assert (trials["InstanceType"], trials["VolumeSizeInGB"]) == ("ml.g5.4xlarge", 70)
    for small in (find, best):
        assert small["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] == "ml.m5.xlarge"


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ({"pruning": "asha"}, "tuning.pruning.kind", "no ASHA"),
        ({"pruning": "hyperband"}, "tuning.sampler", "asks for tpe"),
        ({"pruning": "hyperband", "sampler": "random", "num_epochs": 1}, "tuning.pruning.min_share", "trials of 1 epochs"),
        ({"pruning": "hyperband", "sampler": "random", "space": {"num_epochs": {"kind": "int", "low": 5, "high": 9}}},
         "tuning.space.num_epochs", "deals out epochs"),
        ({"sampler": "grid", "space": {"imbalance": CHOICE}, "num_trials": 1}, "tuning.num_trials", "has 2 combinations"),
        ({"sampler": "grid", "space": {"batch_size": {"kind": "int", "low": 8, "high": 9}}},
         "tuning.space.batch_size.kind", "knows choices alone"),
        ({"space": {"batch_size": {"kind": "int", "low": 8, "high": 16, "step": 8}}},
         "tuning.space.batch_size.step", "no steps"),
        ({"space": {"imbalance": CHOICE, "lr": LR | {"when": {"imbalance": ["none"]}}}},
         "tuning.space.lr.when", "tune/parent has a condition"),
        ({"space": {"batch_size": {"kind": "choice", "of": list(range(1, 32))}}},
         "tuning.space.batch_size.of", "31 choices"),
        ({"space": {"imbalance": {"kind": "choice", "of": ["x" * 255]}}}, "tuning.space.imbalance.of", "too long"),
        ({"max_minutes": 1.5}, "tuning.max_minutes", "ended so soon"),
    ],
)  # fmt: skip
def test_what_the_service_cannot_do_is_refused_by_name(
    changes: dict[str, Any], where: str, said: str, searched: Callable[..., Stage]
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        tuning_config(searched(**changes), at_once=2)

    assert caught.value.where == where
    assert caught.value.remedy or caught.value.allowed


def test_plan_says_what_the_service_cannot_do(earthsnap: Callable[..., Any]) -> None:
    refused = earthsnap("plan", *DEMO, *ON_SAGEMAKER, *BY_SERVICE, "tuning.pruning.kind=asha")

    assert refused.code == 2
    assert "tuning.pruning.kind: the service's tuning has no ASHA" in refused.err


def test_the_service_does_not_search_for_a_run_on_this_machine(earthsnap: Callable[..., Any]) -> None:
    refused = earthsnap(*DEMO, *BY_SERVICE)

    assert refused.code == 2
    assert "tuning.engine: the service searches only where jobs run as its pipelines" in refused.err


# ---- whatever is wrong is found


def test_every_mutation_of_a_search_is_found(everything: Compiled) -> None:
    kinds: dict[str, int] = {}
    missed = []
    for kind, what, mutant in mutants(json.loads(everything.definitions["plants-tune-child"])):
        kinds[kind] = kinds.get(kind, 0) + 1
        if not problems(json.dumps(mutant)):
            missed.append((kind, what))

    assert missed == []
    assert set(kinds) == {"required", "enum", "reference"}
    assert min(kinds.values()) > 15


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a["HyperParameterTuningJobConfig"]["ResourceLimits"].update(MaxParallelTrainingJobs=99), "side by side"),
        (lambda a: a["HyperParameterTuningJobConfig"].update(Strategy="Random"), "and only that, has a StrategyConfig"),
        (lambda a: a["HyperParameterTuningJobConfig"].pop("StrategyConfig"), "and only that, has a StrategyConfig"),
        (lambda a: a["HyperParameterTuningJobConfig"].update(TrainingJobEarlyStoppingType="Auto"), "stops trials itself"),
        (lambda a: a["HyperParameterTuningJobConfig"]["ParameterRanges"]["ContinuousParameterRanges"][0].update(MinValue="5"),
         "ends before it begins"),
        (lambda a: a["HyperParameterTuningJobConfig"]["ParameterRanges"]["ContinuousParameterRanges"][0].update(MinValue="-5"),
         "logarithmic and begins at -5"),
        (lambda a: a["HyperParameterTuningJobConfig"]["ParameterRanges"]["IntegerParameterRanges"][0].update(Name="lr"),
         "searched or set 2 times"),
        (lambda a: a["HyperParameterTuningJobConfig"].pop("ParameterRanges"), "0 keys are searched"),
        (lambda a: a["HyperParameterTuningJobConfig"].pop("HyperParameterTuningJobObjective"), "no objective"),
        (lambda a: a["HyperParameterTuningJobConfig"]["ResourceLimits"].pop("MaxNumberOfTrainingJobs"), "no number"),
        (lambda a: a["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"][0].update(Regex="loss"),
         "not one group"),
        (lambda a: a["TrainingJobDefinition"]["AlgorithmSpecification"].update(ContainerEntrypoint=["x"]), "no such field"),
        (lambda a: a["TrainingJobDefinition"].pop("ResourceConfig"), "no machines"),
        (lambda a: a["TrainingJobDefinition"]["StoppingCondition"].pop("MaxWaitTimeInSeconds"), "spot capacity"),
        (lambda a: a.pop("TrainingJobDefinition"), "no definition of its training jobs"),
    ],
)  # fmt: skip
def test_what_no_field_of_a_search_says_is_found_too(
    change: Callable[[dict[str, Any]], Any], said: str, everything: Compiled
) -> None:
    definition = json.loads(everything.definitions["plants-tune-parent"])
    change(definition["Steps"][1]["Arguments"]["ElseSteps"][0]["Arguments"])

    assert any(said in problem for problem in problems(json.dumps(definition)))


def test_reading_from_a_branch_that_may_be_left_out_is_found(everything: Compiled) -> None:
    definition = json.loads(everything.definitions["plants-tune-parent"])
    after = copy.deepcopy(definition["Steps"][1]["Arguments"]["ElseSteps"][1])
    definition["Steps"].append({**after, "Name": "after"})

    assert any("a branch that may be left out" in problem for problem in problems(json.dumps(definition)))


# ---- golden file


def test_the_definition_of_a_search_is_as_it_was(tmp_path: Path) -> None:
    assert golden(tmp_path) == GOLDEN.read_text(), f"after a look at what changed: {REFRESH}"


def golden(folder: Path) -> str:
    definition = json.loads(compiled(*DEMO, *BY_SERVICE, folder=folder).definitions["plants-debug-tune-parent"])
    definition["Parameters"][1]["DefaultValue"] = "..."
    return json.dumps(definition, indent=1) + "\n"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as here:
        GOLDEN.write_text(golden(Path(here)))
