"""A head is the optimum of a convex problem: nothing but its own photographs decides it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from earthsnap_train.models.family import softmax
from earthsnap_train.models.heads import head_to_onnx, rooted
from earthsnap_train.serving.runtimes import OnnxRuntime
from earthsnap_train.spec.architecture import Heads
from earthsnap_train.training.logistic import Head, Lesson, solve

CLASSES = ("ash", "beech", "cedar")
DECAY = 0.01


def heads(**changes: Any) -> Heads:
    return Heads.model_validate(
        {"roots": False, "whitening": 0.0, "imbalance": "none", "weight_decay": DECAY, "max_iterations": 200} | changes
    )


def lesson(**changes: Any) -> Lesson:
    return Lesson.model_validate(
        {"heads": heads(), "label_smoothing": 0.0} | changes
    )  # fmt: skip


def drawn(counts: tuple[int, ...] = (40, 40, 40), views: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features [N, V, 6] of overlapping classes, and their labels."""
    rng = np.random.default_rng(3)
    labels_N = np.repeat(np.arange(len(counts)), counts)
    centres_CF = rng.normal(0, 1, size=(len(counts), 6))
    features_NVF = centres_CF[labels_N][:, None] + rng.normal(0, 1.2, size=(len(labels_N), views, 6))
    return features_NVF.astype(np.float32), labels_N


def probabilities(head: Head, features_NVF: NDArray[np.float32]) -> NDArray[np.float32]:
    return softmax(head.logits(features_NVF[:, 0]))


@pytest.mark.parametrize("whitening", [0.0, 0.4])
def test_it_is_the_optimum_that_automatic_differentiation_finds_no_way_down_from(whitening: float) -> None:
    features_NVF, labels_N = drawn()
    head = solve(features_NVF, labels_N, CLASSES, lesson(heads=heads(whitening=whitening)))
    x_NF = features_NVF[:, 0]
    scale = float(np.sqrt(x_NF.var(axis=0).mean()))
    weight_CF = torch.from_numpy(head.weight_CF * scale).double().requires_grad_()
    bias_C = torch.from_numpy(head.bias_C + head.weight_CF @ x_NF.mean(axis=0)).double().requires_grad_()
    scaled_NF = (x_NF - x_NF.mean(axis=0)) / scale
    # Weights are small as the covariance within classes measures them, shrunk towards that of a ball of the same size.
    within_NF = scaled_NF - np.stack([scaled_NF[labels_N == c].mean(axis=0) for c in range(3)])[labels_N]
    scatter_FF = within_NF.T @ within_NF
    measure_FF = whitening * scatter_FF / (np.trace(scatter_FF) / 6) + (1 - whitening) * np.eye(6)
    loss = torch.nn.functional.cross_entropy(
        torch.from_numpy(scaled_NF).double() @ weight_CF.T + bias_C, torch.from_numpy(labels_N)
    )
    (loss + DECAY / 2 * (weight_CF @ torch.from_numpy(measure_FF) * weight_CF).sum()).backward()
    assert weight_CF.grad is not None
    assert bias_C.grad is not None
    assert weight_CF.grad.abs().max() < 2e-3
    assert bias_C.grad.abs().max() < 2e-3


@pytest.mark.parametrize("whitening", [0.0, 0.2])
def test_where_there_are_fewer_photographs_than_features_the_optimum_is_the_same(whitening: float) -> None:
    features_NVF, labels_N = drawn((1, 2, 1))
    few = solve(features_NVF, labels_N, CLASSES, lesson(heads=heads(whitening=whitening)))
    as_many = np.repeat(features_NVF, 2, axis=1)  # each photograph twice: the same problem, in all of its features
    many = solve(as_many, labels_N, CLASSES, lesson(heads=heads(whitening=whitening)))
    assert len(labels_N) < 6 <= as_many.shape[0] * as_many.shape[1]
    assert np.allclose(few.weight_CF, many.weight_CF, atol=0.03)
    assert np.allclose(few.bias_C, many.bias_C, atol=0.03)


def test_whitening_distrusts_what_differs_between_photographs_of_one_class() -> None:
    rng = np.random.default_rng(5)
    loud_GF = rng.normal(0, 1, size=(4, 9))

    def photographs(labels_N: NDArray[np.int64]) -> NDArray[np.float32]:
        own_NF = np.eye(3)[labels_N] + rng.normal(0, 0.3, size=(len(labels_N), 3))
        loud_NF = rng.normal(0, 1, size=(len(labels_N), 4)) @ loud_GF
        return np.concatenate([own_NF, loud_NF], axis=1)[:, None].astype(np.float32)

    labels_N, asked = np.repeat(np.arange(3), 4), np.repeat(np.arange(3), 200)
    taught_NVF, asked_NVF = photographs(labels_N), photographs(asked)

    def right(whitening: float) -> float:
        head = solve(taught_NVF, labels_N, CLASSES, lesson(heads=heads(whitening=whitening)))
        return float((head.logits(asked_NVF[:, 0]).argmax(axis=1) == asked).mean())

    assert right(0.5) > right(0.0) + 0.05


