"""The table of contents: every kind of stage, in the order in which data flows.

``run`` names the function that does the work; it is imported only where it runs. Raise ``revision`` whenever a kind's
result may differ for the same inputs; ``libraries`` are those whose version may change it. ``light`` stages take
milliseconds and run where the plan is followed rather than in a process of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from earthsnap_train.context import Context

Run = Callable[[Mapping[str, object], Mapping[str, Path], Path, Context], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    run: str
    revision: int
    libraries: tuple[str, ...] = ()
    light: bool = False
    parallel_inside: bool = False
    uses_gpu: bool = False


KINDS: Mapping[str, Kind] = {
    # photographs -> a checked, versioned, split manifest
    "draw": Kind(run="data.flora.draw:run", revision=1, libraries=("pillow", "numpy"), parallel_inside=True),
    "ingest": Kind(run="data.ingest:run", revision=3, libraries=("pillow", "pillow-heif"), parallel_inside=True),
    # -> what each node is taught from
    "select": Kind(run="data.select:run", revision=1, light=True),
    "records": Kind(run="data.records:run", revision=1, libraries=("pillow",)),
    # -> networks
    "trunk": Kind(
        run="models.trunk:run",
        revision=2,
        libraries=("torch", "timm", "torchvision", "onnx", "onnxruntime", "pillow", "numpy"),
    ),
    "embed": Kind(run="models.embed:run", revision=4, libraries=("onnxruntime", "pillow"), uses_gpu=True),
    "embed_originals": Kind(
        run="models.embed:run_originals",
        revision=1,
        libraries=("onnxruntime", "pillow"),
        parallel_inside=True,
        uses_gpu=True,
    ),
    "tune": Kind(
        run="training.search:run", revision=1, libraries=("torch", "timm", "torchvision", "optuna"), uses_gpu=True
    ),
    "train": Kind(run="training.train:run", revision=2, libraries=("torch", "timm", "torchvision"), uses_gpu=True),
    "export": Kind(
        run="models.export:run", revision=4, libraries=("torch", "timm", "torchvision", "onnx", "onnxruntime", "pillow")
    ),
    "check_parent": Kind(run="evaluation.check_parent:run", revision=1, libraries=("onnxruntime",)),
    "heads": Kind(run="training.heads:run", revision=3, libraries=("torch", "scipy", "onnx"), uses_gpu=True),
    # -> what they are worth
    "evaluate": Kind(run="evaluation.evaluate_node:run", revision=1, libraries=("onnxruntime", "pillow")),
    "evaluate_heads": Kind(run="evaluation.evaluate_heads:run", revision=1, libraries=("onnxruntime",)),
    "ablate": Kind(run="training.ablate:run", revision=3, libraries=("torch", "scipy"), uses_gpu=True),
    "calibrate": Kind(run="evaluation.calibrate_family:run", revision=1, libraries=("onnxruntime", "pillow")),
    "evaluate_family": Kind(run="evaluation.evaluate_family:run", revision=5, libraries=("onnxruntime", "pillow")),
    # -> a release that waits for a person
    "bundle": Kind(run="release.bundle:run", revision=6, libraries=("onnxruntime", "pillow")),
    "report": Kind(run="evaluation.write_report:run", revision=5, libraries=("pillow",)),
    # beside a release: what could be declared better
    "advise": Kind(run="advice.advise:run", revision=3, libraries=("torch", "scipy", "pillow"), parallel_inside=True),
}


def function(kind: str) -> Run:
    """The function behind a kind; imports its module, and with it whatever that needs."""
    module, _, name = KINDS[kind].run.partition(":")
    run: Run = getattr(import_module(f"earthsnap_train.{module}"), name)
    return run
