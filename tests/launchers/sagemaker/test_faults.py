"""What the service does about a job that it failed itself, and about capacity that it takes away."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import StageError
from launchers.sagemaker.execution import Execution
from launchers.sagemaker.faults import Faults
from tests.launchers.sagemaker.test_execution import LISTS, processing

Json = dict[str, Any]
CAPACITY, THROTTLED = "SageMaker.CAPACITY_ERROR", "Step.THROTTLING"
POLICIES = [
    {"ExceptionType": [THROTTLED], "IntervalSeconds": 5, "BackoffRate": 1.0, "MaxAttempts": 1},
    {"ExceptionType": [CAPACITY, "SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 60, "BackoffRate": 2.0, "MaxAttempts": 3},
]  # fmt: skip
# What it finds, it says; then it learns a little, and is asked to end.
LEARNS = """
import os, pathlib, signal, sys, time
root = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"])
seen = pathlib.Path(os.environ["EARTHSNAP_S3_ROOT"], "b", "seen")
step, left = root / "checkpoints" / "deep" / "last.ckpt", root / "left"
with seen.open("a") as out:
    print(step.read_text() if step.exists() else "nothing", left.exists(), file=out)
if step.exists():
    sys.exit(0)
left.touch()
signal.signal(signal.SIGTERM, lambda *_: (step.write_text("saved"), sys.exit(143)))
step.parent.mkdir()
step.write_text("begun")
time.sleep(60)
"""


def training(code: str, *, spot: bool = True) -> Json:
    arguments = {
        "AlgorithmSpecification": {"ContainerEntrypoint": ["python", "-c", code], "ContainerArguments": ["training"]},
        "InputDataConfig": [
            {"ChannelName": "data", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/data/"}}}
        ],
        "CheckpointConfig": {"S3Uri": "s3://b/kept", "LocalPath": "/opt/ml/checkpoints"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "EnableManagedSpotTraining": spot,
        "Environment": {"NAME": "train"},
    }
    return {"Name": "train", "Type": "Training", "Arguments": arguments, "RetryPolicies": POLICIES}


@pytest.fixture
def slept() -> list[float]:
    """The seconds between attempts."""
    return []


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def execute(tmp_path: Path, slept: list[float], told: list[str]) -> Callable[..., str | None]:
    (tmp_path / "s3" / "b" / "data").mkdir(parents=True)
    (tmp_path / "s3" / "b" / "data" / "x").touch()

    def call(step: Json, *, sleep: Callable[[float], None] = slept.append, **faults: Any) -> str | None:
        return Execution(
            {"Parameters": [], "Steps": [step]}, {}, s3=tmp_path / "s3", work=tmp_path / "work",
            faults=Faults(**faults), sleep=sleep, told=lambda job, text: told.append(f"{job}: {text}"),
        ).run()  # fmt: skip

    return call


def test_a_job_that_the_service_failed_is_tried_again_after_longer_and_longer_waits(
    tmp_path: Path, execute: Callable[..., Any], slept: list[float], told: list[str]
) -> None:
    execute(processing("look", LISTS, RetryPolicies=POLICIES), refused={"look": [CAPACITY, CAPACITY, THROTTLED]})

    assert slept == [60, 120, 5]
    assert told[0] == f"look: the service ended it with {CAPACITY}; it is tried again in 60 s"
    assert (tmp_path / "s3" / "b" / "seen" / "look").exists()


@pytest.mark.parametrize(
    ("refused", "num_waits", "allowed"),
    [
        ([THROTTLED, THROTTLED], 1, "1 further attempts"),
        ([CAPACITY] * 4, 3, "3 further attempts"),
        (["Step.SERVICE_FAULT"], 0, "no policy tries Step.SERVICE_FAULT again"),
    ],
)
def test_once_policies_allow_no_more_the_job_has_failed(
    refused: list[str], num_waits: int, allowed: str, tmp_path: Path, execute: Callable[..., Any], slept: list[float]
) -> None:
    with pytest.raises(StageError) as caught:
        execute(processing("look", LISTS, RetryPolicies=POLICIES), refused={"look": refused})

    assert (caught.value.what, caught.value.where) == (f"the service ended it with {refused[-1]}", "look")
    assert caught.value.allowed == allowed
    assert len(slept) == num_waits
    assert not (tmp_path / "s3" / "b" / "seen").exists()


def test_a_job_that_fails_by_itself_is_not_tried_again(execute: Callable[..., Any], slept: list[float]) -> None:
    with pytest.raises(StageError, match="it ended with code 7"):
        execute(processing("bad", "raise SystemExit(7)", RetryPolicies=POLICIES))

    assert slept == []


def test_what_was_interrupted_has_its_checkpoints_and_nothing_else(
    tmp_path: Path, execute: Callable[..., Any], slept: list[float], told: list[str]
) -> None:
    execute(training(LEARNS), interrupted={"train": "last.ckpt"})

    assert (tmp_path / "s3" / "b" / "seen").read_text().splitlines() == ["nothing False", "saved False"]
    assert told == ["train: its spot capacity was taken away; it is started again with its checkpoints"]
    assert slept == []


def test_capacity_that_is_not_spot_is_not_taken_away(execute: Callable[..., Any]) -> None:
    with pytest.raises(StageError, match="it ended before it could be interrupted"):
        execute(training("pass", spot=False), interrupted={"train": "last.ckpt"})


LOSES = """
import os, pathlib
from launchers.sagemaker.job import _bucket
file = pathlib.Path(os.environ["EARTHSNAP_ML_ROOT"], "weights")
file.write_bytes(b"0123456789")
bucket = _bucket()
bucket.upload("store/k/other", file)
bucket.upload("store/k/weights", file)
bucket.write_new("store/k/artifact.json", b"{}")
"""


def test_a_machine_that_is_lost_leaves_half_an_upload_and_the_next_one_makes_it_whole(
    tmp_path: Path, execute: Callable[..., Any], told: list[str]
) -> None:
    step = processing("export", LOSES, RetryPolicies=POLICIES)
    step["Arguments"]["Environment"]["EARTHSNAP_BUCKET"] = "b"
    folder = tmp_path / "s3" / "b" / "store" / "k"
    between: list[dict[str, int]] = []

    def sizes() -> dict[str, int]:
        return {path.name: path.stat().st_size for path in folder.iterdir()}

    execute(step, lost={"export": "*/weights"}, sleep=lambda _: between.append(sizes()))

    assert between == [{"other": 10, "weights": 5}]
    assert told == ["export: its machine was lost; it is tried again in 60 s"]
    assert sizes() == {"other": 10, "weights": 10, "artifact.json": 2}


def test_a_fault_that_never_came_about_is_told(tmp_path: Path, execute: Callable[..., Any]) -> None:
    with pytest.raises(StageError, match="it ended before it could be lost"):
        execute(processing("look", LISTS), lost={"look": "*"})
    assert json.loads((tmp_path / "s3" / "b" / "seen" / "look").read_text())
