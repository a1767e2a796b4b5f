"""Photographs through a family of small fakes in place of networks, which count what they are asked."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.evaluation.evaluate_family import multiply_adds
from earthsnap_train.models.family import Family, Floats, Node, softmax
from earthsnap_train.serving.engine import Engine, Models
from earthsnap_train.spec.architecture import Routing

GROUP_OF = {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "c1": "c"}


class Fakes(Models):
    """A trunk's features are the photograph's mean; heads answer with fixed logits."""

    def __init__(self, logits: dict[str, list[float]]) -> None:
        self._logits = logits
        self.looked: Counter[tuple[str, int]] = Counter()

    def features(self, trunk: str, images: Iterable[NDArray[np.uint8]]) -> Floats:
        means = [float(image.mean()) for image in images]
        self.looked.update((trunk, int(mean)) for mean in means)
        return np.array(means, dtype=np.float32)[:, None]

    def logits(self, node: Node, features_BF: Floats) -> Floats:
        return np.repeat(np.array([self._logits[node.head]], dtype=np.float32), len(features_BF), axis=0)


def node(head: str, classes: tuple[str, ...], trunk: str) -> Node:
    return Node(
        targets="groups" if head == "parent" else "species", classes=classes, temperature=2.0, trunk=trunk, head=head,
        trunk_multiply_adds=1000, head_multiply_adds=10,
    )  # fmt: skip


def engine(*, root: str, children: str, kind: str = "soft") -> tuple[Engine, Fakes]:
    family = Family(
        architecture="parent_child",
        nodes={
            "parent": node("parent", ("a", "b", "c"), root),
            "child/a": node("a", ("a1", "a2"), children),
            "child/b": node("b", ("b1", "b2"), children),
        },
        species=tuple(GROUP_OF),
        group_of=GROUP_OF,
        routing=Routing.model_validate({"kind": kind, "top_k": 3, "mass": 1.0, "parent_weight": 0.0}),
        preprocessing=Preprocessing(image_px=4, crop_fraction=1.0, interpolation="bilinear"),
    )
    fakes = Fakes({"parent": [2.0, 1.0, 0.0], "a": [4.0, 0.0], "b": [0.0, 4.0]})
    return Engine(family, fakes), fakes


def photographs() -> NDArray[np.uint8]:
    return np.stack([np.full((3, 4, 4), value, dtype=np.uint8) for value in (10, 20)])


@pytest.mark.parametrize(
    ("root", "children", "expected"),
    [
        ("shared", "shared", {"shared": 1}),
        ("own", "frozen", {"own": 1, "frozen": 1}),  # the children's runs once for both of them
    ],
)
def test_a_trunk_that_nodes_share_looks_at_each_photograph_once(
    root: str, children: str, expected: dict[str, int]
) -> None:
    one, fakes = engine(root=root, children=children)
    answer = one.answer(photographs())
    assert fakes.looked == {(trunk, value): times for trunk, times in expected.items() for value in (10, 20)}
    assert multiply_adds(one.family, answer.groups_BG) == 1000 * len(expected) + 3 * 10


def test_hard_routing_asks_one_child_and_counts_it() -> None:
    one, fakes = engine(root="own", children="other", kind="hard")
    answer = one.answer(photographs())
    assert set(fakes.looked.values()) == {1}
    assert answer.children_run_B.tolist() == [1, 1]
    assert one.family.species[answer.species_BS[0].argmax()] == "a1"
    assert multiply_adds(one.family, answer.groups_BG) == 1000 + 10 + 1000 + 10


def test_answers_are_calibrated_and_joined() -> None:
    one, _ = engine(root="t", children="t")
    answer = one.answer(photographs())
    groups_G = softmax(np.array([[2.0, 1.0, 0.0]], dtype=np.float32), 2.0)[0]
    within = softmax(np.array([[4.0, 0.0]], dtype=np.float32), 2.0)[0]
    expected = [*(groups_G[0] * within), *(groups_G[1] * within[::-1]), groups_G[2]]
    for species_S in answer.species_BS:
        assert species_S.tolist() == pytest.approx(expected, abs=1e-6)
    assert answer.children_run_B.tolist() == [2, 2]  # the third group has one species and so no child


def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(tiny: Callable[..., Any]) -> None:
    from earthsnap_train.release.load import open_release

    opened = open_release(tiny("training=head").release())
    images = np.random.default_rng(0).integers(0, 256, size=(5, 3, 32, 32), dtype=np.uint8)
    together = opened.engine.answer(images).species_BS
    for number, image in enumerate(images):
        assert np.array_equal(opened.engine.answer(image[None]).species_BS[0], together[number])


def test_serving_imports_no_torch() -> None:
    code = (
        "import sys, earthsnap_train.serving.engine, earthsnap_train.release.load\n"
        "assert not {'torch', 'pytorch_lightning', 'timm', 'torchvision'} & set(sys.modules)"
    )

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
