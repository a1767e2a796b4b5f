"""What the image is made of: lists that are current, a Dockerfile that holds no secret, and, where an engine is, the whole."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from launchers.sagemaker.container.requirements import TARGETS, requirements, written
from tests.conftest import REPOSITORY, environment

CONTAINER = REPOSITORY / "launchers" / "sagemaker" / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_target_installs_is_what_constraints_say(target: str) -> None:
    assert (CONTAINER / f"{target}.txt").read_text() == written(target)


def test_what_only_a_package_that_is_left_out_needs_is_left_out_too() -> None:
    pinned = (REPOSITORY / "constraints.txt").read_text()
    all_of_it = requirements(without=(), pinned=pinned)
    less = requirements(without=("torch",), pinned=pinned)

    gone = {one.partition("==")[0] for one in set(all_of_it) - set(less)}
    assert {"torch", "triton", "nvidia-cublas"} <= gone
    assert "numpy" not in gone


# Without these no module may be looked for; the list is what teaching alone brings.
BLOCKED = """
import importlib.abc, sys
class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "pytorch_lightning", "optuna", "wandb", "onnxscript"}:
            raise ImportError(f"{name} is not in the image")
sys.meta_path.insert(0, Gone())
from earthsnap_train.pipeline.stages import function
for kind in sys.argv[1:]:
    function(kind)
import launchers.sagemaker.job, launchers.sagemaker.entry, earthsnap_train.serving.loaded, earthsnap_train.verbs.serve
"""


def test_what_the_serving_image_runs_needs_nothing_that_teaches() -> None:
    kinds = [
        "draw",
        "ingest",
        "select",
        "records",
        "embed",
        "evaluate",
        "calibrate",
        "evaluate_family",
        "bundle",
        "report",
    ]

    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *kinds], env=environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_every_version_in_the_dockerfile_is_said() -> None:
    bases = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, flags=re.MULTILINE)
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases[0])
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)) == {"${BASE}", "python"}
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line]
    assert all("--no-deps" in line or "-c constraints.txt" in line for line in installs)


def test_nothing_goes_to_the_engine_but_what_the_image_is_made_of() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().split("\n")
    assert "*" in lines
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert taken == {"conf", "constraints.txt", "launchers", "src", "LICENSE", "README.md", "pyproject.toml"}


def _cannot() -> str | None:
    """Why no engine can be started here."""
    if os.geteuid() != 0:
        return "an engine is started by root alone"
    gone = [name for name in ("dockerd", "docker", "debootstrap") if shutil.which(name) is None]
    return f"{gone[0]} is not installed" if gone else None


@pytest.mark.slow
def test_the_image_keeps_its_contracts_in_real_containers(tmp_path: Path) -> None:
    why = _cannot()
    if why is not None:
        warnings.warn(f"THE IMAGE WAS NOT TRIED IN CONTAINERS: {why}", stacklevel=1)
        pytest.skip(f"{why}: `apt-get install docker.io debootstrap` on Debian 12, and this test runs try.sh")
    done = subprocess.run(
        [str(CONTAINER / "try.sh")], env={**environment(), "PYTHON": sys.executable}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode == 3:
        warnings.warn(f"THE IMAGE WAS NOT TRIED IN CONTAINERS: {done.stderr[-300:]}", stacklevel=1)
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "nothing is left behind" in done.stdout
