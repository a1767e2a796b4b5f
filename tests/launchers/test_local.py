"""A plan is run on this machine by processes; whatever happens to them, nothing is done twice and nothing stays behind."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from earthsnap_train.errors import DataError, EarthsnapError, EnvironmentProblem, StageError
from earthsnap_train.pipeline.plan import Plan, Stage
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.stages import KINDS
from earthsnap_train.pipeline.store import Store
from earthsnap_train.processes import pool
from earthsnap_train.spec.launcher import Local
from launchers.local import Event, Outcome, in_our_words, launch
from tests.conftest import FinishedRun, declare, draw_folder, environment, program

SETTINGS = Local(
    module="launchers.local", stages=2, workers=1, threads=1, accelerator="cpu", devices=None, devices_per_node=1,
    devices_per_trial=1, checkpoint_every_s=60,
)  # fmt: skip
FLORA = {
    "kind": "synthetic_flora", "num_species": 2, "num_groups": 1, "plants_per_species": 2, "photos_per_plant": 1,
    "image_px": 32, "seed": 0, "faults": {"duplicates": 0, "wrong_labels": 0, "corrupt": 0},
}  # fmt: skip


def draw(name: str = "draw", **changes: object) -> Stage:
    return Stage(name=name, kind="draw", settings={**FLORA, **changes})


def plan_of(*stages: Stage, **externals: str) -> Plan:
    return Plan(family="plants", stages=stages, externals=externals, nodes=())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def prepared(tmp_path: Path, store: Store) -> Prepared:
    """Two groups of two species each, up to the point where networks begin."""
    species = {"Rosa/canina": 8, "Rosa/rugosa": 8, "Acer/rubrum": 8, "Acer/opalus": 8}
    root = draw_folder(tmp_path / "photographs", species=species)
    spec = declare(
        "name=plants", "dataset=folder", f"dataset.source.root={root}", "dataset.source.ranks=[genus]",
        "dataset.min_images_per_species=4", "dataset.split.min_per_species=1",
    )  # fmt: skip
    return prepare(spec, store)


def stages_before_networks(plan: Plan) -> list[str]:
    return [stage.name for stage in plan.stages if stage.kind in ("ingest", "select", "records")]


def launched(plan: Plan, store: Store, **places: Path) -> tuple[dict[str, Outcome], list[Event]]:
    events: list[Event] = []
    return launch(plan, SETTINGS, store, places, events.append), events


def test_what_is_in_the_store_is_not_run_again(prepared: Prepared, store: Store) -> None:
    wanted = stages_before_networks(prepared.plan)

    first = launch(prepared.plan, SETTINGS, store, prepared.places, lambda event: None, only=wanted)
    second = launch(prepared.plan, SETTINGS, store, prepared.places, lambda event: None, only=wanted)

    assert set(first) == set(second) == set(wanted)
    assert not any(outcome.cached for outcome in first.values() if outcome.artifact.stage == "ingest")
    assert all(outcome.cached for outcome in second.values())
    assert {n: o.artifact.digest for n, o in first.items()} == {n: o.artifact.digest for n, o in second.items()}


def test_every_stage_says_that_it_began_and_that_it_ended(prepared: Prepared, store: Store) -> None:
    events: list[Event] = []

    wanted = stages_before_networks(prepared.plan)
    launch(prepared.plan, SETTINGS, store, prepared.places, events.append, only=wanted)

    for name in wanted:
        kinds = [event.kind for event in events if event.stage == name]
        assert kinds == ["cached"] or (kinds[0], kinds[-1]) == ("started", "done")


def test_the_last_word_of_a_process_is_heard(store: Store) -> None:
    _, events = launched(plan_of(*(draw(f"draw/{seed}", seed=seed) for seed in range(4))), store)

    for seed in range(4):
        said = [e.values for e in events if e.stage == f"draw/{seed}" and e.kind == "progress"]
        assert (said[-1]["done"], said[-1]["total"]) == (4, 4)


def test_a_stage_that_fails_gives_its_own_error_and_the_others_are_kept(
    tmp_path: Path, prepared: Prepared, store: Store
) -> None:
    ingest = prepared.plan.stage("ingest")
    strict = ingest.model_copy(update={"settings": {**ingest.settings, "min_images_per_species": 100}})
    plan = prepared.plan.model_copy(update={"stages": (strict, draw(plants_per_species=20))})

    with pytest.raises(DataError, match="4 of 4 species have too few photographs"):
        launch(plan, SETTINGS, store, prepared.places, lambda event: None)

    assert [artifact.stage for artifact in store.all()] == ["draw"]


def test_a_light_stage_that_fails_stops_nobody_beside_it(tmp_path: Path, store: Store) -> None:
    broken = Stage(
        name="select/parent", kind="select", inputs={"manifest": "@manifest"},
        settings={"classes": ["a"], "class_of": {"a": "a"}, "group_of": {}, "max_train_per_group": None, "seed": 0},
    )  # fmt: skip
    (tmp_path / "nothing").mkdir()
    events: list[Event] = []

    plan = plan_of(draw(), broken, manifest="x")

    with pytest.raises(StageError, match="select/parent: FileNotFoundError") as raised:
        launch(plan, SETTINGS, store, {"manifest": tmp_path / "nothing"}, events.append)

    assert isinstance(raised.value.__cause__, FileNotFoundError)
    assert [artifact.stage for artifact in store.all()] == ["draw"]
    assert [event.stage for event in events if event.kind == "failed"] == ["select/parent"]


def test_what_follows_a_failure_is_not_begun(tmp_path: Path, store: Store) -> None:
    follows = draw("draw/after")
    follows = follows.model_copy(update={"sources": {"photographs": "draw/before"}})
    events: list[Event] = []

    with pytest.raises(StageError, match="ValidationError"):
        launch(plan_of(draw("draw/before", num_species=0), follows), SETTINGS, store, {}, events.append)

    assert {event.stage for event in events} == {"draw/before"}


def test_all_stages_of_a_gpu_share_one_process(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\necho 'GPU 0: one'\necho 'GPU 1: another'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setitem(KINDS, "draw", replace(KINDS["draw"], uses_gpu=True))
    begun: list[int] = []

    def counted(workers: int, *rest: Any) -> ProcessPoolExecutor:
        begun.append(workers)
        return pool(workers, *rest)

    monkeypatch.setattr("launchers.local.pool", counted)
    settings = SETTINGS.model_copy(update={"accelerator": "cuda"})
    plan = plan_of(*(draw(f"draw/{seed}", seed=seed) for seed in range(5)))

    outcomes = launch(plan, settings, store, {}, lambda event: None)

    assert len(outcomes) == 5
    assert begun == [1, 1]


def test_one_key_under_two_names_runs_once(store: Store) -> None:
    outcomes, events = launched(plan_of(draw("draw/a"), draw("draw/b")), store)

    assert [outcomes["draw/a"].cached, outcomes["draw/b"].cached] == [False, True]
    assert outcomes["draw/a"].artifact == outcomes["draw/b"].artifact
    assert [event.stage for event in events if event.kind == "started"] == ["draw/a"]


def test_two_launches_at_once_do_every_stage_once(tmp_path: Path) -> None:
    plan = plan_of(*(draw(f"draw/{seed}", seed=seed, plants_per_species=10) for seed in range(3)))
    results: list[tuple[dict[str, Outcome], list[Event]]] = []
    threads = [
        threading.Thread(target=lambda: results.append(launched(plan, Store(tmp_path / "store")))) for _ in range(2)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (one, events_of_one), (other, events_of_other) = results
    assert {n: o.artifact for n, o in one.items()} == {n: o.artifact for n, o in other.items()}
    worked = [e.stage for e in (*events_of_one, *events_of_other) if e.kind == "progress" and e.values["done"] == 20]
    assert sorted(worked) == ["draw/0", "draw/1", "draw/2"]


def test_a_process_ended_from_outside_is_told_with_a_remedy(store: Store) -> None:
    def listen(event: Event) -> None:
        if event.kind == "progress":
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.NoSuchProcess):  # one that has just ended is listed, too
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.kill()

    with pytest.raises(EnvironmentProblem, match="ended from outside") as raised:
        launch(plan_of(draw(plants_per_species=400, image_px=200)), SETTINGS, store, {}, listen)

    assert raised.value.remedy.startswith("launcher.stages=1")
    assert list(store.all()) == []


def test_a_listener_that_fails_stops_the_run_and_is_told(store: Store) -> None:
    def listen(event: Event) -> None:
        if event.kind == "progress":
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EnvironmentProblem, match="the disk is full") as raised:
        launch(plan_of(draw(plants_per_species=40)), SETTINGS, store, {}, listen)

    assert raised.value.where == "draw"


def _memory_of_a_gpu() -> Exception:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    ("error", "code", "what", "remedy"),
    [
        (lambda: OSError(errno.ENOSPC, "No space left on device"), 3, "disk is full", "earthsnap gc"),
        (lambda: OSError(errno.EDQUOT, "Disk quota exceeded"), 3, "disk is full", "earthsnap gc"),
        (lambda: MemoryError(), 3, "memory is too small", "launcher.stages=1"),
        (_memory_of_a_gpu, 3, "GPU's memory is too small", "training.batch_size"),
        (lambda: BrokenProcessPool("x"), 3, "ended from outside", "launcher.stages=1"),
        (lambda: KeyError("x"), 5, "KeyError: 'x'", "--traceback"),
        (lambda: DataError("mine", where="there"), 2, "mine", ""),
    ],
)
def test_an_error_of_the_machine_says_what_helps(
    error: Callable[[], Exception], code: int, what: str, remedy: str
) -> None:
    ours = in_our_words(error(), draw("train/parent"))

    assert isinstance(ours, EarthsnapError)
    assert ours.exit_code == code
    assert what in ours.what
    assert remedy in ours.remedy
    assert ours.where == ("there" if code == 2 else "train/parent")


# ---- what is left when the run itself is ended


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_process_is_left_behind(tmp_path: Path, number: int, code: int) -> None:
    typed = [
        "+experiment=plants",
        "tracking=none",
        "dataset.source.image_px=256",
        "dataset.source.plants_per_species=400",
    ]
    run = subprocess.Popen(
        program(*typed), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=_listen_to_the_keyboard,
    )  # fmt: skip
    events = tmp_path / "outputs" / "plants"
    while run.poll() is None and not any(_has_drawn(path) for path in events.glob("*/events.jsonl")):
        time.sleep(0.05)
    family = psutil.Process(run.pid).children(recursive=True)
    assert len(family) >= 2

    os.kill(run.pid, number)
    out, err = run.communicate(timeout=300)
    _, alive = psutil.wait_procs(family, timeout=60)

    assert alive == []
    assert run.returncode == code
    assert "Traceback" not in out + err
    if code == 130:
        assert "the same command goes on from here" in err


def _listen_to_the_keyboard() -> None:
    """Where the tests themselves run in the background, an interrupt is ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _has_drawn(events: Path) -> bool:
    return re.search('"event": "progress", "done": [1-9]', events.read_text()) is not None


# ---- what a person sees of it


def test_plain_lines_have_a_time_and_no_colour(finished_run: FinishedRun) -> None:
    lines = finished_run.said.out.splitlines()

    done = [line for line in lines if re.match(r"\d\d:\d\d:\d\d  train/parent: done in [\d.]+ s, \d+ images", line)]
    assert len(done) == 1
    assert "\x1b" not in finished_run.said.out


def test_every_measurement_is_kept_in_the_runs_folder(finished_run: FinishedRun) -> None:
    rows = [json.loads(line) for line in (finished_run.run_folder / "events.jsonl").read_text().splitlines()]

    measured = [row for row in rows if row["event"] == "measure" and row["stage"] == "train/parent"]
    assert measured
    assert {"at", "step"} < set(measured[0])
