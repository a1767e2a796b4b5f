from collections.abc import Callable
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError, NotFoundError, TaxonomyError
from earthsnap_train.spec.grouping import ByRank, FromFile, Manual
from earthsnap_train.taxonomy.grouping import Grouping, resolve_grouping
from earthsnap_train.taxonomy.tree import Taxonomy

TaxonomyOf = Callable[..., Taxonomy]
BY_ORDER = ByRank(kind="by_rank", rank="order", min_species=1, max_species=3)


@pytest.fixture
def flowers(taxonomy_of: TaxonomyOf) -> Taxonomy:
    return taxonomy_of("rosales/r/rosa/dog-rose", "rosales/r/rosa/beach-rose", "asterales/a/bellis/daisy")


def manual(**groups: list[str]) -> Manual:
    return Manual(kind="manual", groups=groups)


def test_groups_and_their_members_keep_the_order_of_the_lock() -> None:
    grouping = Grouping(group_of={"b": "two", "a": "one", "c": "two"})
    assert grouping.groups == ("two", "one")
    assert grouping.members("two") == ("b", "c")
    assert grouping.only({"a", "c"}).group_of == {"a": "one", "c": "two"}


def test_an_unknown_group_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'rosales'"):
        Grouping(group_of={"a": "rosales"}).members("rosals")


def test_without_a_lock_the_declaration_decides(flowers: Taxonomy) -> None:
    decision = resolve_grouping(BY_ORDER, flowers, None)
    assert decision.is_new
    assert list(decision.grouping.group_of.items()) == [
        ("daisy", "asterales"),
        ("beach-rose", "rosales"),
        ("dog-rose", "rosales"),
    ]
    assert decision.grouping.made_by == "by_rank: order, 1 to 3 species"


def test_with_a_lock_only_new_species_are_appended(flowers: Taxonomy) -> None:
    lock = Grouping(group_of={"gone": "old", "dog-rose": "roses"}, made_by="hand")
    decision = resolve_grouping(BY_ORDER, flowers, lock)
    assert list(decision.grouping.group_of.items()) == [
        ("gone", "old"),
        ("dog-rose", "roses"),
        ("beach-rose", "roses"),
        ("daisy", "asterales"),
    ]
    assert decision.appended == ("beach-rose", "daisy")
    assert decision.gone == ("gone",)
    assert not decision.is_new
    assert decision.grouping.made_by == "hand"


def test_resolving_again_changes_nothing(flowers: Taxonomy) -> None:
    first = resolve_grouping(BY_ORDER, flowers, None).grouping
    again = resolve_grouping(BY_ORDER, flowers, first)
    assert (again.grouping, again.appended, again.notes) == (first, (), ())


def test_adding_species_never_moves_a_locked_one(plants: Taxonomy) -> None:
    spec = ByRank(kind="by_rank", rank="order", min_species=2, max_species=20)
    few = Taxonomy(ranks=plants.ranks, species=plants.species[::2])
    lock = resolve_grouping(spec, few, None).grouping
    grown = resolve_grouping(spec, plants, lock).grouping
    assert list(grown.group_of.items())[: len(lock.group_of)] == list(lock.group_of.items())
    assert len(grown.group_of) == 102


def test_a_group_that_outgrew_its_bounds_is_noted_and_left(flowers: Taxonomy) -> None:
    spec = ByRank(kind="by_rank", rank="order", min_species=1, max_species=2)
    lock = Grouping(group_of={"dog-rose": "all", "daisy": "all"})
    decision = resolve_grouping(spec, flowers, lock)
    assert decision.grouping.groups == ("all",)
    assert decision.notes == ("all has grown to 3 species, more than grouping.max_species (2).",)


def test_a_declaration_that_the_lock_overrules_is_noted(flowers: Taxonomy) -> None:
    lock = resolve_grouping(BY_ORDER, flowers, None).grouping
    decision = resolve_grouping(manual(roses=["dog-rose", "beach-rose"], asterales=["daisy"]), flowers, lock)
    assert decision.grouping == lock
    assert "dog-rose is declared in roses but locked in rosales: the lock holds." in decision.notes
    assert decision.notes[0].startswith("The lock was made by 'by_rank: order")


