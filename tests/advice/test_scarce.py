"""A species is too little known while its interval is wide, whatever its recall."""

import numpy as np

from earthsnap_train.advice.figures import WIDEST
from earthsnap_train.advice.material import Material
from earthsnap_train.advice.scarce import num_wanted, species_figures
from earthsnap_train.evaluation.figures import Name
from earthsnap_train.evaluation.intervals import wilson


def test_the_species_with_few_photographs_comes_first_and_is_told_how_many_are_wanted() -> None:
    labels = ["ash"] * 60 + ["birch"] * 6
    features_NF = np.zeros((66, 1), dtype=np.float32)
    plants = [str(number) for number in range(66)]
    material = Material.of(plants, labels, plants, features_NF, num_folds=3, seed=0)
    p_NS = np.tile(np.asarray([[0.9, 0.1]], dtype=np.float32), (66, 1))
    p_NS[60:64] = [0.1, 0.9]
    p_NS[62] = [0.05, 0.95]
    names = {one: Name(species_id=one, scientific=one, common=None) for one in material.species}
    birch, ash = species_figures(material, p_NS, names, [f"{number}.jpg" for number in range(66)])

    assert (birch.name.species_id, birch.num_images, birch.clearest) == ("birch", 6, "62.jpg")
    assert birch.num_wanted is not None
    assert birch.num_wanted > 6
    assert (ash.recall.value, ash.num_wanted) == (1, None)


def test_what_is_wanted_is_just_enough() -> None:
    number = num_wanted(wilson(0.8, 10), 10)

    assert number is not None
    enough, less = (wilson(0.8, num) for num in (number, number - 1))
    assert enough.high - enough.low <= WIDEST < less.high - less.low
