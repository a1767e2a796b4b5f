"""Folds keep judging honest: what shows one plant stays together."""

import numpy as np

from earthsnap_train.advice.material import Material, folds
from tests.advice.conftest import Draw


def test_photographs_of_one_plant_share_a_fold(material: Material) -> None:
    for cluster in np.unique(material.cluster_N):
        assert len(np.unique(material.fold_N[material.cluster_N == cluster])) == 1


def test_each_species_is_spread_evenly(material: Material) -> None:
    for place in range(len(material.species)):
        counts = np.bincount(material.fold_N[material.label_N == place], minlength=material.num_folds)
        assert counts.max() - counts.min() <= 2  # one plant


def test_a_seed_always_gives_the_same_folds_and_another_seed_gives_others() -> None:
    label_N = np.repeat(np.arange(5), 20)
    cluster_N = np.arange(100)
    first, again, other = (folds(label_N, cluster_N, num_folds=5, seed=seed) for seed in (1, 1, 2))

    assert (first == again).all()
    assert (first != other).any()


def test_a_species_of_which_one_plant_is_known_is_not_judged(draw: Draw) -> None:
    lonely = draw({0: "yew", 1: "yew"})  # both show plant 0

    assert (~lonely.is_judged).sum() == 2
    assert set(lonely.labelled[~lonely.is_judged]) == {"yew"}
