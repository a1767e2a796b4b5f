"""Fixtures that several rooms of the house share."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hydra import compose, initialize_config_dir
from PIL import Image

from earthsnap_train.__main__ import conf_folder, run_command, through_the_door, translate
from earthsnap_train.context import Context
from earthsnap_train.pipeline.plan import Plan, Stage, split_reference
from earthsnap_train.spec.debug import shrunk
from earthsnap_train.spec.run import RunSpec

REPOSITORY = Path(__file__).parents[1]
# Networks of their own show more of the house than the heads of one trunk, which tests/training/test_heads.py follows.
PLANTS = ("+experiment=plants", "architecture=parent_child", "debug=true")
DEMO = (*PLANTS, "tracking=none")
TOLD = (*PLANTS, "tracking=[wandb,tensorboard,csv]", "tracking.wandb.mode=offline")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs, bad files and weights that live outside the project; absent on a user's machine."""
    place = Path(os.environ.get("EARTHSNAP_SHARED", REPOSITORY.parent / "shared")) / "data"
    if not place.is_dir():
        pytest.skip(f"no shared data: neither ../shared/data nor EARTHSNAP_SHARED ({place}) is there")
    return place


# ---- the command line


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command left with, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def earthsnap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """The command line inside this process, which is fast; it starts in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["earthsnap"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # the command sets it; this way it is gone afterwards
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: str) -> Said:
        capfd.readouterr()
        code = run_command(arguments)
        out, err = capfd.readouterr()
        return Said(code=code, out=out, err=err)

    yield call
    signal.signal(signal.SIGTERM, before)


def declare(*typed: str) -> RunSpec:
    """The declaration that a command line makes, as it comes through the door.

    Without an experiment it is one of networks of their own, which show more of the house.
    """
    if not any(one.startswith("+experiment") for one in typed):
        typed = ("architecture=parent_child", *typed)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        spec = through_the_door(compose("config", overrides=translate(typed)))
    return shrunk(spec) if spec.debug else spec


def environment(**changes: str) -> Mapping[str, str]:
    """For a process of its own: it imports this checkout, whatever else is installed."""
    path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **changes}


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "earthsnap_train", *arguments]


@pytest.fixture
def earthsnap_process(tmp_path: Path) -> Callable[..., Said]:
    """The command line in a process of its own, in an empty folder (or in ``cwd``)."""

    def call(*arguments: str, cwd: Path = tmp_path, **changes: str) -> Said:
        done = subprocess.run(
            program(*arguments), cwd=cwd, env=environment(**changes), capture_output=True, text=True, check=False
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    return call


# ---- what is made once, however many workers test


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share. Whoever makes something in it does so by ``once``."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made"
    folder.mkdir(exist_ok=True)
    return folder


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """``folder``, which ``make`` fills where no worker has yet; all others wait for it. Only to be read."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            making = folder.with_name(f"{folder.name}.making")
            shutil.rmtree(making, ignore_errors=True)  # of one that failed
            making.mkdir()
            make(making)
            making.rename(folder)
    return folder


# ---- a run that many tests look at


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """``folder`` is where the command was given: store/, outputs/, registry/ and groupings/ lie in it. Only to be read."""

    folder: Path
    said: Said

    @property
    def run_folder(self) -> Path:
        return sorted((self.folder / "outputs" / "plants-debug").iterdir())[0]

    @property
    def summary(self) -> Any:
        return json.loads((self.run_folder / "summary.json").read_bytes())

    @property
    def paths(self) -> list[str]:
        """Overrides by which another command works on this run's folders."""
        return [f"paths.{name}={self.folder / name}" for name in ("store", "outputs", "registry", "groupings")]


@pytest.fixture(scope="session")
def finished_run(made: Path) -> FinishedRun:
    """The demo made small, and told to every tracker."""
    folder = made / "finished_run"  # known from the start, since what is written in it names it
    said = made / "finished_run.json"
    with FileLock(f"{folder}.lock"):
        if not said.exists():
            folder.mkdir()
            done = subprocess.run(
                program(*TOLD), cwd=folder, env=environment(), capture_output=True, text=True, check=False
            )
            said.write_text(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr}))
    run = FinishedRun(folder=folder, said=Said(**json.loads(said.read_text())))
    assert run.said.code == 0, run.said.err + run.said.out
    return run


# ---- photographs


def draw_folder(root: Path, *, species: Mapping[str, int]) -> Path:
    """``{"Rosa/Rosa canina": 6}``: so many little photographs, each unlike all others, in a folder of that name."""
    for name, count in species.items():
        (root / name).mkdir(parents=True)
        for at in range(count):
            _photograph(zlib.crc32(f"{name}/{at}".encode())).save(root / name / f"{at:03d}.png")
    return root


def _photograph(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, size=(6, 6, 3), dtype=np.uint8))
    fine = rng.normal(0, 25, size=(64, 64, 3))  # without it the checks call the picture blurred
    return Image.fromarray(
        np.clip(np.asarray(coarse.resize((64, 64), Image.Resampling.BICUBIC)) + fine, 0, 255).astype(np.uint8)
    )


