"""Which species share a child: the declared grouping, held fast by its lock."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from earthsnap_train.errors import NotFoundError, TaxonomyError, did_you_mean
from earthsnap_train.spec.grouping import ByRank, FromFile, GroupingSpec, Manual
from earthsnap_train.taxonomy.by_hand import groups_by_hand, listed, read_groups
from earthsnap_train.taxonomy.by_rank import append_by_rank, group_by_rank, grouping_rank
from earthsnap_train.taxonomy.misspelt import Nearest
from earthsnap_train.taxonomy.names import slug
from earthsnap_train.taxonomy.tree import Taxonomy


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """``group_of``: species id -> group, in class order, which later runs only append to. ``made_by``: for people."""

    group_of: Mapping[str, str]
    made_by: str = ""

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """In order of first appearance: the parent's class order."""
        return tuple(self._members)

    def members(self, group: str) -> tuple[str, ...]:
        """Species ids in order: the child's class order. Raises NotFoundError naming the nearest group."""
        try:
            return self._members[group]
        except KeyError:
            raise NotFoundError(
                f"there is no group {group!r}", where="grouping", remedy=did_you_mean(group, self.groups)
            ) from None

    def only(self, species: Collection[str]) -> "Grouping":
        """Without the species that are not among these; the order stays."""
        kept = {one: group for one, group in self.group_of.items() if one in species}
        return Grouping(group_of=kept, made_by=self.made_by)

    @cached_property
    def _members(self) -> Mapping[str, tuple[str, ...]]:
        members: dict[str, list[str]] = {}
        for species_id, group in self.group_of.items():
            members.setdefault(group, []).append(species_id)
        return {group: tuple(species) for group, species in members.items()}


@dataclass(frozen=True, kw_only=True)
class GroupingDecision:
    """The grouping in force, and how it came about.

    ``appended``: species that the lock did not have. ``gone``: species of the lock that the data no longer have; they
    keep their place in ``grouping`` (``Grouping.only`` leaves them out). ``notes``: sentences for a person, such as
    where the lock overrules the declaration, or has a group that may be misspelt.
    """

    grouping: Grouping
    appended: tuple[str, ...]
    gone: tuple[str, ...]
    is_new: bool
    notes: tuple[str, ...]


def resolve_grouping(
    spec: GroupingSpec, taxonomy: Taxonomy, lock: Grouping | None, *, folder: Path = Path()
) -> GroupingDecision:
    """The grouping as declared, or, once there is a lock, the lock with new species appended and nothing moved.

    By rank, a new species joins the group where most locked species of its nearest taxon are, else a group of its own
    taxon. ``folder``: where a relative ``grouping.file`` lies. Raises ConfigError or TaxonomyError.
    """
    made_by = describe(spec, taxonomy)
    if lock is None:
        grouping = Grouping(group_of=_declared(spec, taxonomy, folder, locked=None), made_by=made_by)
        return GroupingDecision(grouping=grouping, appended=tuple(grouping.group_of), gone=(), is_new=True, notes=())
    declared = _declared(spec, taxonomy, folder, locked=lock.group_of)
    appended = {one: group for one, group in declared.items() if one not in lock.group_of}
    grouping = Grouping(group_of={**lock.group_of, **appended}, made_by=lock.made_by or made_by)
    present = {one.species_id for one in taxonomy.species}
    return GroupingDecision(
        grouping=grouping,
        appended=tuple(appended),
        gone=tuple(one for one in lock.group_of if one not in present),
        is_new=False,
        notes=(*_overruled(spec, declared, made_by, lock, grouping.only(present)), *_misspelt(spec, taxonomy, lock)),
    )


def describe(spec: GroupingSpec, taxonomy: Taxonomy) -> str:
    """How a grouping was made, in a few words for the lock."""
    match spec:
        case ByRank():
            return f"by_rank: {grouping_rank(spec, taxonomy)}, {spec.min_species} to {spec.max_species} species"
        case Manual():
            return "manual"
        case FromFile():
            return f"file: {spec.file}"


def _declared(
    spec: GroupingSpec, taxonomy: Taxonomy, folder: Path, *, locked: Mapping[str, str] | None
) -> dict[str, str]:
    """species id -> group, as the declaration has it; by rank beside a lock, of the new species alone."""
    if not taxonomy.species:
        raise TaxonomyError("there is no species to group", where="grouping")
    match spec:
        case ByRank():
            return group_by_rank(spec, taxonomy) if locked is None else append_by_rank(spec, taxonomy, locked)
        case Manual():
            return groups_by_hand(spec.groups, taxonomy, where="grouping.groups")
        case FromFile():
            return groups_by_hand(read_groups(folder / spec.file), taxonomy, where=spec.file)


def _overruled(
    spec: GroupingSpec, declared: Mapping[str, str], made_by: str, lock: Grouping, present: Grouping
) -> list[str]:
    notes = []
    if lock.made_by and lock.made_by != made_by:
        notes.append(f"The lock was made by '{lock.made_by}', the declaration says '{made_by}': the lock holds.")
    if isinstance(spec, ByRank):
        notes += [
            f"{group} has grown to {len(members)} species, more than grouping.max_species ({spec.max_species})."
            for group in present.groups
            if len(members := present.members(group)) > spec.max_species
        ]
    else:
        notes += [
            f"{one} is declared in {group} but locked in {locked}: the lock holds."
            for one, group in declared.items()
            if (locked := lock.group_of.get(one, group)) != group
        ]
    return notes


def _misspelt(spec: GroupingSpec, taxonomy: Taxonomy, lock: Grouping) -> Iterator[str]:
    """Groups of the lock that are no taxon, and almost one; those made by hand may have any name."""
    if isinstance(spec, ByRank):
        taxa = {slug(taxon) for one in taxonomy.species for _, taxon in one.ranks}
        nearest = Nearest(taxa)
        for group in lock.groups:
            if group not in taxa and (near := nearest.to(group)):
                yield (
                    f"The lock has {listed(lock.members(group))} in the group {group!r}, which is no taxon. "
                    f"Did you mean {near!r}?"
                )
