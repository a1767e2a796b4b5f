"""What is asked often answers at once: none of these verbs waits for the libraries that teach networks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DEMO, FinishedRun, environment
from tests.launchers.sagemaker.declared import ON_SAGEMAKER

HEAVY = {
    "torch", "pytorch_lightning", "lightning_fabric", "torchvision", "timm", "wandb", "onnx", "onnxruntime", "scipy",
    "sklearn", "boto3", "tensorboard", "wandb_workspaces", "optuna", "sqlalchemy",
}  # fmt: skip


def imported(*arguments: str, cwd: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "earthsnap_train", *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(
    "typed",
    [
        "--help",
        "plan +experiment=plants",
        "status",
        "releases",
        "history",
        "schema",
        "gc",
        "plan +experiment=plants debug=true --json",
        "plan -m +experiment=plants seed=1,2",
        f"plan +experiment=plants {' '.join(ON_SAGEMAKER)}",
    ],
)
def test_nothing_heavy_is_imported(typed: str, tmp_path: Path) -> None:
    modules = imported(*typed.split(), cwd=tmp_path)

    assert "hydra" in modules
    assert not {name.partition(".")[0] for name in modules} & HEAVY


def test_a_plan_of_what_has_run_imports_nothing_heavy(finished_run: FinishedRun) -> None:
    modules = imported("plan", *DEMO, cwd=finished_run.folder)

    assert not {name.partition(".")[0] for name in modules} & HEAVY


def test_predict_answers_without_torch(finished_run: FinishedRun) -> None:
    photograph = min((finished_run.folder / "store" / "artifacts").glob("*/photographs/**/*.jpg"))

    modules = imported("predict", os.fspath(photograph), cwd=finished_run.folder)

    assert not {name.partition(".")[0] for name in modules} & (HEAVY - {"onnxruntime"})


def test_what_teaches_networks_imports_no_tracker_and_leaves_it_to_others(tmp_path: Path) -> None:
    code = "import sys, earthsnap_train.training.network; print('wandb' in sys.modules); import wandb; print(wandb.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "wandb"]