# ---- a tiny family: a plan that can be followed stage by stage, in this process

TINY_FLORA = {
    "rosaceae": ("rosa-canina", "rosa-rugosa", "sorbus-aria"),
    "fagaceae": ("quercus-ilex", "quercus-robur"),
    "ginkgoaceae": ("ginkgo-biloba",),
}
PHOTOGRAPHS_EACH = 12
SMALL = (
    "architecture=parent_child",
    "dataset=folder",
    "dataset.source.ranks=[family]",
    "dataset.min_images_per_species=5",
    "dataset.split.min_per_species=1",
    "grouping.min_species=1",
    "backbone.name=test_efficientnet",
    "backbone.weights.kind=none",
    "backbone.image_px=32",
    "training.records_px=40",
    "training.num_epochs=3",
    "training.batch_size=8",
    "training.head_first.num_epochs=4",
    "training.head_first.batch_size=8",
    "training.augmentation.colour_jitter=null",
    "tracking=none",
    "name=tiny",
)


@dataclass(frozen=True)
class Tiny:
    """A declaration's plan; each of its stages runs once, when it is first asked for, and equal ones are shared.

    ``root``: this declaration's own; ``done``: what stages wrote, shared with all others.
    """

    spec: RunSpec
    plan: Plan
    root: Path
    places: Mapping[str, Path]
    done: Path

    def out(self, name: str) -> Path:
        """What a stage wrote; it and what it needs run first where they have not."""
        stage = self.plan.stage(name)
        made_of = json.dumps([stage.kind, stage.settings, sorted(map(str, self.inputs(stage).items()))], sort_keys=True)
        key = hashlib.sha256(made_of.encode()).hexdigest()[:16]
        return once(self.done / f"{stage.kind}-{key}", lambda folder: self.run(name, folder))

    def run(self, name: str, out: Path, **changes: Any) -> None:
        """Runs one stage again. ``changes``: of its ``settings`` or ``inputs``, else of the context."""
        from earthsnap_train.pipeline.stages import function

        stage = self.plan.stage(name)
        settings = stage.settings | changes.pop("settings", {})
        inputs = self.inputs(stage) | changes.pop("inputs", {})
        out.mkdir(parents=True, exist_ok=True)
        scratch = out.with_name(f"{out.name}.scratch")
        scratch.mkdir(exist_ok=True)
        function(stage.kind)(settings, inputs, out, replace(Context(scratch=scratch), **changes))

    def inputs(self, stage: Stage) -> dict[str, Path]:
        return {name: self._place(reference) for name, reference in stage.references()}

    def _place(self, reference: str) -> Path:
        name, inside = split_reference(reference)
        return self.places[name[1:]] if name.startswith("@") else self.out(name) / inside

    def release(self) -> Path:
        """The bundle as the registry keeps it."""
        folder = self.root / "release"
        if not folder.exists():
            shutil.copytree(self.out("bundle"), folder)
            files = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
                     for p in sorted(folder.rglob("*")) if p.is_file()}  # fmt: skip
            (folder / "release.json").write_text(json.dumps({"files": files}))
        return folder


def _tiny_photographs(root: Path) -> None:
    """Each species its own colours, each photograph its own grain."""
    generator = np.random.default_rng(5)
    for number, (family, name) in enumerate((f, s) for f, members in TINY_FLORA.items() for s in members):
        (root / family / name).mkdir(parents=True)
        palette = np.random.default_rng(number).integers(0, 256, size=(4, 3))
        for photograph in range(PHOTOGRAPHS_EACH):
            pixels = palette[generator.integers(0, 4, size=(6, 6))]
            grain = generator.normal(0, 30, size=(48, 48, 3))
            image = np.kron(pixels, np.ones((8, 8, 1))) + grain
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / family / name / f"{photograph}.png")


@pytest.fixture(scope="session")
def tiny(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tiny]:
    """Overrides as on the command line -> the family that they declare; equal ones share what they did."""
    from hydra import compose, initialize_config_dir

    from earthsnap_train.__main__ import through_the_door
    from earthsnap_train.pipeline.prepare import prepare
    from earthsnap_train.pipeline.store import Store

    photographs = once(made / "photographs", _tiny_photographs)
    known: dict[tuple[str, ...], Tiny] = {}

    def make(*overrides: str) -> Tiny:
        if overrides not in known:
            root = tmp_path_factory.mktemp("tiny")
            paths = [f"paths.{name}={root}/{name}" for name in ("store", "outputs", "registry", "groupings")]
            with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
                source = f"dataset.source.root={photographs}"
                spec = through_the_door(compose("config", [*SMALL, source, *paths, *overrides]))
            prepared = prepare(spec, Store(root / "store"))
            known[overrides] = Tiny(spec, prepared.plan, root, prepared.places, made)
        return known[overrides]

    return make
