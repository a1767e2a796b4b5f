"""Several machines teach one network together: which each is, how they meet, and that they come to what one machine does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.definition import compile_definitions
from launchers.sagemaker.execution import Execution
from launchers.sagemaker.hosts import Host, read_host
from launchers.sagemaker.shelf import Shelf
from launchers.sagemaker.submit import submit
from tests.conftest import Tiny
from tests.launchers.sagemaker.declared import declared
from tests.launchers.sagemaker.pipelines import RUN, shelved


def told(folder: Path, current: str, *hosts: str, **more: str) -> Host:
    (folder / "resourceconfig.json").write_text(json.dumps({"current_host": current, "hosts": hosts, **more}))
    return read_host(folder)


def test_machines_are_numbered_alike_by_all_of_them(tmp_path: Path) -> None:
    hosts = [f"algo-{number}" for number in range(1, 12)]

    numbers = [told(tmp_path, host, *reversed(hosts)).number for host in hosts]

    assert numbers == list(range(11))


def test_without_a_word_about_machines_there_is_one(tmp_path: Path) -> None:
    assert read_host(tmp_path) == Host(number=0, names=("algo-1",))


def test_processes_meet_at_the_first_machine_over_the_network_between_them(tmp_path: Path) -> None:
    second = told(tmp_path, "algo-2", "algo-1", "algo-2", network_interface_name="eth0")

    assert not second.is_first
    assert second.rendezvous(None) == {
        "MASTER_ADDR": "algo-1", "MASTER_PORT": "29500", "NODE_RANK": "1",
        "NCCL_SOCKET_IFNAME": "eth0", "GLOO_SOCKET_IFNAME": "eth0",
    }  # fmt: skip


def test_they_meet_elsewhere_where_that_is_said(tmp_path: Path) -> None:
    first = told(tmp_path, "algo-1", "algo-1", "algo-2")

    assert first.rendezvous("127.0.0.1:4321") == {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "4321", "NODE_RANK": "0",
    }  # fmt: skip


# ---- taught by two


class Together:
    """The training job of a tiny family's parent, as its pipeline has it; what it reads lies in the bucket."""

    def __init__(self, family: Tiny, folder: Path, *typed: str) -> None:
        settings = declared("name=tiny", "+experiment=plants", "launcher.training.instance_count=2", *typed).launcher
        assert isinstance(settings, SageMaker)
        self.family, self.folder, self.settings = family, folder, settings
        bucket = FolderBucket(folder / "s3" / settings.bucket)
        self.shelf = Shelf(bucket, name=settings.bucket, prefix=settings.prefix)
        compiled = compile_definitions(family.plan, settings)
        self.pipeline = next(one for one in compiled.pipelines if one.node == "parent")
        submit(compiled, family.plan, family.places, bucket, prefix=settings.prefix, region=settings.region)
        job = self.pipeline.jobs[0]
        made = {name: shelved(self.shelf, Store(folder / "store"), family, name) for name in job.earlier}
        self.shelf.write_channel(RUN, f"{self.pipeline.name}/{job.name}.earlier", made)
        self.values = {"Run": RUN, **compiled.parameters[self.pipeline.name]}
        definition: dict[str, Any] = json.loads(compiled.definitions[self.pipeline.name])
        self.definition = {**definition, "Steps": definition["Steps"][:1]}
        self.definition["Steps"][0]["Arguments"]["Environment"]["OMP_NUM_THREADS"] = "1"

    def run(self) -> None:
        Execution(self.definition, self.values, s3=self.folder / "s3", work=self.folder / "work").run()

    def log(self, host: str) -> str:
        return (self.folder / "work" / "logs" / f"train.{host}.log").read_text()


@pytest.mark.slow
def test_two_machines_come_to_what_one_does_and_the_first_alone_writes_it(
    tiny: Callable[..., Tiny], tmp_path: Path
) -> None:
    family = tiny("training=full", "backbone.name=test_vit", "training.num_epochs=1", "evaluation.flat=off")
    job = Together(family, tmp_path)

    job.run()

    done = job.shelf.told(RUN, "train/parent")
    assert done is not None
    artifact = job.shelf.find(done.key)
    assert artifact is not None
    job.shelf.fetch(artifact, tmp_path / "taught")
    alone = family.out("train/parent")
    for name in ("head.safetensors", "trunk.safetensors"):
        ours, theirs = load_file(tmp_path / "taught" / name), load_file(alone / name)
        # Not a bit of difference would mean that each had taught a network alone: halves of a batch add up otherwise.
        assert 0 < max(float(np.abs(ours[key] - theirs[key]).max()) for key in theirs) < 1e-4, name
    assert "train/parent: done" in job.log("algo-1")
    assert "train/parent: done" not in job.log("algo-2")
