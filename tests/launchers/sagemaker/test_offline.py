"""The demo made small, through its pipelines: from nothing to the very release that a run on this machine makes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import launchers.local
from earthsnap_train.pipeline.plan import Plan, Stage
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.spec.launcher import Local, SageMaker
from launchers.local import Event, Outcome
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.conductor import Conductor, run_name
from launchers.sagemaker.faults import Faults
from launchers.sagemaker.offline import OfflineService
from tests.conftest import DEMO, FinishedRun, declare, environment, program
from tests.launchers.sagemaker.declared import ON_SAGEMAKER, declared

pytestmark = pytest.mark.slow
OFFLINE = (*DEMO, *ON_SAGEMAKER, "launcher.execute=offline", "launcher.fuse=true", "launcher.data_jobs=2")


@dataclass(frozen=True)
class Offline:
    folder: Path
    out: str

    @property
    def summaries(self) -> list[Any]:
        runs = sorted((self.folder / "outputs" / "plants-debug").iterdir())
        return [json.loads((run / "summary.json").read_bytes()) for run in runs]

    def prepared(self, *typed: str, tuning: Mapping[str, Any] = {}) -> tuple[Prepared, SageMaker]:
        """``tuning``: what the demo made small has otherwise."""
        spec = declared(*DEMO, *typed, f"paths.groupings={self.folder}/groupings")
        spec = spec.model_copy(update={"tuning": spec.tuning.model_copy(update=tuning)})
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


def test_a_run_with_faults_makes_the_release_of_one_without(offline: Offline, tmp_path: Path) -> None:
    """Training is interrupted long before a checkpoint is due, a machine is lost while it uploads, a gate is missed. Only
    what is taught anew, and what comes of it, runs again."""
    prepared, settings = offline.prepared("launcher.checkpoint_every_s=3600", "launcher.retries.interval_s=3")
    child = next(node for node in prepared.plan.nodes if node.startswith("child/"))
    plan = taught_longer(prepared.plan, child)
    store = Store(shutil.copytree(offline.folder / "store", tmp_path / "store"))
    calm = Store(shutil.copytree(offline.folder / "store", tmp_path / "calm", ignore=lambda *_: ["sagemaker"]))
    bucket = tmp_path / "store" / "sagemaker" / "s3" / settings.bucket / settings.prefix
    told: list[str] = []
    kept: list[str] = []
    half: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "note":
            told.append(event.values["text"])
            kept.extend(path.name for path in (bucket / "checkpoints").rglob("last.ckpt"))
            half.extend(_unfinished(bucket / "store") if "lost" in told[-1] else ())

    faults = {
        "plants-debug-parent": Faults(interrupted={"train": "*"}),
        "plants-debug-release": Faults(lost={"bundle": "*/taxonomy.parquet"}),
    }
    outcomes = conduct(plan, settings, store, prepared.places, listen, faults=faults)
    needed = {stage.name for stage in plan.stages} - {"report"}
    local = launchers.local.launch(plan, _local(), calm, prepared.places, lambda event: None, only=needed)

    spot, lost, missed = (next(text for text in told if part in text) for part in ("spot", "lost", child[6:]))
    assert spot == "train: its spot capacity was taken away; it is started again with its checkpoints"
    assert "last.ckpt" in kept
    assert lost == "bundle: its machine was lost; it is tried again in 3 s"
    assert half == [outcomes["bundle"].artifact.key]
    assert "misses a gate" in missed
    gates = bucket / "runs" / run_name(plan) / f"plants-debug-{child.replace('/', '-')}" / "gates" / "gates.json"
    (reason,) = json.loads(gates.read_bytes())["missed"]
    assert f"nodes.{child}.top1" in reason
    assert outcomes["ingest"].cached
    there, here = (where.path(made["bundle"].artifact.key) for where, made in ((store, outcomes), (calm, local)))
    assert release_digest(there) == release_digest(here)
    for outcome in outcomes.values():
        store.verify(outcome.artifact.key)


def test_the_services_own_tuning_finds_what_a_node_is_taught_with_and_does_not_search_again(
    offline: Offline, tmp_path: Path
) -> None:
    """What the search reads is there from the run before. Three trials, each a container."""
    prepared, settings = offline.prepared("tuning=sagemaker", tuning={"num_trials": 3})
    scope = ["ingest", "trunk", "tune/parent", "train/parent"] + [
        stage.name for stage in prepared.plan.stages if stage.kind in ("draw", "select", "records", "embed")
    ]

    def search(store: Store) -> Mapping[str, Outcome]:
        return conduct(prepared.plan, settings, store, prepared.places, lambda event: None, only=scope)

    store = Store(shutil.copytree(offline.folder / "store", tmp_path / "store"))
    made = search(store)
    shutil.rmtree(store.path(made["tune/parent"].artifact.key))
    again = search(store)

    trials = json.loads((store.path(made["tune/parent"].artifact.key) / "notes" / "trials.json").read_text())
    best = min(trials, key=lambda trial: trial["value"])
    assert len(trials) == 3
    found = json.loads((store.path(made["tune/parent"].artifact.key) / "best.json").read_text())
    assert found["settings"] == best["params"]
    assert made["train/parent"].artifact.ingredients["inputs"]["tune"] == made["tune/parent"].artifact.digest
    assert not made["tune/parent"].cached
    assert again["tune/parent"].artifact.digest == made["tune/parent"].artifact.digest
    assert len(list((store.root / "sagemaker" / "executions" / "plants-debug-tune-parent").iterdir())) == 1


def conduct(
    plan: Plan, settings: SageMaker, store: Store, here: Mapping[str, Path], listen: Callable[[Event], None], *,
    faults: Mapping[str, Faults] | None = None, only: Collection[str] | None = None,
) -> Mapping[str, Outcome]:  # fmt: skip
    folder = store.root / "sagemaker"
    service = OfflineService(folder, s3=folder / "s3", faults=faults)
    bucket = FolderBucket(folder / "s3" / settings.bucket)
    return Conductor(plan, settings, store, bucket, service, listen).go(here, only)


def taught_longer(plan: Plan, child: str) -> Plan:
    """The parent and a child for some more epochs; and nothing can be as good as a gate of that child wants."""

    def changed(stage: Stage) -> Stage:
        settings: dict[str, Any] = dict(stage.settings)
        if stage.name in ("train/parent", f"train/{child}"):
            settings["training"] = {**settings["training"], "num_epochs": 20}
        if stage.name == "evaluate/family":
            settings["gates"] = {f"nodes.{child}.top1": {"min": 2.0, "max": None}}
        return stage.model_copy(update={"settings": settings})

    return plan.model_copy(update={"stages": tuple(map(changed, plan.stages))})


def _unfinished(store: Path) -> list[str]:
    """Artifacts of which something has been uploaded, and which nobody takes for whole."""
    return [folder.name for folder in store.iterdir() if not (folder / "artifact.json").exists()]


def _local() -> Local:
    launcher = declare(*DEMO).launcher
    assert isinstance(launcher, Local)
    return launcher


def test_a_container_needs_no_aws_and_no_boto3(offline: Offline) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import launchers.sagemaker.job"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert not {"boto3", "botocore", "torch", "sagemaker.core"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }
