"""A job's command as one that runs it in a container of this machine's engine, by the ``docker`` client."""

import os
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from earthsnap_train.errors import EnvironmentProblem
from launchers.sagemaker import places

OPTIONS_VARIABLE = "EARTHSNAP_ENGINE_OPTIONS"  # further options of `docker run`: --gpus all


def in_engine(command: list[str], *, image: str, root: Path, s3: Path, variables: Iterable[str]) -> list[str]:
    """``root`` is its /opt/ml; ``s3`` lies there where it lies here, for links into it. Nothing else can be written.

    ``variables``: names of those that the container sees, with the values that the client is given. There is no network.
    The client hands signals on. Raises EnvironmentProblem where there is no client.
    """
    require_engine()
    return [
        "docker", "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--shm-size=1g",
        f"--volume={root}:{places.ROOT}", f"--volume={s3}:{s3}",
        *(f"--env={name}" for name in variables),
        f"--entrypoint={command[0]}",
        *shlex.split(os.environ.get(OPTIONS_VARIABLE, "")),
        image, *command[1:],
    ]  # fmt: skip


def require_engine() -> None:
    if shutil.which("docker") is None:
        raise EnvironmentProblem(
            "containers need an engine, and no docker client is installed",
            where="launcher.execute",
            remedy="launcher.execute=offline runs the same jobs as processes",
        )
