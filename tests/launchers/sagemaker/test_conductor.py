"""The conductor starts what lacks something, follows it, and goes on where another one ended, whichever way that was."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import ConfigError, IntegrityError, StageError
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.local import Event, Outcome
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.conductor import Conductor, run_name
from tests.conftest import DEMO, environment
from tests.launchers.sagemaker.conducted import conduct
from tests.launchers.sagemaker.declared import declared
from tests.launchers.sagemaker.made_up import MadeUp

DATA, PARENT, RELEASE = "plants-debug-data", "plants-debug-parent", "plants-debug-release"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Prepared, SageMaker]]:
    folder = tmp_path_factory.mktemp("prepared")
    made: dict[tuple[str, ...], tuple[Prepared, SageMaker]] = {}

    def make(*typed: str) -> tuple[Prepared, SageMaker]:
        if typed not in made:
            spec = declared(*DEMO, "launcher.data_jobs=2", *typed, f"paths.groupings={folder}/groupings")
            assert isinstance(spec.launcher, SageMaker)
            made[typed] = prepare(spec, Store(folder / "store")), spec.launcher
        return made[typed]

    return make


@dataclass
class Account:
    """A bucket, a service, and desks that each have a store of their own."""

    folder: Path
    prepared: Callable[..., tuple[Prepared, SageMaker]]
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bucket = FolderBucket(self.folder / "s3" / "photographs")
        self.service = MadeUp(self.folder / "service", self.bucket)

    def go(self, *typed: str, desk: str = "desk", only: list[str] | None = None, **more: Any) -> dict[str, Outcome]:
        found, settings = self.prepared(*typed)
        conductor = Conductor(
            more.get("plan", found.plan), settings, Store(self.folder / desk), self.bucket,
            more.get("service", self.service), more.get("listen", self.events.append),
        )  # fmt: skip
        return conductor.go(found.places, only)

    def said(self, kind: str) -> list[str]:
        return [event.values["text"] if kind == "note" else event.stage for event in self.events if event.kind == kind]


@pytest.fixture
def account(tmp_path: Path, prepared: Callable[..., tuple[Prepared, SageMaker]]) -> Account:
    return Account(tmp_path, prepared)


def test_every_pipeline_runs_once_in_its_order_and_everything_comes_home(account: Account) -> None:
    outcomes = account.go()
    plan = account.prepared()[0].plan

    started = account.service.started()
    assert started[0] == DATA
    assert started[-1] == RELEASE
    assert sorted(started) == sorted(set(started))
    assert set(outcomes) == {stage.name for stage in plan.stages}
    store = Store(account.folder / "desk")
    assert all(store.find(one.artifact.key) for one in outcomes.values())
    # Stages with equal settings and inputs are one and the same: here, what the flat network and the parent learn from.
    assert {name.partition("/")[2] for name, one in outcomes.items() if one.cached} <= {"flat"}
    assert max(map(len, account.service.side_by_side)) > 1  # nodes


def test_what_is_in_the_store_is_not_started(account: Account) -> None:
    account.go()
    again = account.go()

    assert all(one.cached for one in again.values())
    assert len(account.service.started()) == len(set(account.service.started()))


def test_what_another_desk_made_is_found_in_the_bucket(account: Account) -> None:
    account.go()
    count = len(account.service.started())
    there = account.go(desk="another")

    assert len(account.service.started()) == count
    assert len(there) == len(account.prepared()[0].plan.stages)


def test_what_only_this_machine_has_goes_to_the_bucket_before_a_job_needs_it(account: Account) -> None:
    account.go()
    elsewhere = Account(account.folder / "elsewhere", account.prepared)
    elsewhere.folder.mkdir()
    store = Store(account.folder / "desk")
    for artifact in list(store.all()):
        if artifact.stage.startswith(("bundle", "report")):
            (store.path(artifact.key) / "artifact.json").unlink()

    elsewhere.go(desk="../desk")

    assert elsewhere.service.started() == [RELEASE]


def test_a_first_part_is_started_without_the_rest_and_the_rest_afterwards(account: Account) -> None:
    account.go(only=["draw", "ingest"])
    account.go()

    first, second, *_ = sorted(account.service.executions.values(), key=lambda one: one["number"])
    assert (first["pipeline"], first["jobs"], first["part"]) == (DATA, ["draw", "ingest"], True)
    assert second["pipeline"] == DATA
    assert "select" in second["jobs"]


def test_jobs_that_lack_nothing_and_that_nobody_waits_for_are_left_out(account: Account) -> None:
    plan = account.prepared()[0].plan
    account.go()
    lost = next(stage.name for stage in plan.stages if stage.kind == "records")
    for artifact in list(Store(account.folder / "desk").all()):
        if artifact.stage == lost:
            (account.bucket.root / "earthsnap" / "store" / artifact.key / "artifact.json").unlink()
            (Store(account.folder / "desk").path(artifact.key) / "artifact.json").unlink()
    account.go()

    again = max(account.service.executions.values(), key=lambda one: one["number"])
    assert (again["pipeline"], again["part"]) == (DATA, True)
    assert {"records-1", "embed-1"} <= set(again["jobs"])  # what is embedded comes out the same, which nobody knows yet
    assert not {"records-2", "embed-2"} & set(again["jobs"])
    assert account.service.started()[-1] == DATA


def test_a_failed_job_is_told_with_its_reason_and_its_last_words_and_a_new_start_goes_on(account: Account) -> None:
    account.service.fails = {"export": "no memory is left"}

    with pytest.raises(StageError) as caught:
        account.go()

    assert caught.value.what == "no memory is left"
    assert caught.value.where.startswith("export/")
    assert "the same command goes on" in caught.value.remedy
    assert any(line.endswith("said 99") for line in account.said("note"))
    assert RELEASE not in account.service.started()
    account.service.fails = {}
    assert len(account.go()) == len(account.prepared()[0].plan.stages)
    assert account.service.started().count(DATA) == 1
    assert account.service.started().count(PARENT) == 2


def test_a_missed_gate_is_told_and_stops_nothing(account: Account) -> None:
    account.service.misses_gate = PARENT

    outcomes = account.go()

    assert len(outcomes) == len(account.prepared()[0].plan.stages)
    assert "misses a gate" in account.said("note")


def test_a_limit_is_waited_for_and_its_reason_shown(account: Account) -> None:
    account.service.refused = ["the account has all its machines at work"] * 3

    account.go()

    told = [line for line in account.said("note") if "the account has all its machines" in line]
    assert told == [f"{DATA} cannot start yet: the account has all its machines at work"]


def test_no_more_machines_of_a_type_work_at_once_than_are_allowed(account: Account) -> None:
    account.go("launcher.max_instances={ml.g5.xlarge: 2, ml.m5.xlarge: 2}")

    nodes = [[name for name in at if name not in (DATA, RELEASE)] for at in account.service.side_by_side]
    assert max(map(len, nodes)) == 2
    data = next(one for one in account.service.executions.values() if one["pipeline"] == DATA)
    assert data["at_once"] == 2


def test_what_an_earlier_conductor_started_takes_its_share_of_the_machines(account: Account) -> None:
    limited = "launcher.max_instances={ml.g5.xlarge: 1}"

    def dies_with_the_first_node(event: Event) -> None:
        if event.kind == "execution" and event.values["pipeline"] not in (DATA, RELEASE):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        account.go(limited, listen=dies_with_the_first_node)
    account.go(limited)

    nodes = [[name for name in at if name not in (DATA, RELEASE)] for at in account.service.side_by_side]
    assert max(map(len, nodes)) == 1


def test_machines_that_others_use_count(account: Account) -> None:
    account.service.others = {"ml.m5.xlarge": 3}

    def listen(event: Event) -> None:
        account.events.append(event)
        if event.kind == "note":
            account.service.others = {}

    account.go("launcher.max_instances={ml.m5.xlarge: 3}", listen=listen)

    assert f"launcher.max_instances leaves no machine for {DATA} now" in account.said("note")


def test_another_version_of_the_dataset_is_refused_before_anything_is_taught(account: Account) -> None:
    with pytest.raises(ConfigError) as caught:
        account.go("launcher.dataset_version='000000000000'")

    assert caught.value.what == "the photographs make version abababababab of the dataset"
    assert account.service.started() == [DATA]
    assert "report" in account.go("launcher.dataset_version=abababababab")


def test_an_execution_that_ends_well_without_its_artifact_is_told(account: Account) -> None:
    class Loses(MadeUp):
        def _job(self, pipeline: str, name: str, parameters: Any) -> None: ...

    with pytest.raises(IntegrityError, match="is not in the bucket"):
        account.go(service=Loses(account.folder / "loses", account.bucket))


def test_pipelines_are_changed_only_where_their_definition_did(account: Account) -> None:
    account.go()
    count = len(account.service.puts)
    account.go("training.lr=0.002", desk="another")  # other settings, the same machines

    assert len(account.service.puts) == count
    assert account.service.started().count(PARENT) == 2


def test_a_run_is_named_by_what_is_done_and_not_by_what_is_guessed(account: Account) -> None:
    plan = account.prepared()[0].plan
    guessed = plan.model_copy(update={"stages": tuple(s.model_copy(update={"num_images": 7}) for s in plan.stages)})

    assert run_name(plan) == run_name(guessed)
    assert run_name(plan) != run_name(account.prepared("training.lr=0.002")[0].plan)


def test_one_that_is_interrupted_leaves_its_jobs_running_and_says_so(account: Account) -> None:
    def listen(event: Event) -> None:
        account.events.append(event)
        if event.kind == "started":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        account.go(listen=listen)

    assert [one["status"] for one in account.service.executions.values()] == ["Executing"]
    assert any("earthsnap stop run=NAME" in line for line in account.said("note"))


def test_a_pipeline_that_another_run_changed_meanwhile_is_started_again(account: Account) -> None:
    class Changed(MadeUp):
        times = 0

        def start(self, pipeline: str, parameters: Any, **more: Any) -> str:
            if pipeline == PARENT and Changed.times == 0:
                Changed.times = 1
                definition = self.definition(pipeline)
                assert definition is not None
                self._write(f"pipelines/{pipeline}", json.dumps(json.loads(definition) | {"Metadata": {"other": "1"}}))
            return super().start(pipeline, parameters, **more)

    service = Changed(account.folder / "changed", account.bucket)
    outcomes = account.go(service=service)

    states = [one["status"] for one in service.executions.values() if one["pipeline"] == PARENT]
    assert sorted(states) == ["Stopped", "Succeeded"]
    assert len(outcomes) == len(account.prepared()[0].plan.stages)


# ---- two at once, and one that is killed


def test_runs_side_by_side_that_differ_in_settings_never_change_a_pipeline_under_each_other(account: Account) -> None:
    typed = ["training.lr=0.002", "training.lr=0.003"]
    for one in typed:
        account.prepared(one)

    def go(setting: str) -> dict[str, Outcome]:
        service = MadeUp(account.folder / "service", account.bucket)
        return account.go(setting, desk=setting, service=service, listen=lambda event: None)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(go, typed)

    plan: Plan = account.prepared(typed[0])[0].plan
    assert len(first) == len(second) == len(plan.stages)
    assert first["train/parent"].artifact.key != second["train/parent"].artifact.key
    runs = {one["parameters"]["Run"] for one in account.service.executions.values() if one["pipeline"] == PARENT}
    assert runs == {run_name(account.prepared(one)[0].plan) for one in typed}
    for one in account.service.executions.values():
        assert one["definition"] == account.service.definition(one["pipeline"])


@pytest.mark.parametrize("dies_after", ["execution:1", "done:3", "done:20"])
def test_a_conductor_that_was_killed_is_continued_by_another(dies_after: str, tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-m", "tests.launchers.sagemaker.conducted", str(tmp_path), "made-up"],
        env=environment(DIES_AFTER=dies_after), check=False,
    )  # fmt: skip
    assert killed.returncode == -9
    before = MadeUp(tmp_path / "service", FolderBucket(tmp_path)).started()

    outcomes = conduct(tmp_path, "made-up")

    started = MadeUp(tmp_path / "service", FolderBucket(tmp_path)).started()
    assert started[: len(before)] == before
    assert sorted(started) == sorted(set(started))  # each pipeline once, over both of them
    assert "report" in outcomes


@pytest.mark.slow
def test_jobs_go_on_while_nobody_follows_them(tmp_path: Path) -> None:
    """The same with real processes in the jobs' place."""
    typed = [sys.executable, "-m", "tests.launchers.sagemaker.conducted", str(tmp_path), "offline", "draw,ingest"]
    killed = subprocess.run(typed, env=environment(DIES_AFTER="started:1"), check=False)
    assert killed.returncode == -9
    executions = list((tmp_path / "service" / "executions" / DATA).iterdir())
    state = executions[0] / "state.json"
    for _ in range(1200):
        if state.is_file() and json.loads(state.read_bytes())["status"] != "Executing":
            break
        time.sleep(0.1)
    assert json.loads(state.read_bytes())["status"] == "Succeeded", (executions[0] / "runner.log").read_text()
    assert not list((tmp_path / "store" / "artifacts").glob("*"))

    outcomes = conduct(tmp_path, "offline", only=["draw", "ingest"])

    assert outcomes == {"draw": False, "ingest": False}  # this run made them, though nobody saw it
    assert list((tmp_path / "service" / "executions" / DATA).iterdir()) == executions
    assert os.environ.get("DIES_AFTER") is None
