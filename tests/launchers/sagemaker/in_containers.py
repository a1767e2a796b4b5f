"""The contracts of the image, in real containers: run by ``launchers/sagemaker/container/try.sh``, which sets the engine up."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.local import Event
from launchers.sagemaker.entry import NOBODY
from launchers.sagemaker.faults import Faults
from launchers.sagemaker.offline import run_pipelines
from tests.conftest import DEMO, FinishedRun
from tests.launchers.sagemaker.declared import ON_SAGEMAKER, declared
from tests.launchers.sagemaker.test_offline import Offline, command, repeat, run_name, taught_longer
from tests.serving.served import JPEG, Served, until

SERVE, TRAIN = os.environ["EARTHSNAP_SERVE_IMAGE"], os.environ["EARTHSNAP_TRAIN_IMAGE"]
CONTAINERS = (
    "launcher.execute=containers", f"launcher.image={TRAIN}", f"launcher.light_image={SERVE}", "launcher.data_jobs=2",
)  # fmt: skip
LOCKED = ("--read-only", "--tmpfs=/tmp")


def docker(*arguments: str, code: int | None = 0) -> str:
    """What it printed. ``code``: what it leaves with; None: whatever."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert code in (None, done.returncode), done.stderr + done.stdout
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    """The demo made small: every job of its pipelines a container with no network."""
    folder = tmp_path_factory.mktemp("journey")
    return Offline(folder, command(folder, *DEMO, *ON_SAGEMAKER, *CONTAINERS, "launcher.fuse=true"))


@pytest.fixture(scope="session")
def release(journey: Offline) -> Path:
    (folder,) = (journey.folder / "registry").rglob("release.json")
    return folder.parent


# ---- the image


def test_the_serving_image_has_at_most_one_gigabyte_and_nothing_that_teaches() -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", SERVE)) <= 1_000_000_000
    listed = docker("run", "--rm", "--network=none", "--entrypoint=python", SERVE, "-m", "pip", "list", "--format=json")
    names = {one["name"].lower() for one in json.loads(listed)}
    assert not {"torch", "torchvision", "timm", "pytorch-lightning", "optuna", "wandb"} & names


def test_the_image_holds_no_secret_and_nothing_of_the_checkout_but_the_program() -> None:
    shown = json.loads(docker("image", "inspect", SERVE))[0]["Config"]
    assert {one.partition("=")[0] for one in shown["Env"]} <= {
        "PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PIP_CERT",
    }  # fmt: skip
    listed = docker("run", "--rm", "--network=none", "--entrypoint=ls", SERVE, "/opt/earthsnap").split()
    assert {"earthsnap_train", "launchers", "hydra_plugins"} <= set(listed)
    assert not {"tests", "store", "outputs", ".git", ".venv"} & set(listed)


def test_it_is_our_own_command_line() -> None:
    assert "earthsnap_train 0." in docker("run", "--rm", "--network=none", *LOCKED, SERVE, "--version")


# ---- jobs


def test_every_job_runs_in_a_container_and_the_release_is_that_of_this_machine(
    journey: Offline, finished_run: FinishedRun
) -> None:
    assert journey.summaries[0]["release"]["digest"] == finished_run.summary["release"]["digest"]
    assert journey.summaries[0]["lineage"] == finished_run.summary["lineage"]


def test_training_that_is_interrupted_saves_and_goes_on_in_another_container(journey: Offline, tmp_path: Path) -> None:
    spec = declared(
        *DEMO, *CONTAINERS, f"paths.groupings={journey.folder}/groupings", "launcher.checkpoint_every_s=3600"
    )
    assert isinstance(spec.launcher, SageMaker)
    store = Store(tmp_path / "store")
    shutil.copytree(journey.folder / "store", store.root)
    prepared = prepare(spec, store)
    told: list[str] = []
    kept: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "note":
            told.append(event.values["text"])
            kept.extend(path.name for path in (store.root / "sagemaker").rglob("last.ckpt"))

    plan = taught_longer(prepared.plan, gate="nodes.parent.top1")
    runs = store.root / "sagemaker" / "s3" / spec.launcher.bucket / spec.launcher.prefix / "runs"
    repeat(runs / run_name(prepared.plan), runs / run_name(plan), without=["train/parent"])
    outcomes = run_pipelines(
        plan, spec.launcher, store, prepared.places, listen, only=["train/parent"],
        faults={"plants-debug-parent": Faults(interrupted={"train": "*"})},
    )  # fmt: skip

    assert told == ["train: its spot capacity was taken away; it is started again with its checkpoints"]
    assert kept == ["last.ckpt"]
    store.verify(outcomes["train/parent"].artifact.key)


