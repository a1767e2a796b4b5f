"""Groupings are proposed by what is declared, by rank, by look and by confusion."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from earthsnap_train.advice.cross_fit import unseen
from earthsnap_train.advice.material import Material
from earthsnap_train.advice.proposals import Limits, Proposal, confusion_distances, propose
from earthsnap_train.models.family import Floats
from earthsnap_train.taxonomy.tree import Taxonomy
from tests.advice.conftest import LOOKS, SPECIES, TWINS, HeadsOf

LIMITS = Limits(min_species=2, max_species=8, num_groups=3)
BY_FAMILY = {name: f"f{at % 3}" for at, name in enumerate(SPECIES)}
BY_HAND = {name: "a" if at < 4 else "b" for at, name in enumerate(SPECIES)}


@pytest.fixture(scope="module")
def unseen_by_flat(material: Material, heads: HeadsOf) -> Floats:
    return unseen(material, heads(SPECIES))


def named(proposals: list[Proposal]) -> Mapping[str, Proposal]:
    return {one.name: one for one in proposals}


def test_look_alikes_are_found_whatever_the_taxonomy_says(
    material: Material, taxonomy: Taxonomy, unseen_by_flat: Floats
) -> None:
    found = named(propose(material, taxonomy, BY_HAND, unseen_by_flat, LIMITS, seed=0)[0])

    assert found["by-look-3"].partition == frozenset(LOOKS)
    assert found["by-look-3"].stability == 1


def test_no_two_species_are_nearer_by_confusion_than_twins(material: Material, unseen_by_flat: Floats) -> None:
    distance_SS = confusion_distances(material, unseen_by_flat, np.ones(len(material)))
    np.fill_diagonal(distance_SS, np.inf)
    nearest = divmod(int(distance_SS.argmin()), len(SPECIES))

    assert tuple(SPECIES[place] for place in nearest) == TWINS


def test_a_group_is_called_after_one_of_its_species(
    material: Material, taxonomy: Taxonomy, unseen_by_flat: Floats
) -> None:
    found = named(propose(material, taxonomy, BY_HAND, unseen_by_flat, LIMITS, seed=0)[0])

    for group, members in found["by-look-3"].groups.items():
        assert group.removeprefix("like-") in members


def test_what_is_declared_is_marked_and_stands_under_the_name_of_its_rank(
    material: Material, taxonomy: Taxonomy, unseen_by_flat: Floats
) -> None:
    proposals, _ = propose(material, taxonomy, BY_FAMILY, unseen_by_flat, LIMITS, seed=0)

    assert [one.name for one in proposals if one.is_declared] == ["by-family"]
    assert len({one.partition for one in proposals}) == len(proposals)


def test_no_group_is_larger_than_allowed(material: Material, taxonomy: Taxonomy, unseen_by_flat: Floats) -> None:
    limits = Limits(min_species=1, max_species=2, num_groups=2)
    proposals, _ = propose(material, taxonomy, BY_HAND, unseen_by_flat, limits, seed=0)

    for one in proposals:
        assert one.is_declared or max(map(len, one.groups.values())) <= 2


def test_a_rank_that_some_species_lack_is_named_and_not_proposed(
    material: Material, taxonomy: Taxonomy, unseen_by_flat: Floats
) -> None:
    first, *others = taxonomy.species
    lacking = Taxonomy(ranks=taxonomy.ranks, species=(replace(first, ranks=()), *others))
    proposals, notes = propose(material, lacking, BY_HAND, unseen_by_flat, LIMITS, seed=0)

    assert "by-family" not in named(proposals)
    assert notes == [f"family: 1 species have no family: {first.species_id}"]


def test_how_stable_a_proposal_is_depends_on_how_clear_the_looks_are(
    material: Material, taxonomy: Taxonomy, unseen_by_flat: Floats
) -> None:
    noise = np.random.default_rng(0).normal(size=material.features_NF.shape).astype(np.float32)
    vague = replace(material, features_NF=noise)
    found = named(propose(vague, taxonomy, BY_HAND, unseen_by_flat, LIMITS, seed=0)[0])

    assert next(one.stability for name, one in found.items() if name.startswith("by-look")) < 0.5
