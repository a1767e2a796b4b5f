import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsnap_train.errors import ConfigError, TaxonomyError
from earthsnap_train.spec.grouping import ByRank
from earthsnap_train.taxonomy.by_rank import append_by_rank, group_by_rank
from earthsnap_train.taxonomy.names import slug
from earthsnap_train.taxonomy.tree import Species, Taxonomy

STEADY = settings(deadline=None, derandomize=True)

TaxonomyOf = Callable[..., Taxonomy]


def by_rank(rank: str | None, least: int, most: int) -> ByRank:
    return ByRank(kind="by_rank", rank=rank, min_species=least, max_species=most)


def sizes(taxonomy: Taxonomy, spec: ByRank) -> dict[str, int]:
    groups = group_by_rank(spec, taxonomy).values()
    return {group: list(groups).count(group) for group in groups}


def many(prefix: str, num: int) -> list[str]:
    """Paths ``prefix/NAME-0``, ... of so many species."""
    return [f"{prefix}/{prefix.rsplit('/', 1)[-1]}-{number}" for number in range(num)]


def test_a_taxon_of_a_fit_size_is_a_group_of_its_own(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(*many("rosales/rosaceae/rosa", 3), *many("asterales/asteraceae/aster", 2))
    assert sizes(taxonomy, by_rank("order", 2, 5)) == {"asterales": 2, "rosales": 3}


def test_no_rank_means_the_highest(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(*many("rosales/rosaceae/rosa", 3))
    assert group_by_rank(by_rank(None, 1, 5), taxonomy) == group_by_rank(by_rank("order", 1, 5), taxonomy)


def test_two_small_taxa_merge_under_both_names(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of("apiales/a/a/x", "dipsacales/b/b/y", *many("rosales/rosaceae/rosa", 3))
    assert sizes(taxonomy, by_rank("order", 2, 5)) == {"apiales-and-dipsacales": 2, "rosales": 3}


def test_many_small_taxa_merge_into_equal_numbered_groups(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(*(f"order{n}/f{n}/g{n}/s{n}" for n in range(7)))
    assert sizes(taxonomy, by_rank("order", 2, 4)) == {"small-orders-1": 4, "small-orders-2": 3}


def test_small_families_merge_within_their_order_first(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(
        *(f"ericales/e{n}/g/e{n}" for n in range(3)),
        *(f"lamiales/l{n}/h/l{n}" for n in range(2)),
        "rosales/rosaceae/rosa/rose",
        "fabales/fabaceae/vicia/vetch",
    )
    assert sizes(taxonomy, by_rank("family", 2, 9)) == {
        "ericales-small-families": 3,
        "fabaceae-and-rosaceae": 2,
        "l0-and-l1": 2,
    }


def test_one_small_taxon_joins_its_smallest_kin(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(
        *many("rosales/rosaceae/rosa", 4),
        *many("rosales/moraceae/morus", 2),
        "rosales/ulmaceae/ulmus/elm",
        *many("fabales/fabaceae/vicia", 2),
    )
    assert sizes(taxonomy, by_rank("family", 2, 9)) == {"fabaceae": 2, "moraceae-and-ulmaceae": 3, "rosaceae": 4}


def test_a_small_taxon_stays_alone_where_no_group_has_room(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(*many("rosales/rosaceae/rosa", 4), "fabales/fabaceae/vicia/vetch")
    assert sizes(taxonomy, by_rank("order", 2, 4)) == {"fabales": 1, "rosales": 4}


def test_a_large_taxon_splits_one_rank_lower(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(*many("asterales/asteraceae/aster", 5), *many("asterales/campanulaceae/campanula", 4))
    assert sizes(taxonomy, by_rank("order", 2, 6)) == {"asterales-asteraceae": 5, "asterales-campanulaceae": 4}


def test_a_large_taxon_with_one_part_splits_two_ranks_lower(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(*many("asterales/asteraceae/aster", 3), *many("asterales/asteraceae/bellis", 3))
    assert sizes(taxonomy, by_rank("order", 2, 4)) == {"asterales-aster": 3, "asterales-bellis": 3}


def test_tiny_parts_of_a_split_taxon_merge(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(
        *many("asterales/asteraceae/aster", 6), *(f"asterales/asteraceae/genus{n}/s{n}" for n in range(4))
    )
    assert sizes(taxonomy, by_rank("order", 1, 8)) == {"asterales-aster": 6, "asterales-small-genera": 4}


def test_a_large_genus_is_cut_into_equal_runs(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(*many("poales/cyperaceae/carex", 11))
    assert sizes(taxonomy, by_rank("order", 2, 4)) == {"poales-1": 4, "poales-2": 4, "poales-3": 3}


@STEADY
@given(st.data())
def test_every_species_has_one_group_no_group_is_too_large_and_every_name_is_safe(data: st.DataObject) -> None:
    num = data.draw(st.integers(1, 60))
    rng = random.Random(data.draw(st.integers(0, 10**6)))
    least = data.draw(st.integers(1, 6))
    most = data.draw(st.integers(max(least, 2), 12))
    species = []
    for number in range(num):
        genus = rng.randrange(20)
        ranks = (("order", f"O{genus % 3}"), ("family", f"F{genus % 7 * 3 + genus % 3}"), ("genus", f"G{genus}"))
        species.append(Species(species_id=f"s{number:03}", scientific_name="s", common_name=None, ranks=ranks))
    taxonomy = Taxonomy(ranks=("order", "family", "genus"), species=tuple(species))
    spec = by_rank(rng.choice(["order", "family", "genus", None]), least, most)
    group_of = group_by_rank(spec, taxonomy)
    assert sorted(group_of) == [one.species_id for one in species]
    assert max(sizes(taxonomy, spec).values()) <= most
    assert all(group == slug(group) for group in group_of.values())
    assert group_by_rank(spec, taxonomy) == group_of


def test_the_orders_of_plants_group_as_a_person_would_group_them(plants: Taxonomy) -> None:
    groups = sizes(plants, by_rank("order", 2, 25))
    assert len(groups) == 20
    assert groups["small-orders"] == 5
    assert groups["asterales"] == 21
    groups = sizes(plants, by_rank("order", 4, 20))
    assert groups["asterales-asteraceae"] == 19
    assert {name for name in groups if "small" in name} == {"small-orders-1", "small-orders-2"}
    assert min(groups.values()) >= 4


def test_an_unknown_rank_is_answered_with_the_nearest(plants: Taxonomy) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'family'"):
        group_by_rank(by_rank("famly", 2, 25), plants)


def test_species_without_the_rank_are_named(taxonomy_of: TaxonomyOf) -> None:
    with pytest.raises(TaxonomyError, match="1 species have no order: elm"):
        group_by_rank(by_rank("order", 1, 5), taxonomy_of("rosales/rosaceae/rosa/rose", "/ulmaceae/ulmus/elm"))


def test_a_taxonomy_without_ranks_cannot_be_grouped_by_rank() -> None:
    with pytest.raises(ConfigError, match="no higher ranks"):
        group_by_rank(by_rank(None, 1, 5), Taxonomy(ranks=(), species=()))


def test_a_new_species_goes_where_most_of_its_nearest_kin_are(taxonomy_of: TaxonomyOf) -> None:
    taxonomy = taxonomy_of(
        "asterales/asteraceae/dahlia/d1",
        "asterales/asteraceae/dahlia/d2",
        "asterales/asteraceae/aster/a1",
        "asterales/asteraceae/aster/a2",
        "asterales/asteraceae/bellis/b1",
        "rosales/rosaceae/rosa/rose",
    )
    locked = {"d1": "dahlias", "a1": "others", "a2": "others"}
    assert append_by_rank(by_rank("order", 2, 5), taxonomy, locked) == {
        "d2": "dahlias",  # its genus
        "b1": "others",  # most of its family
        "rose": "rosales",  # no locked kin at all
    }
