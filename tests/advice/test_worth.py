"""What a grouping is worth is what its heads make of photographs that they have not seen."""

import numpy as np
import pytest

from earthsnap_train.advice.cross_fit import unseen
from earthsnap_train.advice.material import Material
from earthsnap_train.advice.proposals import Groups
from earthsnap_train.advice.worth import Worth, child_share, worth
from earthsnap_train.spec.architecture import Routing
from tests.advice.conftest import LOOKS, ROUTING, SPECIES, TWINS, HeadsOf

BY_LOOK: Groups = dict(zip(("l0", "l1", "l2"), LOOKS, strict=True))
ALONE: Groups = {name: (name,) for name in SPECIES}
HARD = Routing(kind="hard", top_k=1, mass=0.98, parent_weight=0.0)


def judged(material: Material, heads: HeadsOf, groups: Groups, routing: Routing = ROUTING) -> Worth:
    return worth(material, groups, heads(SPECIES), heads, routing)


def test_groups_of_one_species_are_a_flat_head(material: Material, heads: HeadsOf) -> None:
    found = judged(material, heads, ALONE)
    flat_NS = unseen(material, heads(SPECIES))

    assert (found.is_right_N == (flat_NS.argmax(axis=1) == material.label_N)).all()
    assert (found.is_routed_N == found.is_right_N).all()
    assert found.would_be_right_N.all()  # there is nothing left to name
    assert found.multiply_adds == flat_NS.shape[1] * material.features_NF.shape[1]


def test_looks_that_are_far_apart_are_routed_right_and_twins_stay_the_mistakes(
    material: Material, heads: HeadsOf
) -> None:
    found = judged(material, heads, BY_LOOK)
    is_twin_N = np.isin(material.labelled, TWINS)

    assert found.is_routed_N.mean() > 0.98
    assert found.is_right_N[~is_twin_N].mean() > 0.95
    assert found.would_be_right_N[is_twin_N].mean() < 0.8


def test_hard_routing_names_right_exactly_where_it_routes_right_and_its_child_does(
    material: Material, heads: HeadsOf
) -> None:
    found = judged(material, heads, BY_LOOK, HARD)

    assert (found.is_right_N == (found.is_routed_N & found.would_be_right_N)).all()


def test_a_child_costs_as_much_as_it_has_species(material: Material, heads: HeadsOf) -> None:
    num_features = material.features_NF.shape[1]

    assert judged(material, heads, BY_LOOK, HARD).multiply_adds == (len(SPECIES) + 3) * num_features


def test_the_share_that_is_taught_again_weighs_groups_by_species_and_photographs() -> None:
    images_of = {"ash": 10, "birch": 30, "cedar": 20}

    assert child_share({"all": ("ash", "birch", "cedar")}, images_of) == 1
    assert child_share({"a": ("ash", "birch"), "c": ("cedar",)}, images_of) == pytest.approx((2 * 40 + 20) / 60 / 3)
