"""The demo made small, through its pipelines: from nothing to the very release that a run on this machine makes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import launchers.local
from earthsnap_train.pipeline.plan import Plan, Stage, digest_of
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.spec.launcher import Local, SageMaker
from launchers.local import Event, Outcome
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.faults import Faults
from launchers.sagemaker.offline import run_pipelines
from launchers.sagemaker.shelf import Done, Shelf
from tests.conftest import DEMO, FinishedRun, declare, environment, program
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
    prepared, settings = offline.prepared("launcher.checkpoint_every_s=3600")
    child = next(node for node in prepared.plan.nodes if node.startswith("child/"))
    plan = taught_longer(prepared.plan, gate=f"nodes.{child}.top1")
    judged = [f"{kind}/{child}" for kind in ("train", "export", "evaluate")]  # found, and judged again
    anew = ["train/parent", "export/parent", "evaluate/parent", "evaluate/family", "bundle"]
    store = Store(shutil.copytree(offline.folder / "store", tmp_path / "store"))
    calm = Store(shutil.copytree(offline.folder / "store", tmp_path / "calm", ignore=lambda *_: ["sagemaker"]))
    bucket = tmp_path / "store" / "sagemaker" / "s3" / settings.bucket / settings.prefix
    run = bucket / "runs" / run_name(plan)
    repeat(bucket / "runs" / run_name(prepared.plan), run, without=anew)
    told: list[str] = []
    kept: list[str] = []
    half: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "note":
            told.append(event.values["text"])
            kept.extend(path.name for path in (bucket / "checkpoints").rglob("last.ckpt"))

    outcomes = run_pipelines(
        plan, settings, store, prepared.places, listen, only=[*anew, *judged],
        faults={
            "plants-debug-parent": Faults(interrupted={"train": "*"}),
            "plants-debug-release": Faults(lost={"bundle": "*/taxonomy.parquet"}),
        },
        sleep=lambda _: half.extend(_unfinished(bucket / "store")),
    )  # fmt: skip
    needed = {stage.name for stage in plan.stages} - {"report"}
    local = launchers.local.launch(plan, _local(), calm, prepared.places, lambda event: None, only=needed)

    spot, lost, missed = (next(text for text in told if part in text) for part in ("spot", "lost", child[6:]))
    assert spot == "train: its spot capacity was taken away; it is started again with its checkpoints"
    assert "last.ckpt" in kept
    assert lost == "bundle: its machine was lost; it is tried again in 60 s"
    assert half == [outcomes["bundle"].artifact.key]
    assert "misses a gate" in missed
    reasons = json.loads((run / f"plants-debug-{child.replace('/', '-')}" / "gates" / "gates.json").read_bytes())[
        "missed"
    ]
    assert len(reasons) == 1
    assert f"nodes.{child}.top1" in reasons[0]
    there, here = (where.path(made["bundle"].artifact.key) for where, made in ((store, outcomes), (calm, local)))
    assert release_digest(there) == release_digest(here)
    for name in anew:
        store.verify(outcomes[name].artifact.key)


def test_the_services_own_tuning_finds_what_a_node_is_taught_with_and_does_not_search_again(offline: Offline) -> None:
    """What the search reads is there from the run before. Three trials, each a container."""
    prepared, settings = offline.prepared("tuning=sagemaker", tuning={"num_trials": 3})
    s3 = offline.folder / "store" / "sagemaker" / "s3"
    shelf = Shelf(FolderBucket(s3 / settings.bucket), name=settings.bucket, prefix=settings.prefix)
    run = run_name(prepared.plan)
    for name, state in prepared.states.items():
        if state.key is not None and state.status == "cached":
            shelf.tell(run, Done(stage=name, key=state.key, cached=True))

    def search(*stages: str) -> Mapping[str, Outcome]:
        store = Store(offline.folder / "store")
        return run_pipelines(prepared.plan, settings, store, prepared.places, lambda event: None, only=stages)

    made = search("tune/parent", "train/parent")
    again = search("tune/parent")

    found = Store(offline.folder / "store").path(made["tune/parent"].artifact.key)
    trials = json.loads((found / "notes" / "trials.json").read_text())
    best = min(trials, key=lambda trial: trial["value"])
    assert len(trials) == 3
    assert json.loads((found / "best.json").read_text())["settings"] == best["params"]
    assert made["train/parent"].artifact.ingredients["inputs"]["tune"] == made["tune/parent"].artifact.digest
    assert not made["tune/parent"].cached
    assert again["tune/parent"].cached
    logs = offline.folder / "store" / "sagemaker" / "jobs" / "plants-debug-tune-parent" / "logs"
    assert "there already" in (logs / "tune-find.log").read_text()


def taught_longer(plan: Plan, *, gate: str) -> Plan:
    """The parent for some more epochs; and nothing can pass ``gate``."""

    def changed(stage: Stage) -> Stage:
        settings: dict[str, Any] = dict(stage.settings)
        if stage.name == "train/parent":
            settings["training"] = {**settings["training"], "num_epochs": 20}
        if stage.name == "evaluate/family":
            settings["gates"] = {gate: {"min": 2.0, "max": None}}
        return stage.model_copy(update={"settings": settings})

    return plan.model_copy(update={"stages": tuple(map(changed, plan.stages))})


def run_name(plan: Plan) -> str:
    return digest_of(plan.model_dump(mode="json"))[:16]


def repeat(earlier: Path, run: Path, *, without: list[str]) -> None:
    """What an earlier run has done is done in this one too."""
    for pointer in (earlier / "stages").iterdir():
        if Done.model_validate_json(pointer.read_bytes()).stage not in without:
            (run / "stages").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pointer, run / "stages" / pointer.name)


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
