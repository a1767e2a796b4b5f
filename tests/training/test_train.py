"""Nodes taught through their stage, from photographs that were drawn for the test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.multiprocessing.spawn import ProcessRaisedException

from earthsnap_train.context import Resources
from earthsnap_train.data.examples import Examples
from earthsnap_train.data.shards import classes_digest
from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.models.embed import preprocessing
from earthsnap_train.models.export import Pictures
from earthsnap_train.models.family import Node
from earthsnap_train.serving.engine import Models
from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.imbalance import log_prior, sampling
from earthsnap_train.training.network import RecordFeed
from earthsnap_train.training.train import Settings, or_out_of_memory

NODE = "train/child/rosaceae"


def model(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return described


def head(folder: Path) -> np.ndarray:
    weight_CF: np.ndarray = load_file(folder / "head.safetensors")["weight"]
    return weight_CF


def trunk(folder: Path) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = load_file(folder / "trunk.safetensors")
    return tensors


def learnt(family: Any, node: str) -> float:
    """The share of its own train photographs that a taught node names right, as exported."""
    export = family.out(f"export/{node}")
    described = Node.model_validate_json((export / "node.json").read_bytes())
    own = export / "trunk.onnx"
    models = Models(
        {
            described.head: export / "head.onnx",
            described.trunk: own if own.exists() else family.out("trunk") / "trunk.onnx",
        }
    )
    examples = Examples.read(family.out(f"select/{node}")).of("train")
    folders = {name: path for name, path in family.inputs(family.plan.stage(f"export/{node}")).items()
               if name.startswith("records/")}  # fmt: skip
    pictures = Pictures(folders, preprocessing(family.spec.backbone))
    images = map(pictures.prepared, examples.image_ids)
    logits_BC = models.logits(described, models.features(described.trunk, images))
    return float((logits_BC.argmax(axis=1) == examples.labels).mean())


@pytest.mark.parametrize(
    ("method", "phases"),
    [("head", {"head": 20}), ("full", {"network": 80}), ("head_then_full", {"head": 16, "network": 80})],
)
def test_each_method_teaches_what_it_says(tiny: Callable[..., Any], method: str, phases: dict[str, int]) -> None:
    epochs = 5 if method == "head" else 20
    family = tiny(f"training={method}", f"training.num_epochs={epochs}", "training.lr=0.01")
    out = family.out(NODE)
    classes = ["rosa-canina", "rosa-rugosa", "sorbus-aria"]
    assert model(out) == {
        "classes": classes,
        "classes_digest": classes_digest(classes),
        "steps": phases,
        "epochs": {phase: step // 4 for phase, step in phases.items()},
    }
    start = load_file(family.out("trunk") / "trunk.safetensors")
    if method == "head":
        assert not (out / "trunk.safetensors").exists()
    else:
        assert trunk(out).keys() == start.keys()
        assert any(not np.array_equal(trunk(out)[name], start[name]) for name in start)
        assert learnt(family, "child/rosaceae") >= 0.7  # the largest class is 0.36
    assert head(out).shape == (3, 256)


def test_the_network_starts_from_the_head_that_was_taught_first(tiny: Callable[..., Any]) -> None:
    still = ("training.num_epochs=1", "training.lr=1e-9", "training.weight_decay=0", "training.warmup_fraction=0")
    first = tiny("training=head", "training.num_epochs=4", "training.batch_size=8", "training.lr=0.003",
                 "training.weight_decay=0.1", "training.warmup_fraction=0")  # fmt: skip
    both = tiny("training=head_then_full", *still)
    assert np.allclose(head(both.out(NODE)), head(first.out(NODE)), atol=1e-6)


@pytest.mark.parametrize("method", ["head", "full"])
def test_equal_seeds_give_equal_bytes_and_other_seeds_others(
    tiny: Callable[..., Any], tmp_path: Path, method: str
) -> None:
    family = tiny(f"training={method}")
    first = family.out(NODE)
    family.run(NODE, tmp_path / "again", resources=Resources(workers=2))
    family.run(NODE, tmp_path / "other", settings={"seed": 1})
    for path in first.glob("*.safetensors"):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "other/head.safetensors").read_bytes() != (first / "head.safetensors").read_bytes()


def record_feed(family: Any, *, workers: int = 0) -> RecordFeed:
    stage = family.plan.stage(NODE)
    inputs = family.inputs(stage)
    return RecordFeed(
        Settings.model_validate(stage.settings), inputs["examples"], [inputs["records/rosaceae"]], workers=workers
    )


@pytest.mark.slow
def test_any_number_of_workers_prepares_the_same_batches(tiny: Callable[..., Any]) -> None:
    family = tiny("training=full")
    batches = [list(record_feed(family, workers=workers).train(3, rank=0, world_size=1)) for workers in (0, 2)]
    assert len(batches[0]) == len(batches[1]) == 3 * 4 - 3
    for (images, labels), (other_images, other_labels) in zip(*batches, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)


def test_every_rank_has_something_to_watch(tiny: Callable[..., Any]) -> None:
    feed = record_feed(tiny("training=full"))
    num_watched = sum(len(labels) for _, labels in feed.val(rank=0, world_size=1))
    shares = [sum(len(labels) for _, labels in feed.val(rank=rank, world_size=2)) for rank in range(2)]
    assert sum(shares) == num_watched > 2
    assert [sum(len(labels) for _, labels in feed.val(rank=r, world_size=64)) for r in range(64)] == [num_watched] * 64


def teaching(family: Any, imbalance: str) -> Teaching:
    return Settings.model_validate(family.plan.stage(NODE).settings).training.replaced({"imbalance": imbalance})


def test_logit_adjustment_adds_the_logarithm_of_each_class_share(tiny: Callable[..., Any]) -> None:
    adjusted = teaching(tiny("training=head"), "logit_adjustment")
    prior_C = log_prior(adjusted, np.array([0, 0, 0, 1]), 3)
    assert prior_C is not None
    assert prior_C.exp().tolist() == pytest.approx([3 / 5, 1 / 5, 1 / 5])  # a class with none counts as one
    assert sampling(adjusted) == "none"
    assert log_prior(teaching(tiny("training=head"), "sqrt"), np.array([0, 1]), 2) is None
    assert sampling(teaching(tiny("training=head"), "sqrt")) == "sqrt"


def test_each_way_with_imbalance_teaches_something_else(tiny: Callable[..., Any]) -> None:
    ways = ("none", "sqrt", "balanced", "logit_adjustment")
    heads = [head(tiny("training=head", f"training.imbalance={way}").out("train/parent")) for way in ways]
    for number, one in enumerate(heads):
        assert np.isfinite(one).all()
        assert all(not np.array_equal(one, other) for other in heads[:number])


@pytest.mark.slow
def test_each_option_of_the_loss_teaches_something_else(tiny: Callable[..., Any]) -> None:
    options = (
        (), ("training.rank_weight=1",),
        ("training.label_smoothing=0.2", "training.label_smoothing_by=taxonomy"),
        ("training.augmentation.mixup=0.5",), ("training.augmentation.cutmix=0.5",),
    )  # fmt: skip
    heads = [head(tiny("training=full", "training.num_epochs=1", *typed).out("train/parent")) for typed in options]
    for number, one in enumerate(heads):
        assert np.isfinite(one).all()
        assert all(not np.array_equal(one, other) for other in heads[:number])


def test_the_head_before_a_network_is_taught_by_the_same_loss(tiny: Callable[..., Any]) -> None:
    still = ("training=head_then_full", "training.num_epochs=1", "training.lr=1e-9", "training.weight_decay=0")
    plain, ranks = (head(tiny(*still, f"training.rank_weight={weight}").out("train/parent")) for weight in (0, 2))
    assert not np.allclose(plain, ranks, atol=1e-4)


def test_a_node_taught_on_val_too_watches_nothing_and_ends_where_the_watched_one_was_best(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    family = tiny("training=head", "training.early_stopping_patience=1", "training.lr=1.0", "training.num_epochs=30")
    watched = family.out(NODE)
    epochs = model(watched)["epochs"]["head"]
    assert epochs < 30
    changes = {"settings": {"splits": ["train", "val"]}, "inputs": {"taught": watched}}
    family.run(NODE, tmp_path / "refit", **changes)
    assert model(tmp_path / "refit")["epochs"] == {"head": epochs}
    curves = json.loads((tmp_path / "refit/notes/curves.json").read_text())
    assert not any("val_loss" in row for row in curves)
    assert not np.array_equal(head(tmp_path / "refit"), head(watched))


def test_a_phase_is_never_mistaken_for_another_in_the_curves(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head_then_full")
    rows = json.loads((family.out(NODE) / "notes/curves.json").read_text())
    validated = [row["step"] for row in rows if "val_loss" in row]
    assert validated == [4 * epoch for epoch in range(1, 4 + 3 + 1)]


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        ProcessRaisedException("torch.OutOfMemoryError: CUDA out of memory", error_index=0, error_pid=1),
    ],
)
def test_a_gpu_without_enough_memory_is_an_error_with_a_remedy(tiny: Callable[..., Any], error: Exception) -> None:
    settings = Settings.model_validate(tiny("training=full").plan.stage(NODE).settings)
    with pytest.raises(EnvironmentProblem) as said, or_out_of_memory(settings):
        raise error
    assert "a batch of 8 photographs of 32 px" in str(said.value)
    assert "training.batch_size=4" in str(said.value)


def test_another_error_of_a_process_stays_what_it_is(tiny: Callable[..., Any]) -> None:
    settings = Settings.model_validate(tiny("training=full").plan.stage(NODE).settings)
    with pytest.raises(ProcessRaisedException, match="KeyError"), or_out_of_memory(settings):
        raise ProcessRaisedException("KeyError: 'x'", error_index=0, error_pid=1)