def test_a_class_of_one_photograph_each_has_nothing_to_whiten() -> None:
    features_NVF, labels_N = drawn((1, 1, 1))
    head = solve(features_NVF, labels_N, CLASSES, lesson(heads=heads(whitening=0.2)))
    even = solve(features_NVF, labels_N, CLASSES, lesson(heads=heads(weight_decay=0.8 * DECAY)))
    assert np.allclose(head.weight_CF, even.weight_CF, atol=0.02)
    assert np.allclose(head.bias_C, even.bias_C, atol=0.02)


def test_the_same_photographs_give_the_same_bytes() -> None:
    first, second = (solve(*drawn(), CLASSES, lesson()) for _ in range(2))
    assert first.weight_CF.tobytes() == second.weight_CF.tobytes()
    assert first.bias_C.tobytes() == second.bias_C.tobytes()


def test_the_unit_and_the_zero_of_features_change_nothing() -> None:
    features_NVF, labels_N = drawn()
    moved_NVF = features_NVF * 50 + 7
    plain = probabilities(solve(features_NVF, labels_N, CLASSES, lesson()), features_NVF)
    moved = probabilities(solve(moved_NVF, labels_N, CLASSES, lesson()), moved_NVF)
    assert np.allclose(plain, moved, atol=2e-3)


def test_views_of_a_photograph_share_its_weight() -> None:
    features_NVF, labels_N = drawn()
    twice_NVF = np.repeat(features_NVF, 2, axis=1)
    once = solve(features_NVF, labels_N, CLASSES, lesson())
    twice = solve(twice_NVF, labels_N, CLASSES, lesson())
    assert np.allclose(probabilities(once, features_NVF), probabilities(twice, features_NVF), atol=2e-3)


@pytest.mark.parametrize("imbalance", ["logit_adjustment", "balanced", "sqrt"])
def test_a_rare_class_is_named_more_often_where_imbalance_is_answered(imbalance: str) -> None:
    features_NVF, labels_N = drawn((80, 80, 6))
    plain = probabilities(solve(features_NVF, labels_N, CLASSES, lesson()), features_NVF)
    answered = probabilities(
        solve(features_NVF, labels_N, CLASSES, lesson(heads=heads(imbalance=imbalance))), features_NVF
    )
    assert answered[:, 2].sum() > plain[:, 2].sum() + 1


def test_smoothed_labels_make_it_less_sure() -> None:
    features_NVF, labels_N = drawn()
    plain = probabilities(solve(features_NVF, labels_N, CLASSES, lesson()), features_NVF)
    smoothed = probabilities(solve(features_NVF, labels_N, CLASSES, lesson(label_smoothing=0.2)), features_NVF)
    assert smoothed.max(axis=1).mean() < plain.max(axis=1).mean() - 0.02


def test_a_class_without_a_photograph_is_hardly_ever_named() -> None:
    features_NVF, labels_N = drawn((40, 40))
    head = solve(features_NVF, labels_N, CLASSES, lesson())
    assert (probabilities(head, features_NVF).argmax(axis=1) < 2).all()


def test_a_head_of_roots_takes_them_itself_as_its_exported_file_does(tmp_path: Path) -> None:
    features_NVF, labels_N = drawn()
    of_roots = lesson(heads=heads(roots=True))
    head = solve(features_NVF, labels_N, CLASSES, of_roots)
    by_hand = solve(rooted(features_NVF), labels_N, CLASSES, lesson())
    assert (head.weight_CF == by_hand.weight_CF).all()
    x_NF = features_NVF[:, 0]
    assert (x_NF < 0).any()
    assert np.allclose(head.logits(x_NF), by_hand.logits(np.sign(x_NF) * np.abs(x_NF) ** 0.5), atol=1e-4)
    head_to_onnx(tmp_path / "head.onnx", weight_CF=head.weight_CF, bias_C=head.bias_C, of_roots=True)
    exported = OnnxRuntime(threads=1).open((tmp_path / "head.onnx").read_bytes())
    assert np.allclose(exported(x_NF), head.logits(x_NF), atol=1e-4)
