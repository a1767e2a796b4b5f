"""What is answered when no species is certain."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earthsnap_train.models.rollup import RollUp, answers_at
from earthsnap_train.taxonomy.tree import Species, Taxonomy

RANKS = {
    "rosa-canina": (("order", "Rosales"), ("family", "Rosaceae"), ("genus", "Rosa")),
    "rosa-rugosa": (("order", "Rosales"), ("family", "Rosaceae"), ("genus", "Rosa")),
    "sorbus-aria": (("order", "Rosales"), ("family", "Rosaceae"), ("genus", "Sorbus")),
    "ulmus-minor": (("order", "Rosales"), ("genus", "Ulmus")),  # its family is not known
    "quercus-ilex": (("order", "Fagales"), ("family", "Fagaceae"), ("genus", "Quercus")),
    "incerta-sedis": (),
}
TAXONOMY = Taxonomy(
    ranks=("order", "family", "genus"),
    species=tuple(
        Species(species_id=name, scientific_name=name, common_name=None, ranks=ranks)
        for name, ranks in sorted(RANKS.items())
    ),
)
# Neither the taxonomy's order nor the tree's.
AXIS = ("quercus-ilex", "rosa-rugosa", "ulmus-minor", "sorbus-aria", "incerta-sedis", "rosa-canina")
ROLL_UP = RollUp(TAXONOMY, AXIS)


def probabilities(**given: float) -> np.ndarray:
    return np.asarray([given.get(name.replace("-", "_"), 0.0) for name in AXIS], dtype=np.float32)


def test_a_likely_species_is_named_with_its_whole_lineage() -> None:
    named = ROLL_UP(probabilities(rosa_canina=0.8, rosa_rugosa=0.1, quercus_ilex=0.1), 0.7)
    assert named.answer is not None
    assert (named.reason, named.answer.rank, named.answer.name) == ("certain", "species", "rosa-canina")
    assert [(t.rank, t.name, round(t.probability, 5)) for t in named.lineage] == [
        ("order", "Rosales", 0.9), ("family", "Rosaceae", 0.9), ("genus", "Rosa", 0.9), ("species", "rosa-canina", 0.8),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rosa_canina": 0.5, "rosa_rugosa": 0.4, "sorbus_aria": 0.1}, ("genus", "Rosa", 0.9)),
        ({"rosa_canina": 0.4, "sorbus_aria": 0.4, "quercus_ilex": 0.2}, ("family", "Rosaceae", 0.8)),
        ({"rosa_canina": 0.3, "sorbus_aria": 0.2, "ulmus_minor": 0.5}, ("order", "Rosales", 1.0)),
        ({"ulmus_minor": 0.9, "rosa_canina": 0.1}, ("species", "ulmus-minor", 0.9)),
        ({"incerta_sedis": 0.9, "rosa_canina": 0.1}, ("species", "incerta-sedis", 0.9)),
    ],
)
def test_the_lowest_taxon_that_is_likely_enough_is_named(
    given: dict[str, float], expected: tuple[str, str, float]
) -> None:
    answer = ROLL_UP(probabilities(**given), 0.7).answer
    assert answer is not None
    assert (answer.rank, answer.name, round(answer.probability, 5)) == expected


def test_nothing_is_named_where_no_order_is_likely_enough_and_the_lineage_says_what_it_might_be() -> None:
    named = ROLL_UP(probabilities(quercus_ilex=0.4, rosa_canina=0.3, incerta_sedis=0.3), 0.7)
    assert (named.answer, named.reason) == (None, "not_recognised")
    assert [taxon.name for taxon in named.lineage] == ["Fagales", "Fagaceae", "Quercus", "quercus-ilex"]


@given(st.lists(st.floats(0.001, 1), min_size=len(AXIS), max_size=len(AXIS)), st.floats(0.5, 0.99))
def test_the_lineage_is_one_and_holds_every_taxon_that_is_likely_enough(weights: list[float], least: float) -> None:
    species_S = (np.asarray(weights) / sum(weights)).astype(np.float32)
    named = ROLL_UP(species_S, least)
    end = named.lineage[-1]
    assert [(t.rank, t.name) for t in named.lineage] == list(TAXONOMY.lineage(end.name))
    likely = set()
    for rank in (*TAXONOMY.ranks, "species"):
        names = {dict(TAXONOMY.lineage(one)).get(rank) for one in AXIS} - {None}
        for name in names:
            mass = sum(float(species_S[AXIS.index(one)]) for one in TAXONOMY.species_under(rank, str(name)))
            if mass >= least + 1e-6:
                likely.add(name)
    assert likely <= {taxon.name for taxon in named.lineage}
    assert all(a.probability >= b.probability - 1e-9 for a, b in zip(named.lineage, named.lineage[1:], strict=False))


@given(st.integers(0, 10_000), st.floats(0.5, 0.99))
def test_many_photographs_are_answered_as_each_alone_is(seed: int, least: float) -> None:
    species_BS = np.random.default_rng(seed).dirichlet(np.full(len(AXIS), 0.3), 20).astype(np.float32)
    many = ROLL_UP.lineages(species_BS)
    said_B = answers_at(least, many.probability_BD)
    for row, species_S in enumerate(species_BS):
        named = ROLL_UP(species_S, least)
        taxa = [ROLL_UP.taxa[place] for place in many.taxon_BD[row].tolist() if place >= 0]
        assert taxa == [(taxon.rank, taxon.name) for taxon in named.lineage]
        answer = taxa[said_B[row]] if said_B[row] >= 0 else None
        assert answer == (named.answer and (named.answer.rank, named.answer.name))


def test_a_taxon_holds_the_species_below_it_and_a_missing_one_holds_none() -> None:
    many = ROLL_UP.lineages(np.stack([probabilities(rosa_canina=1.0), probabilities(incerta_sedis=1.0)]))
    assert ROLL_UP.holds(many.taxon_BD, ["rosa-canina", "incerta-sedis"]).tolist() == [
        [True, True, True, True], [True, False, False, False],
    ]  # fmt: skip
    assert ROLL_UP.holds(many.taxon_BD, ["sorbus-aria", "rosa-canina"]).tolist() == [
        [True, True, False, False], [False, False, False, False],
    ]  # fmt: skip


def test_ten_thousand_photographs_of_a_thousand_species_take_moments() -> None:
    ranks = {f"s{n:04d}": (("family", f"f{n // 20}"), ("genus", f"g{n // 4}")) for n in range(1000)}
    flora = tuple(
        Species(species_id=name, scientific_name=name, common_name=None, ranks=of) for name, of in ranks.items()
    )
    roll_up = RollUp(Taxonomy(ranks=("family", "genus"), species=flora), list(ranks))
    species_BS = np.random.default_rng(0).random((10_000, 1000), dtype=np.float32)
    start = time.process_time()
    roll_up.lineages(species_BS)
    assert time.process_time() - start < 10  # half a second where nothing else runs
