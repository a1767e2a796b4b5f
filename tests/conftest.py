"""Fixtures that several rooms of the house share."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
DEMO = ("+experiment=plants", "debug=true", "tracking=none")


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
    from earthsnap_train.__main__ import run_command

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
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The demo made small, run once however many workers test."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished_run"
    said = folder / "said.json"
    with FileLock(f"{folder}.lock"):
        if not said.exists():
            folder.mkdir()
            done = subprocess.run(
                program(*DEMO), cwd=folder, env=environment(), capture_output=True, text=True, check=False
            )
            said.write_text(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr}))
    run = FinishedRun(folder=folder, said=Said(**json.loads(said.read_text())))
    assert run.said.code == 0, run.said.err + run.said.out
    return run


# ---- photographs


def draw_folder(root: Path, *, species: Mapping[str, int]) -> Path:
    """``{"Rosa/Rosa canina": 6}``: so many little photographs, each unlike all others, in a folder of that name."""
    for number, (name, count) in enumerate(species.items()):
        (root / name).mkdir(parents=True)
        for at in range(count):
            _photograph(1000 * number + at).save(root / name / f"{at:03d}.png")
    return root


def _photograph(seed: int) -> Image.Image:
    import numpy as np

    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, size=(6, 6, 3), dtype=np.uint8))
    fine = rng.normal(0, 25, size=(64, 64, 3))  # without it the checks call the picture blurred
    return Image.fromarray(
        np.clip(np.asarray(coarse.resize((64, 64), Image.Resampling.BICUBIC)) + fine, 0, 255).astype(np.uint8)
    )
