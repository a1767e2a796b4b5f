"""What a grouping made afresh would move and retrain."""

from dataclasses import dataclass
from pathlib import Path

from earthsnap_train.spec.grouping import GroupingSpec
from earthsnap_train.taxonomy.grouping import Grouping, resolve_grouping
from earthsnap_train.taxonomy.tree import Taxonomy


@dataclass(frozen=True, kw_only=True)
class Move:
    """``old`` is None for a species that the lock did not have, ``new`` for one that the data no longer have."""

    species_id: str
    old: str | None
    new: str | None


@dataclass(frozen=True, kw_only=True)
class RegroupDifference:
    """``retrained``: nodes whose classes change. ``kept``: children whose classes stay, in number and in order.

    ``removed``: groups whose name is no longer there.
    """

    moves: tuple[Move, ...]
    retrained: tuple[str, ...]
    kept: tuple[str, ...]
    removed: tuple[str, ...]


def regroup(spec: GroupingSpec, taxonomy: Taxonomy, lock: Grouping, *, folder: Path = Path()) -> Grouping:
    """The grouping that the declaration would make today, its species in the lock's order so that groups are kept."""
    fresh = resolve_grouping(spec, taxonomy, None, folder=folder).grouping
    order = [one for one in {**lock.group_of, **fresh.group_of} if one in fresh.group_of]
    return Grouping(group_of={one: fresh.group_of[one] for one in order}, made_by=fresh.made_by)


def regroup_difference(old: Grouping, new: Grouping) -> RegroupDifference:
    """A group of one species has no child; a group that only changes its name keeps its child, but not the parent."""
    species = {**old.group_of, **new.group_of}
    moves = [Move(species_id=one, old=old.group_of.get(one), new=new.group_of.get(one)) for one in species]
    old_classes = {old.members(group) for group in old.groups}
    children = [group for group in new.groups if len(new.members(group)) > 1]
    is_parent_kept = list(old.group_of.items()) == list(new.group_of.items())
    return RegroupDifference(
        moves=tuple(move for move in moves if move.old != move.new),
        retrained=(
            *(() if is_parent_kept else ("parent",)),
            *(f"child/{group}" for group in children if new.members(group) not in old_classes),
        ),
        kept=tuple(f"child/{group}" for group in children if new.members(group) in old_classes),
        removed=tuple(group for group in old.groups if group not in new.groups),
    )
