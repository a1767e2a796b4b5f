"""Everything that uses a GPU, on a real one. Skipped where there is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from earthsnap_train.context import Resources
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.family import Family
from earthsnap_train.release.bundle_files import model_files
from earthsnap_train.serving.engine import Engine, Models
from tests.training.test_resume import StopAt, Stopped

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
GPU = Resources(workers=2, accelerator="cuda", devices=(0,))
SHARED = "architecture=shared_trunk"
EMBED, HEADS, CHILD = "embed/trunk/rosaceae", "heads", "train/child/rosaceae"


def node(folder: Path, name: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / name / "node.json").read_text())
    return described


def test_features_are_those_that_the_served_network_computes(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(SHARED)
    family.run(EMBED, tmp_path / "gpu", resources=GPU)
    served, on_gpu = (Embeddings({"": folder}) for folder in (family.out(EMBED), tmp_path / "gpu"))
    image_ids = json.loads((family.out(EMBED) / "index.json").read_text())["image_ids"]
    expected = served.of(image_ids)
    assert np.abs(on_gpu.of(image_ids) - expected).max() <= 1e-4 * np.abs(expected).max()


def test_heads_answer_as_those_solved_on_the_cpu(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(SHARED)
    family.run(HEADS, tmp_path / "gpu", resources=GPU)
    on_cpu = family.out(HEADS)
    features_BF = np.load(family.out(EMBED) / "features.npy")[:, 0]
    for name in ("parent", "child/rosaceae", "child/fagaceae", "flat"):
        assert node(tmp_path / "gpu", name)["classes"] == node(on_cpu, name)["classes"]
        ours, theirs = (logits(folder / name / "head.onnx", features_BF) for folder in (tmp_path / "gpu", on_cpu))
        assert np.abs(ours - theirs).max() <= 0.02 * np.abs(theirs).max()


def logits(head: Path, features_BF: np.ndarray) -> np.ndarray:
    import onnxruntime as ort

    session = ort.InferenceSession(head, providers=["CPUExecutionProvider"])
    answered: np.ndarray = session.run(None, {session.get_inputs()[0].name: features_BF})[0]
    return answered


@pytest.mark.parametrize("method", ["head", "full", "head_then_full"])
@pytest.mark.parametrize("precision", ["auto", "32", "16"])
def test_each_method_teaches_as_on_the_cpu(
    tiny: Callable[..., Any], tmp_path: Path, method: str, precision: str
) -> None:
    taught = (f"training={method}", f"training.num_epochs={5 if method == 'head' else 20}", "training.lr=0.01")
    family = tiny(*taught, f"training.precision='{precision}'")
    family.run(CHILD, tmp_path / "gpu", resources=GPU)
    on_cpu = tiny(*taught, "training.precision='32'").out(CHILD)
    least, least_on_cpu = (min(losses(folder)) for folder in (tmp_path / "gpu", on_cpu))
    assert least == pytest.approx(least_on_cpu, abs=0.02 if method == "head" else 0.3)
    if method != "head":
        trunk = load_file(tmp_path / "gpu/trunk.safetensors")
        start = load_file(family.out("trunk") / "trunk.safetensors")
        assert any(not np.array_equal(trunk[name], start[name]) for name in start)
        assert all(np.isfinite(tensor).all() for tensor in trunk.values())


def losses(folder: Path) -> list[float]:
    """On val, epoch by epoch."""
    rows = json.loads((folder / "notes/curves.json").read_text())
    return [row["val_loss"] for row in rows if "val_loss" in row]


@pytest.mark.parametrize("method", ["head", "full"])
def test_a_stopped_training_goes_on(tiny: Callable[..., Any], tmp_path: Path, method: str) -> None:
    """Not to the last bit: a GPU adds up gradients in an order of its own."""
    family = tiny(f"training={method}", "training.num_epochs=4", "training.lr=0.01", "training.precision='32'")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    often = Resources(workers=2, accelerator="cuda", devices=(0,), checkpoint_every_s=0.0)
    with pytest.raises(Stopped):
        family.run(CHILD, tmp_path / "stopped", resources=often, events=StopAt(6), scratch=scratch)
    assert list(scratch.rglob("last.ckpt"))
    family.run(CHILD, tmp_path / "resumed", resources=often, scratch=scratch)
    family.run(CHILD, tmp_path / "whole", resources=often)
    assert losses(tmp_path / "resumed") == pytest.approx(losses(tmp_path / "whole"), abs=0.05)


def test_a_search_tries_on_it(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(
        "training=full", "training.num_epochs=2", "tuning=quick", "tuning.num_trials=2", "tuning.subset=null",
        "tuning.pruning.kind=none",
    )  # fmt: skip
    family.run("tune/child", tmp_path / "found", resources=GPU)
    rows = json.loads((tmp_path / "found/notes/trials.json").read_text())
    assert [row["state"] for row in rows] == ["complete", "complete"]


def test_options_of_the_loss_run_on_it(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(
        "training=full", "training.num_epochs=1", "training.augmentation.mixup=0.4", "training.augmentation.cutmix=1.0",
        "training.label_smoothing=0.1", "training.label_smoothing_by=taxonomy", "training.rank_weight=0.5",
        "training.ema_decay=0.9",
    )  # fmt: skip
    family.run(CHILD, tmp_path / "gpu", resources=GPU)
    assert np.isfinite(load_file(tmp_path / "gpu/head.safetensors")["weight"]).all()


def test_a_whole_run_takes_the_gpu_where_one_is(tmp_path: Path, earthsnap_process: Callable[..., Any]) -> None:
    """From drawn photographs to a registered release; what was embedded and taught on the GPU is answered on the CPU."""
    done = earthsnap_process("+experiment=plants", "debug=true", "tracking=none", "training=head_then_full",
                             "launcher.accelerator=cuda")  # fmt: skip
    assert done.code == 0, done.err + done.out
    release = next((tmp_path / "registry").rglob("family.json")).parent
    served = Family.model_validate_json((release / "family.json").read_bytes())
    engine = Engine(served, Models(model_files(served, release)))
    answer = engine.answer(
        np.zeros((2, 3, served.preprocessing.image_px, served.preprocessing.image_px), dtype=np.uint8)
    )
    assert np.allclose(answer.species_BS.sum(axis=1), 1, atol=1e-4)