@pytest.mark.parametrize(("word", "below", "file"), [
    ("train", "input/data/job", "failure"), ("processing", "processing/input/job", "message"),
])  # fmt: skip
def test_why_a_job_failed_stands_where_the_service_looks(word: str, below: str, file: str, tmp_path: Path) -> None:
    stage = {"name": "records/rosa", "kind": "records", "node": None, "inputs": {"manifest": "@table"}, "sources": {},
             "settings": {}, "num_images": 0}  # fmt: skip
    job = {"pipeline": "p", "job": "j", "stages": [stage], "externals": {"table": "0" * 64}, "gates": {}, "judges": False,
           "threads": 1, "devices_per_trial": 1, "checkpoint_every_s": 60}  # fmt: skip
    place = tmp_path / "ml" / below
    place.mkdir(parents=True)
    (place / "job.json").write_text(json.dumps(job))
    (place.parent / "external-table").mkdir()
    (place.parent / "external-table" / "labels.csv").write_text("path,species\n")
    (tmp_path / "s3").mkdir()

    docker(
        "run", "--rm", "--network=none", *LOCKED, f"--volume={tmp_path}/ml:/opt/ml", f"--volume={tmp_path}/s3:/s3",
        "--env=EARTHSNAP_S3_ROOT=/s3", "--env=EARTHSNAP_BUCKET=b", "--env=EARTHSNAP_PREFIX=p", "--env=EARTHSNAP_RUN=r",
        SERVE, word, code=4,
    )  # fmt: skip

    assert "labels.csv is not the file that the plan was made for" in (tmp_path / "ml" / "output" / file).read_text()


# ---- answers


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def serving(models: Path, at: str, *options: str) -> Iterator[tuple[Served, str]]:
    """``models`` lies at ``at``, not to be written. The container's name comes with it."""
    port, name = free_port(), f"serving-{time.time_ns()}"
    client = subprocess.Popen(
        ["docker", "run", f"--name={name}", "--network=host", *LOCKED, f"--volume={models}:{at}:ro",
         f"--env=SAGEMAKER_BIND_TO_PORT={port}", "--env=EARTHSNAP_SERVING=serving.workers=1 serving.max_models_mb=64",
         *options, SERVE, "serve"], text=True,
    )  # fmt: skip
    served = Served(process=client, port=port, journal=models)

    def answers() -> bool:
        assert client.poll() is None, docker("logs", name)
        try:
            return served.get("/ping").status == 200
        except OSError:
            return False

    try:
        until(answers, within_s=60)
        yield served, name
    finally:
        docker("rm", "-f", name, code=None)
        client.wait(30)


def photograph(release: Path) -> tuple[bytes, str]:
    answers: list[dict[str, Any]] = json.loads((release / "golden/answers.json").read_text())
    return (release / "golden" / answers[0]["file"]).read_bytes(), answers[0]["top"][0][0]


def stopped(name: str) -> Sequence[object]:
    """Its exit code, and whether it ended before the service's 30 seconds."""
    began = time.monotonic()
    docker("stop", "--time=30", name)
    code = docker("inspect", "--format", "{{.State.ExitCode}}", name).strip()
    return code, time.monotonic() - began < 28


def test_a_family_is_served_by_nobody_from_what_cannot_be_written(release: Path) -> None:
    data, species = photograph(release)
    with serving(release, "/opt/ml/model") as (served, name):
        said = served.ask("POST", "/invocations", data, JPEG)
        assert (said.status, said.json["species"][0]["species_id"]) == (200, species)
        assert served.ask("POST", "/invocations", b"x" * (6 * (1 << 20) + 1), JPEG).status == 413
        users = {
            line.split()[0] for line in docker("top", name, "-eo", "uid,pid,args").splitlines() if "release=" in line
        }
        assert users == {str(NOBODY)}
        assert stopped(name) == ("0", True)


def test_many_models_are_loaded_and_unloaded_in_one_container(release: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("a", "b"):
        shutil.copytree(release, models / name / "model")
    data, species = photograph(release)

    def load(served: Served, name: str, of: str) -> int:
        body = {"model_name": name, "url": f"/opt/ml/models/{of}/model"}
        return served.ask("POST", "/models", json.dumps(body).encode()).status

    with serving(models, "/opt/ml/models", "--env=SAGEMAKER_MULTI_MODEL=true") as (served, name):
        loaded = []
        while (status := load(served, f"m{len(loaded)}", "ab"[len(loaded) % 2])) == 200:
            loaded.append(f"m{len(loaded)}")
        assert loaded
        assert status == 507
        assert load(served, "m0", "a") == 409
        assert served.get("/models/none").status == 404
        assert [one["modelName"] for one in served.get("/models").json["models"]] == sorted(loaded)
        said = served.ask("POST", "/models/m0/invoke", data, JPEG)
        assert (said.status, said.json["species"][0]["species_id"]) == (200, species)
        assert served.ask("DELETE", "/models/m0").status == 200
        assert served.ask("POST", "/models/m0/invoke", data, JPEG).status == 404
        assert load(served, "again", "a") == 200
        assert stopped(name) == ("0", True)
