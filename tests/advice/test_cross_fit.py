"""No head is asked about a photograph that it has seen."""

import numpy as np

from earthsnap_train.advice.cross_fit import cross_fit, unseen
from earthsnap_train.advice.material import Material
from earthsnap_train.training.logistic import Lesson
from tests.advice.conftest import SPECIES, TWINS, Draw

EVERY = {name: name for name in SPECIES}


def test_labels_drawn_by_lot_cannot_be_guessed(lesson: Lesson) -> None:
    generator = np.random.default_rng(0)
    num = 120
    by_lot = Material.of(
        [str(number) for number in range(num)],
        generator.choice(["ash", "birch"], size=num).tolist(),
        [str(number) for number in range(num)],
        generator.normal(size=(num, 150)).astype(np.float32),  # enough to remember every photograph by
        num_folds=4,
        seed=0,
    )
    heads = cross_fit(by_lot, {"ash": "ash", "birch": "birch"}, lesson)
    seen_N = by_lot.fold_N != 0
    remembered = heads[0].head.logits(by_lot.features_NF[seen_N]).argmax(axis=1) == by_lot.label_N[seen_N]
    guessed = unseen(by_lot, heads).argmax(axis=1) == by_lot.label_N

    assert remembered.mean() > 0.95
    assert 0.4 < guessed.mean() < 0.6


def test_what_can_be_learnt_is_learnt_and_twins_are_not_claimed_to_be_known(material: Material, lesson: Lesson) -> None:
    p_NS = unseen(material, cross_fit(material, EVERY, lesson))
    is_twin_N = np.isin(material.labelled, TWINS)

    assert (p_NS.argmax(axis=1) == material.label_N)[~is_twin_N].mean() > 0.95
    assert p_NS[is_twin_N].max(axis=1).mean() < 0.8


def test_workers_change_nothing(material: Material, lesson: Lesson) -> None:
    alone, together = (cross_fit(material, EVERY, lesson, workers=workers) for workers in (1, 3))

    for one, other in zip(alone, together, strict=True):
        assert one.temperature == other.temperature
        assert (one.head.weight_CF == other.head.weight_CF).all()


def test_species_with_nothing_to_learn_from_are_equally_likely(draw: Draw, lesson: Lesson) -> None:
    lonely = draw({0: "yew", 1: "yew"})
    fold = int(lonely.fold_N[0])
    head = cross_fit(lonely, {"yew": "yew", "box": "box"}, lesson)[fold]

    assert (head.probabilities(lonely.features_NF[:2]) == 0.5).all()
