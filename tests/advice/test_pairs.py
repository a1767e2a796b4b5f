"""Pairs that a head of their own cannot separate are named, and others are not."""

import numpy as np

from earthsnap_train.advice.cross_fit import unseen
from earthsnap_train.advice.material import Material
from earthsnap_train.advice.pairs import hardest_pairs
from earthsnap_train.advice.proposals import confusion
from earthsnap_train.evaluation.figures import Name
from tests.advice.conftest import SPECIES, TWINS, HeadsOf

NAMES = {one: Name(species_id=one, scientific=one, common=None) for one in SPECIES}


def test_only_the_twins_cannot_be_separated(material: Material, heads: HeadsOf) -> None:
    confusion_SS = confusion(material, unseen(material, heads(SPECIES)))
    pairs = hardest_pairs(material, confusion_SS, heads, NAMES)

    assert [(one.first.species_id, one.second.species_id) for one in pairs if one.is_inseparable] == [TWINS]
    assert pairs[0].is_inseparable  # the least told apart comes first
    assert pairs[0].told_apart.low <= 0.5 <= pairs[0].told_apart.high


def test_pairs_that_nobody_mixes_up_are_not_asked_about(material: Material) -> None:
    def nobody(species: tuple[str, ...]):  # type: ignore[no-untyped-def]
        raise AssertionError(species)

    assert hardest_pairs(material, np.zeros((9, 9)), nobody, NAMES) == []
