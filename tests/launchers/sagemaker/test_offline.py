"""The demo made small, through its pipelines: from nothing to the very release that a run on this machine makes."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import StageError
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.conductor import run_name
from launchers.sagemaker.definition import compile_definitions
from launchers.sagemaker.execution import Execution
from launchers.sagemaker.shelf import Shelf
from launchers.sagemaker.submit import gather, submit
from tests.conftest import DEMO, FinishedRun, environment, program
from tests.launchers.sagemaker.declared import ON_SAGEMAKER, declared

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("offline")]
OFFLINE = (*DEMO, *ON_SAGEMAKER, "launcher.execute=offline", "launcher.fuse=true", "launcher.data_jobs=2")


@dataclass(frozen=True)
class Offline:
    folder: Path
    out: str

    @property
    def summaries(self) -> list[Any]:
        runs = sorted((self.folder / "outputs" / "plants-debug").iterdir())
        return [json.loads((run / "summary.json").read_bytes()) for run in runs]

    def prepared(self, *typed: str) -> tuple[Prepared, SageMaker]:
        spec = declared(*DEMO, *typed, f"paths.groupings={self.folder}/groupings")
        assert isinstance(spec.launcher, SageMaker)
        return prepare(spec, Store(self.folder / "store")), spec.launcher


def command(folder: Path, *typed: str) -> str:
    done = subprocess.run(
        program(*typed), cwd=folder, env=environment(OMP_NUM_THREADS="1"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    folder = tmp_path_factory.mktemp("offline")
    return Offline(folder, command(folder, *OFFLINE))


def test_it_makes_the_release_that_this_machine_makes(offline: Offline, finished_run: FinishedRun) -> None:
    here, there = finished_run.summary, offline.summaries[0]

    assert there["release"]["digest"] == here["release"]["digest"]
    assert there["release"]["state"] == "PendingApproval"
    measured = {"latency_ms"}  # by the clock
    assert {k: v for k, v in there["family"].items() if k not in measured} == {
        k: v for k, v in here["family"].items() if k not in measured
    }


def test_every_stage_has_the_key_and_the_content_that_it_has_here(offline: Offline, finished_run: FinishedRun) -> None:
    assert offline.summaries[0]["lineage"] == finished_run.summary["lineage"]
    here, there = Store(finished_run.folder / "store"), Store(offline.folder / "store")
    # The report says what was measured by the clock.
    assert {one.key: one.digest for one in there.all() if one.kind != "report"} == {
        one.key: one.digest for one in here.all() if one.kind != "report"
    }


def test_jobs_that_are_cut_otherwise_find_everything_done(offline: Offline) -> None:
    out = command(offline.folder, *OFFLINE, "launcher.fuse=false", "launcher.data_jobs=1")

    assert "as it was already" in out
    assert all(stage["cached"] for stage in offline.summaries[-1]["stages"].values())


def test_training_that_is_ended_has_saved_what_it_had(offline: Offline) -> None:
    """The limit of its time comes long before its end, and long before a checkpoint would have been due."""
    prepared, settings = offline.prepared("launcher.checkpoint_every_s=3600")
    longer = [_longer(stage) if stage.name == "train/parent" else stage for stage in prepared.plan.stages]
    plan = prepared.plan.model_copy(update={"stages": tuple(longer)})
    compiled = compile_definitions(plan, settings)
    s3 = offline.folder / "store" / "sagemaker" / "s3"
    bucket = FolderBucket(s3 / settings.bucket)
    shelf = Shelf(bucket, name=settings.bucket, prefix=settings.prefix)
    run = run_name(prepared.plan)
    parent = next(one for one in compiled.pipelines if one.name == "plants-debug-parent")
    submit(compiled, plan, prepared.places, bucket, prefix=settings.prefix)
    gather(parent, ["train"], shelf, run)
    definition = json.loads(compiled.definitions["plants-debug-parent"])
    definition["Steps"] = definition["Steps"][:1]
    definition["Steps"][0]["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] = 30

    values = {"Run": run, **compiled.parameters["plants-debug-parent"]}
    with pytest.raises(StageError, match="143"):
        Execution(definition, values, s3=s3, work=offline.folder / "ended").run()

    kept = s3 / settings.bucket / settings.prefix / "checkpoints" / run / "plants-debug-parent" / "train"
    assert len(list(kept.rglob("last.ckpt"))) == 1
    assert "stopped; the same job goes on" in (offline.folder / "ended" / "logs" / "train.log").read_text()


def _longer(stage: Any) -> Any:
    training: Mapping[str, Any] = stage.settings["training"]
    return stage.model_copy(update={"settings": stage.settings | {"training": {**training, "num_epochs": 100_000}}})


def test_a_container_needs_no_aws_and_no_boto3(offline: Offline) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import launchers.sagemaker.job"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert not {"boto3", "botocore", "torch", "sagemaker.core"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }
