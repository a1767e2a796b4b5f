"""Networks as ONNX: the same answers, the same bytes, and nothing of the machine that wrote them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from safetensors.torch import load_file

from earthsnap_train.errors import StageError
from earthsnap_train.models.backbone import empty_trunk
from earthsnap_train.models.calibration import fit_temperature
from earthsnap_train.models.export import require_equal, sha256_of
from earthsnap_train.models.family import Node, softmax
from earthsnap_train.models.heads import head_to_onnx, load_head, save_head

NODE = "child/rosaceae"


def run_onnx(path: Path, **inputs: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, inputs)[0]
    return result


def test_a_head_survives_its_file_and_answers_alike_in_onnx(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    weight_CF, bias_C = (generator.normal(size=shape).astype(np.float32) for shape in ((3, 7), (3,)))
    save_head(tmp_path / "head.safetensors", weight_CF=weight_CF, bias_C=bias_C)
    assert all(map(np.array_equal, load_head(tmp_path / "head.safetensors"), (weight_CF, bias_C)))
    head_to_onnx(tmp_path / "head.onnx", weight_CF=weight_CF, bias_C=bias_C)
    features_BF = generator.normal(size=(5, 7)).astype(np.float32)
    answer_BC = run_onnx(tmp_path / "head.onnx", features=features_BF)
    assert np.allclose(answer_BC, features_BF @ weight_CF.T + bias_C, atol=1e-5)


def test_a_trunk_answers_alike_in_onnx_for_any_number_of_photographs(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head")
    trunk = empty_trunk(family.spec.backbone).eval()
    trunk.load_state_dict(load_file(family.out("trunk") / "trunk.safetensors"))
    images = np.random.default_rng(0).integers(0, 256, size=(3, 3, 32, 32), dtype=np.uint8)
    with torch.inference_mode():
        expected_BF = trunk(torch.from_numpy(images)).numpy()
    for count in (1, 3):
        answer_BF = run_onnx(family.out("trunk") / "trunk.onnx", images=images[:count])
        assert np.allclose(answer_BF, expected_BF[:count], atol=1e-4)


def test_a_trunk_exported_again_has_the_same_bytes_and_nothing_of_this_machine(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    import onnx

    family = tiny("training=head")
    first = family.out("trunk") / "trunk.onnx"
    torch.manual_seed(99)
    family.run("trunk", tmp_path / "again")
    assert (tmp_path / "again/trunk.onnx").read_bytes() == first.read_bytes()
    content = first.read_bytes()
    for trace in (os.sep + "site-packages", str(Path.home()), str(Path.cwd()), ".py", "earthsnap"):
        assert trace.encode() not in content, trace
    model = onnx.load_from_string(content)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_a_frozen_trunk_is_named_and_not_copied_and_one_of_its_own_comes_along(tiny: Callable[..., Any]) -> None:
    frozen, own = tiny("training=head"), tiny("training=full", "training.num_epochs=1")
    nodes = {}
    for family in (frozen, own):
        out = family.out(f"export/{NODE}")
        nodes[family.spec.training.method] = node = Node.model_validate_json((out / "node.json").read_bytes())
        assert node.head == sha256_of(out / "head.onnx")
        assert node.classes == ("rosa-canina", "rosa-rugosa", "sorbus-aria")
        assert node.head_multiply_adds == 3 * 256
        assert json.loads((out / "notes/parity.json").read_text())["max_difference"] <= 1e-4
    assert not (frozen.out(f"export/{NODE}") / "trunk.onnx").exists()
    assert nodes["head"].trunk == sha256_of(frozen.out("trunk") / "trunk.onnx")
    assert nodes["full"].trunk == sha256_of(own.out(f"export/{NODE}") / "trunk.onnx")


def test_an_export_that_answers_otherwise_is_refused() -> None:
    torch_BC = np.array([[0.2, 0.8]], dtype=np.float32)
    assert require_equal(torch_BC + np.float32(5e-5), torch_BC, backbone="x") == pytest.approx(5e-5, rel=0.01)
    for onnx_BC in (torch_BC + np.float32(2e-4), np.full_like(torch_BC, np.nan)):
        with pytest.raises(
            StageError, match=r"backbone\.name=x: the exported model's probabilities differ from torch's"
        ):
            require_equal(onnx_BC, torch_BC, backbone="x")


def test_a_temperature_makes_certainty_honest() -> None:
    generator = np.random.default_rng(0)
    labels_B = generator.integers(0, 4, size=2000)
    honest_BC = generator.normal(size=(2000, 4)) + 1.5 * np.eye(4)[labels_B]
    shouted_BC = (6 * honest_BC).astype(np.float32)
    temperature = fit_temperature(shouted_BC, labels_B)
    truth = np.eye(4)[labels_B]
    before, after = (
        -np.log((softmax(shouted_BC, t) * truth).sum(axis=1).clip(1e-12)).mean() for t in (1.0, temperature)
    )
    assert 3 < temperature < 6
    assert after < 0.6 * before


def test_wrong_labels_of_val_do_not_make_a_node_modest() -> None:
    generator = np.random.default_rng(2)
    labels_B = generator.integers(0, 10, size=1500)
    logits_BC = (generator.normal(size=(1500, 10)) + 3 * np.eye(10)[labels_B]).astype(np.float32)
    wrong_B = generator.random(1500) < 0.015
    labelled_B = np.where(wrong_B, generator.integers(0, 10, size=1500), labels_B)
    told_truth, told_wrong = (fit_temperature(logits_BC, known_B) for known_B in (labels_B, labelled_B))
    assert told_wrong == pytest.approx(told_truth, rel=0.1)


def test_confident_mistakes_of_a_network_do_not_pass_for_wrong_labels() -> None:
    generator = np.random.default_rng(3)
    labels_B = generator.integers(0, 10, size=1500)
    named_B = np.where(generator.random(1500) < 0.1, generator.integers(0, 10, size=1500), labels_B)
    logits_BC = (generator.normal(size=(1500, 10)) + 12 * np.eye(10)[named_B]).astype(np.float32)
    sure_B = softmax(logits_BC, fit_temperature(logits_BC, labels_B)).max(axis=1)
    assert sure_B.mean() - (logits_BC.argmax(axis=1) == labels_B).mean() < 0.03


def test_without_anything_to_learn_it_from_the_temperature_is_one() -> None:
    assert fit_temperature(np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.int64)) == 1.0
    assert fit_temperature(np.zeros((4, 1), dtype=np.float32), np.zeros(4, dtype=np.int64)) == 1.0


def test_a_few_right_answers_do_not_make_a_node_certain_of_everything() -> None:
    logits_BC = np.tile(np.array([[2.0, 0.0]], dtype=np.float32), (3, 1))
    assert 0.5 < fit_temperature(logits_BC, np.zeros(3, dtype=np.int64)) < 1.0
