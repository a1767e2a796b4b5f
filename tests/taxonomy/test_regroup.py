from collections.abc import Callable

from earthsnap_train.spec.grouping import ByRank
from earthsnap_train.taxonomy.grouping import Grouping
from earthsnap_train.taxonomy.regroup import Move, regroup, regroup_difference
from earthsnap_train.taxonomy.tree import Taxonomy


def test_equal_groupings_retrain_nothing() -> None:
    grouping = Grouping(group_of={"a": "x", "b": "x", "c": "y"})
    difference = regroup_difference(grouping, grouping)
    assert (difference.moves, difference.retrained, difference.kept) == ((), (), ("child/x",))


def test_a_moved_species_retrains_the_parent_and_both_children() -> None:
    old = Grouping(group_of={"a": "x", "b": "x", "c": "x", "d": "y", "e": "y", "f": "z", "g": "z"})
    new = Grouping(group_of={**old.group_of, "c": "y"})
    difference = regroup_difference(old, new)
    assert difference.moves == (Move(species_id="c", old="x", new="y"),)
    assert difference.retrained == ("parent", "child/x", "child/y")
    assert difference.kept == ("child/z",)


def test_a_group_that_only_changes_its_name_keeps_its_child() -> None:
    old = Grouping(group_of={"a": "x", "b": "x", "c": "y", "d": "y"})
    new = Grouping(group_of={"a": "roses", "b": "roses", "c": "y", "d": "y"})
    difference = regroup_difference(old, new)
    assert difference.retrained == ("parent",)
    assert difference.kept == ("child/roses", "child/y")
    assert difference.removed == ("x",)


def test_species_that_come_and_go_are_moves_from_and_to_nowhere() -> None:
    difference = regroup_difference(Grouping(group_of={"a": "x"}), Grouping(group_of={"b": "x"}))
    assert difference.moves == (Move(species_id="a", old="x", new=None), Move(species_id="b", old=None, new="x"))


def test_a_group_of_one_species_has_no_child_to_retrain() -> None:
    old = Grouping(group_of={"a": "x", "b": "x"})
    assert regroup_difference(old, Grouping(group_of={"a": "x", "b": "y"})).retrained == ("parent",)


def test_regrouping_keeps_the_order_of_the_lock_so_that_unmoved_groups_are_kept(
    taxonomy_of: Callable[..., Taxonomy],
) -> None:
    taxonomy = taxonomy_of("rosales/r/r/b", "rosales/r/r/a", "fabales/f/f/d", "fabales/f/f/c", "poales/p/p/e")
    lock = Grouping(group_of={"b": "rosales", "d": "misc", "a": "rosales", "gone": "misc", "e": "misc"})
    new = regroup(ByRank(kind="by_rank", rank="order", min_species=1, max_species=5), taxonomy, lock)
    assert list(new.group_of) == ["b", "d", "a", "e", "c"]
    difference = regroup_difference(lock, new)
    assert difference.kept == ("child/rosales",)
    assert difference.retrained == ("parent", "child/fabales")
