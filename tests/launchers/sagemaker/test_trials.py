"""A tuning job runs here as it would there: what trials get, what counts as their value, which failures it bears."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import StageError
from launchers.sagemaker.execution import Execution
from launchers.sagemaker.trials import Ended, drawn, tune

Json = dict[str, Any]
RANGES: Json = {
    "ContinuousParameterRanges": [
        {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"},
        {"Name": "decay", "MinValue": "-1", "MaxValue": "1", "ScalingType": "Linear"},
    ],
    "IntegerParameterRanges": [{"Name": "size", "MinValue": "2", "MaxValue": "4", "ScalingType": "Linear"}],
    "CategoricalParameterRanges": [{"Name": "how", "Values": ['"a"', "null"]}],
}
GRID: Json = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2"]}, {"Name": "y", "Values": ["3", "4"]}]}


def config(
    ranges: Json = RANGES, *, most: int = 20, strategy: str = "Bayesian", seed: int = 0, sort: str = "Minimize"
) -> Json:
    return {
        "Strategy": strategy,
        "ParameterRanges": ranges,
        "ResourceLimits": {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": 1},
        "HyperParameterTuningJobObjective": {"Type": sort, "MetricName": "loss"},
        "RandomSeed": seed,
    }


def request(settings: Json) -> Json:
    return {
        "HyperParameterTuningJobConfig": settings,
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([-.0-9e]+);"}]},
            "StaticHyperParameters": {"fixed": "1"},
        },
    }


@pytest.fixture
def trials(tmp_path: Path) -> Callable[[list[str | None]], tuple[Callable[[str, Mapping[str, Any]], Ended], list[Any]]]:
    """Containers that print these logs, one after the other; None for one that fails. And what they were given."""

    def make(logs: list[str | None]) -> tuple[Callable[[str, Mapping[str, Any]], Ended], list[Any]]:
        seen: list[Any] = []

        def run(name: str, arguments: Mapping[str, Any]) -> Ended:
            said = logs[len(seen)]
            seen.append((name, arguments["HyperParameters"]))
            log = tmp_path / f"{name}.log"
            log.write_text(said or "loss=0.001;")
            return Ended(code=0 if said is not None else 1, log=log, reason="out of memory")

        return run, seen

    return make


def test_what_is_drawn_lies_in_its_range_and_comes_again_with_the_seed() -> None:
    first = list(drawn(config()))

    assert first == list(drawn(config()))
    assert first != list(drawn(config(seed=1)))
    assert all(0.001 <= float(one["lr"]) <= 0.1 and -1 <= float(one["decay"]) <= 1 for one in first)
    assert {one["size"] for one in first} == {"2", "3", "4"}
    assert {one["how"] for one in first} == {'"a"', "null"}
    assert sum(float(one["lr"]) < 0.01 for one in first) >= 5  # a tenth of the range, but half of its logarithm


def test_a_grid_is_taken_in_its_order() -> None:
    assert list(drawn(config(GRID, strategy="Grid", most=4))) == [
        {"x": x, "y": y} for x, y in (("1", "3"), ("1", "4"), ("2", "3"), ("2", "4"))
    ]


@pytest.mark.parametrize(("sort", "best"), [("Minimize", 1), ("Maximize", 2)])
def test_the_best_is_by_the_last_value_that_each_printed(sort: str, best: int, trials: Callable[..., Any]) -> None:
    run, seen = trials(["loss=2;", "loss=0;\nloss=1e-3;", "loss=0.001;\nloss=3;"])

    found = tune("tune", request(config(most=3, sort=sort)), run)

    name, given = seen[best]
    assert found["HyperParameterTuningJobName"] == "tune"
    assert found["BestTrainingJob"]["TrainingJobName"] == name
    assert given == {
        **found["BestTrainingJob"]["TunedHyperParameters"],
        "fixed": "1",
        "_tuning_objective_metric": "loss",
    }
    assert [name.rpartition("-")[0] for name, _ in seen] == ["tune-001", "tune-002", "tune-003"]


def test_a_trial_that_fails_or_says_nothing_costs_no_more_than_itself(trials: Callable[..., Any]) -> None:
    run, seen = trials([None, "silence", "loss=5;", None])

    found = tune("tune", request(config(most=4)), run)

    assert found["BestTrainingJob"]["TrainingJobName"] == seen[2][0]


def test_five_failures_at_its_beginning_end_a_search(trials: Callable[..., Any]) -> None:
    run, seen = trials([None] * 9)

    with pytest.raises(StageError, match="no trial of 5 succeeded, the last of them: out of memory"):
        tune("tune", request(config(most=9)), run)
    assert len(seen) == 5


def test_a_step_after_a_tuning_job_is_told_which_was_the_best(tmp_path: Path) -> None:
    """The whole way: a container for each trial, by the image's own command, and a branch that reads what came of it."""
    code = """
import json, os, pathlib
root = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"])
given = json.loads((root / "input/config/hyperparameters.json").read_text())
print(f"loss={float(given['x']) + float(given['y'])};", os.environ["TRAINING_JOB_NAME"])
"""
    definition = request(config(GRID, strategy="Grid", most=2, sort="Maximize"))
    definition["TrainingJobDefinition"] |= {
        "InputDataConfig": [], "CheckpointConfig": {"S3Uri": "s3://b/kept", "LocalPath": "/opt/ml/checkpoints"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60}, "Environment": {},
    }  # fmt: skip
    told = [{"Get": "Steps.tune.HyperParameterTuningJobName"}, {"Get": "Steps.tune.BestTrainingJob.TrainingJobName"}]
    keep = "import json, os, sys; open(os.environ['EARTHSNAP_S3_ROOT'] + '/told', 'w').write(json.dumps(sys.argv[1:]))"
    after = {
        "AppSpecification": {"ContainerEntrypoint": ["python", "-c", keep], "ContainerArguments": told},
        "ProcessingInputs": [], "StoppingCondition": {"MaxRuntimeInSeconds": 60}, "Environment": {},
    }  # fmt: skip
    steps = [
        {"Name": "best", "Type": "Processing", "Arguments": after},
        {"Name": "tune", "Type": "Tuning", "Arguments": definition},
    ]
    branch = {"Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}], "IfSteps": steps, "ElseSteps": []}
    pipeline = {"Parameters": [], "Steps": [{"Name": "if", "Type": "Condition", "Arguments": branch}]}

    Execution(pipeline, {}, s3=tmp_path / "s3", work=tmp_path / "work", train=("python", "-c", code)).run()

    tuning_job, best = json.loads((tmp_path / "s3" / "told").read_text())
    assert (tuning_job, best.rpartition("-")[0]) == ("tune", "tune-002")
    assert best in (tmp_path / "work" / "logs" / f"{best}.log").read_text()
