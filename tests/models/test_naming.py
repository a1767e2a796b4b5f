"""Which species is named first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earthsnap_train.models.naming import Naming
from earthsnap_train.models.rollup import RollUp
from earthsnap_train.taxonomy.tree import Species, Taxonomy

RANKS = ("order", "family", "genus")


def taxonomy_of(ranks: tuple[str, ...], *lineages: tuple[str | None, ...]) -> Taxonomy:
    """Species ``s0``, ``s1``, ...; None is a rank that is not known."""
    species = tuple(
        Species(
            species_id=f"s{place}", scientific_name=f"s{place}", common_name=None,
            ranks=tuple((rank, taxon) for rank, taxon in zip(ranks, lineage, strict=True) if taxon is not None),
        )
        for place, lineage in enumerate(lineages)
    )  # fmt: skip
    return Taxonomy(ranks=ranks, species=species)


def axis_of(taxonomy: Taxonomy) -> list[str]:
    return [one.species_id for one in taxonomy.species]


@st.composite
def floras(draw: st.DrawFn) -> tuple[Taxonomy, np.ndarray]:
    """A taxonomy of which some ranks are not known, and photographs of its species [B, S]."""
    ranks = RANKS[: draw(st.integers(1, len(RANKS)))]
    genera = draw(st.lists(st.integers(0, 7), min_size=1, max_size=9))
    lineages = []
    for genus in genera:
        taxa = {"order": f"o{genus // 4}", "family": f"f{genus // 2}", "genus": f"g{genus}"}
        lineages.append(tuple(taxa[rank] if draw(st.booleans()) else None for rank in ranks))
    seed = draw(st.integers(0, 10_000))
    species_BS = np.random.default_rng(seed).dirichlet(np.full(len(genera), 0.3), 8).astype(np.float32)
    return taxonomy_of(ranks, *lineages), species_BS


def expected_distances(taxonomy: Taxonomy, species_BS: np.ndarray) -> np.ndarray:
    return species_BS.astype(np.float64) @ distances(taxonomy)


def distances(taxonomy: Taxonomy) -> np.ndarray:
    axis = axis_of(taxonomy)
    return np.asarray([[taxonomy.distance(a, b) for b in axis] for a in axis])


@given(floras())
def test_distances_are_weighed_as_the_table_of_all_distances_weighs_them(flora: tuple[Taxonomy, np.ndarray]) -> None:
    taxonomy, species_BS = flora
    axis = axis_of(taxonomy)
    naming = Naming("least_expected_distance", taxonomy, axis)
    expected_BS = expected_distances(taxonomy, species_BS)
    first_B = naming.order(species_BS, 1)[:, 0]
    for species_S, expected_S, first in zip(species_BS, expected_BS, first_B, strict=True):
        behind = dict(naming.nearly_first(species_S, len(axis)))
        assert behind.keys() == {axis[place] for place in np.flatnonzero(species_S)}
        apart_S = np.maximum(distances(taxonomy)[first], 1)
        behind_S = np.maximum(0.0, (expected_S - expected_S[first]) / apart_S)
        assert behind == pytest.approx({name: behind_S[axis.index(name)] for name in behind}, abs=1e-8)
        if species_S.max() < 0.5:
            assert expected_S[first] <= expected_S[species_S > 0].min() + 1e-8


@given(floras(), st.floats(0.5, 0.99))
def test_what_is_certain_is_named_first(flora: tuple[Taxonomy, np.ndarray], unsure_below: float) -> None:
    taxonomy, species_BS = flora
    axis = axis_of(taxonomy)
    roll_up, naming = RollUp(taxonomy, axis), Naming("least_expected_distance", taxonomy, axis)
    for species_S in species_BS:
        named = roll_up(species_S, unsure_below)
        if named.reason == "certain":
            assert named.answer is not None
            assert naming.top(species_S, 1)[0][0] == named.answer.name


def test_a_species_among_likely_kin_is_named_before_a_likelier_one_that_stands_alone() -> None:
    taxonomy = taxonomy_of(("genus",), ("oak",), ("rose",), ("rose",))
    species_S = np.asarray([0.4, 0.35, 0.25], dtype=np.float32)
    near, likely = (Naming(by, taxonomy, axis_of(taxonomy)) for by in ("least_expected_distance", "likeliest"))
    # The oak is 1.2 ranks off, the first rose 1.05.
    assert [name for name, _ in near.top(species_S, 3)] == ["s1", "s0", "s2"]
    assert [name for name, _ in likely.top(species_S, 3)] == ["s0", "s1", "s2"]
    assert near.top(species_S, 2) == [("s1", pytest.approx(0.35)), ("s0", pytest.approx(0.4))]


def test_how_far_a_rival_is_behind_is_how_much_likelier_it_would_have_to_be() -> None:
    taxonomy = taxonomy_of(("genus",), ("oak",), ("rose",), ("rose",))
    near, likely = (Naming(by, taxonomy, axis_of(taxonomy)) for by in ("least_expected_distance", "likeliest"))
    species_S = np.asarray([0.0, 0.9, 0.1], dtype=np.float32)
    for naming in (near, likely):
        assert naming.nearly_first(species_S, 3) == [("s1", 0), ("s2", pytest.approx(0.8))]
    apart_S = np.asarray([0.7, 0.3, 0.0], dtype=np.float32)
    assert near.nearly_first(apart_S, 3) == [("s0", 0), ("s1", pytest.approx(0.4))]


def test_others_follow_by_how_likely_they_are_and_not_by_how_near() -> None:
    taxonomy = taxonomy_of(("genus",), ("rose",), ("rose",), ("oak",), ("fern",))
    species_S = np.asarray([0.55, 0.01, 0.24, 0.2], dtype=np.float32)
    naming = Naming("least_expected_distance", taxonomy, axis_of(taxonomy))
    assert [name for name, _ in naming.top(species_S, 4)] == ["s0", "s2", "s3", "s1"]


def test_of_equally_near_species_the_likelier_is_first_and_then_the_earlier() -> None:
    taxonomy = taxonomy_of(("genus",), ("rose",), ("rose",), ("oak",), ("fern",))
    axis = axis_of(taxonomy)
    naming = Naming("least_expected_distance", taxonomy, axis)
    assert naming.top(np.asarray([0.25, 0.25, 0.375, 0.125], dtype=np.float32), 1)[0][0] == "s2"
    assert naming.top(np.asarray([0.25, 0.25, 0.25, 0.25], dtype=np.float32), 1)[0][0] == "s0"
    assert Naming("likeliest", taxonomy, axis).order(np.full((1, 4), 0.25, dtype=np.float32), 3).tolist() == [[0, 1, 2]]


def test_where_unknown_ranks_break_the_tree_the_impossible_and_the_unlikely_are_not_named() -> None:
    # The first and the third are as far apart as can be, and both near the second, whose ranks are all known.
    bridge = taxonomy_of(RANKS, (None, None, "g"), ("o", "f", "g"), ("o", "f", "h"), ("p", "i", "j"))
    naming = Naming("least_expected_distance", bridge, axis_of(bridge))

    def first(*p_S: float) -> str:
        return naming.top(np.asarray(p_S, dtype=np.float32), 1)[0][0]

    assert first(0.47, 0.02, 0.47, 0.04) == "s1"
    assert first(0.47, 0.0, 0.49, 0.04) == "s2"
    assert first(0.5, 0.02, 0.48, 0.0) == "s0"


def test_a_photograph_is_named_the_same_alone_and_among_others() -> None:
    taxonomy = taxonomy_of(RANKS, *((f"o{n // 9}", f"f{n // 5}", f"g{n // 2}") for n in range(30)))
    naming = Naming("least_expected_distance", taxonomy, axis_of(taxonomy))
    species_BS = np.random.default_rng(3).dirichlet(np.full(30, 0.5), 200).astype(np.float32)
    together = naming.order(species_BS, 5)
    assert together.tolist() == [naming.order(species_S[None], 5)[0].tolist() for species_S in species_BS]
    assert (together[:, 0] != species_BS.argmax(axis=1)).sum() > 20