def test_groups_by_hand_keep_the_order_written_and_take_any_spelling(flowers: Taxonomy) -> None:
    decision = resolve_grouping(manual(roses=["Dog Rose", "beach-rose"], daisies=["daisy"]), flowers, None)
    assert list(decision.grouping.group_of) == ["dog-rose", "beach-rose", "daisy"]


def test_a_declaration_may_be_ahead_of_the_data(flowers: Taxonomy) -> None:
    spec = manual(all=["dog-rose", "tulip", "beach-rose", "daisy"])
    assert "tulip" not in resolve_grouping(spec, flowers, None).grouping.group_of


def test_a_species_in_no_group_is_named_beside_what_may_be_its_misspelling(flowers: Taxonomy) -> None:
    with pytest.raises(TaxonomyError, match=r"1 species are in no group: daisy(.|\n)*'daysy'.*may mean 'daisy'"):
        resolve_grouping(manual(all=["dog-rose", "beach-rose", "daysy"]), flowers, None)


def test_a_species_in_two_groups_is_refused(flowers: Taxonomy) -> None:
    with pytest.raises(ConfigError, match="'daisy' is in one and in two"):
        resolve_grouping(manual(one=["daisy"], two=["daisy"]), flowers, None)


def test_a_group_name_that_is_no_folder_name_is_refused_with_one_that_is(flowers: Taxonomy) -> None:
    spec = Manual(kind="manual", groups={"My Roses": ["dog-rose"]})
    with pytest.raises(ConfigError, match="Write 'my-roses'"):
        resolve_grouping(spec, flowers, None)


def test_groups_are_read_from_a_file_beside_the_declaration(flowers: Taxonomy, tmp_path: Path) -> None:
    (tmp_path / "groups.yaml").write_text("roses: [dog-rose, beach-rose]\ndaisies: [daisy]\n")
    spec = FromFile(kind="file", file="groups.yaml")
    decision = resolve_grouping(spec, flowers, None, folder=tmp_path)
    assert decision.grouping.groups == ("roses", "daisies")
    assert decision.grouping.made_by == "file: groups.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- dog-rose", "not a mapping"),
        ("", "not a mapping"),
        ("roses: dog-rose", "'roses' is not a list"),
        ("roses: [on]", "in quotes"),
        ("roses: [a]\nroses: [b]", r"groups.yaml:2: 'roses' stands there twice"),
        ("roses: ]", "groups.yaml:1"),
    ],
)
def test_a_malformed_file_of_groups_is_refused(flowers: Taxonomy, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "groups.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        resolve_grouping(FromFile(kind="file", file="groups.yaml"), flowers, None, folder=tmp_path)


def test_a_missing_file_of_groups_is_named(flowers: Taxonomy, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"groups\.yaml"):
        resolve_grouping(FromFile(kind="file", file="groups.yaml"), flowers, None, folder=tmp_path)


def test_no_species_at_all_is_refused() -> None:
    with pytest.raises(TaxonomyError, match="no species"):
        resolve_grouping(manual(), Taxonomy(ranks=(), species=()), None)


def test_bounds_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match=r"min_species \(5\) is more than max_species \(4\)"):
        ByRank(kind="by_rank", rank=None, min_species=5, max_species=4)


def test_a_group_of_the_lock_that_is_almost_a_taxon_is_told_with_the_taxon(flowers: Taxonomy) -> None:
    lock = Grouping(group_of={"daisy": "asterals", "dog-rose": "roses", "beach-rose": "rosales"})
    assert resolve_grouping(BY_ORDER, flowers, lock).notes == (
        "The lock has daisy in the group 'asterals', which is no taxon. Did you mean 'asterales'?",
    )
    by_hand = manual(asterals=["daisy"], roses=["dog-rose"], rosales=["beach-rose"])
    assert resolve_grouping(by_hand, flowers, lock).notes == ()
