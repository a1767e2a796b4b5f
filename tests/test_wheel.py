"""An installed wheel has all that a checkout has."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_the_wheel_carries_conf_templates_and_launchers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(REPOSITORY)], check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    conf = {path.relative_to(REPOSITORY / "conf").as_posix() for path in (REPOSITORY / "conf").rglob("*.yaml")}
    assert {f"earthsnap_train/conf/{name}" for name in conf} <= names
    sweeper = {f"hydra_plugins/earthsnap_optuna/{name}.py" for name in ("__init__", "sweeper", "_begin")}
    assert {"launchers/local.py", "earthsnap_train/py.typed", *sweeper} <= names
    templates = {path.relative_to(REPOSITORY / "src").as_posix() for path in (REPOSITORY / "src").rglob("*.j2")}
    assert templates
    assert templates <= names
    done = subprocess.run(
        [sys.executable, "-m", "earthsnap_train", "plan", "+experiment=plants"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "evaluate/family" in done.stdout
    swept = subprocess.run(
        [sys.executable, "-m", "earthsnap_train", "plan", "-m", "+experiment=plants", "seed=1,2"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert swept.returncode == 0, swept.stderr
    assert swept.stdout.count("evaluate/family") == 2
