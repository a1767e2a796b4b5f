"""Wrong labels are found, and right ones mostly left alone."""

import numpy as np
import pytest

from earthsnap_train.advice.cross_fit import cross_fit, unseen
from earthsnap_train.advice.material import Material
from earthsnap_train.advice.mislabelled import Doubt, doubts, margins
from earthsnap_train.training.logistic import Lesson
from tests.advice.conftest import LOOKS, NUM_EACH, SPECIES, TWINS, Draw, look_of

# Every twelfth photograph that is no twin's says that it is a species of another look.
WRONG = {
    number: LOOKS[(look_of(SPECIES[number // NUM_EACH]) + 1) % 3][number % 3] for number in range(5, 7 * NUM_EACH, 12)
}


@pytest.fixture(scope="module")
def planted(draw: Draw) -> Material:
    return draw(WRONG)


@pytest.fixture(scope="module")
def found(planted: Material, lesson: Lesson) -> list[Doubt]:
    return doubts(planted, unseen(planted, cross_fit(planted, {one: one for one in SPECIES}, lesson)))


def test_planted_wrong_labels_are_found_and_the_true_species_suggested(planted: Material, found: list[Doubt]) -> None:
    hits = [one for one in found if one.row in WRONG]

    assert len(hits) / len(WRONG) >= 0.8
    right = [planted.species[one.suggested] == SPECIES[one.row // NUM_EACH] for one in hits]
    assert np.mean(right) >= 0.9
    of_others = [one for one in found if planted.labelled[one.row] not in TWINS]  # which nothing tells apart
    assert sum(one.row in WRONG for one in of_others) / len(of_others) >= 0.8
    assert all(one.row in WRONG for one in of_others[: len(hits) // 2])


def test_the_least_credible_label_comes_first(found: list[Doubt]) -> None:
    assert [one.margin for one in found] == sorted(one.margin for one in found)


@pytest.fixture
def two() -> Material:
    """Photographs of two species, each plant by itself."""
    labels = ["ash"] * 3 + ["birch"] * 3
    features_NF = np.zeros((6, 1), dtype=np.float32)
    return Material.of([str(n) for n in range(6)], labels, [str(n) for n in range(6)], features_NF, num_folds=3, seed=0)


def test_a_species_must_be_as_sure_as_it_is_of_its_own(two: Material) -> None:
    # Birch has 0.8 on average of its own: the second ash reaches that, the third is called birch but less surely.
    ash_N = np.asarray([0.9, 0.1, 0.3, 0.2, 0.2, 0.2], dtype=np.float32)
    found = doubts(two, np.stack([ash_N, 1 - ash_N], axis=1))

    assert [(one.row, one.suggested) for one in found] == [(1, 1)]
    assert found[0].confidence == pytest.approx(0.9)
    assert found[0].margin == pytest.approx(-0.8)


def test_photographs_of_a_species_that_no_head_could_learn_are_not_doubted(draw: Draw, lesson: Lesson) -> None:
    material = draw({0: "yew", 1: "yew"})
    p_NS = unseen(material, cross_fit(material, {one: one for one in material.species}, lesson))

    assert p_NS[:2].argmax(axis=1).tolist() != [material.species.index("yew")] * 2
    assert not {0, 1} & {one.row for one in doubts(material, p_NS)}


def test_a_margin_is_what_the_label_has_more_than_the_likeliest_other() -> None:
    p_NS = np.asarray([[0.6, 0.3, 0.1], [0.2, 0.1, 0.7]], dtype=np.float32)

    assert margins(p_NS, np.asarray([0, 1])).tolist() == pytest.approx([0.3, -0.6])
