"""Groups from the ranks of the taxonomy: neither too small to be worth a network nor too large to be told apart."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earthsnap_train.errors import ConfigError, TaxonomyError, did_you_mean
from earthsnap_train.spec.grouping import ByRank
from earthsnap_train.taxonomy.names import slug
from earthsnap_train.taxonomy.tree import Species, Taxonomy

_PLURALS = {"family": "families", "subfamily": "subfamilies", "genus": "genera", "subgenus": "subgenera",
            "class": "classes", "phylum": "phyla", "species": "species"}  # fmt: skip
_AND_OTHERS = "-and-others"
MOST_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class _Group:
    """``is_merged``: it holds several taxa, so that a further one adds no name of its own."""

    name: str
    species: tuple[Species, ...]
    is_merged: bool = False

    def __len__(self) -> int:
        return len(self.species)


def group_by_rank(spec: ByRank, taxonomy: Taxonomy) -> dict[str, str]:
    """species id -> group, group by group, both in alphabetical order.

    A taxon of at least ``min_species`` is a group of its own. A taxon of more than ``max_species`` is cut along its
    lower ranks, in the end into equal runs of species. What is too small merges with others as small under the nearest
    common taxon, else with the smallest group there that has room. ``max_species`` always holds; ``min_species`` gives
    way to it.
    """
    rank = grouping_rank(spec, taxonomy)
    rank_at = taxonomy.ranks.index(rank)
    by_taxon: dict[str, list[Species]] = defaultdict(list)
    for one in taxonomy.species:
        by_taxon[dict(one.ranks)[rank]].append(one)
    groups = [
        group
        for taxon, species in sorted(by_taxon.items())
        for group in _cut(slug(taxon), species, taxonomy.ranks[rank_at + 1 :], spec)
    ]
    for higher in reversed(taxonomy.ranks[:rank_at]):
        under: dict[str, list[_Group]] = defaultdict(list)
        for group in groups:
            under[dict(group.species[0].ranks).get(higher, "")].append(group)
        groups = [
            merged
            for taxon, kin in sorted(under.items())
            for merged in (_merge_small(kin, spec.min_species, f"{slug(taxon)}-", rank, spec) if taxon else kin)
        ]
    groups = _merge_small(groups, spec.min_species, "", rank, spec)
    return {one.species_id: name for name, species in _named_apart(groups) for one in species}


def append_by_rank(spec: ByRank, taxonomy: Taxonomy, locked: Mapping[str, str]) -> dict[str, str]:
    """New species id -> group: where most locked species of its nearest taxon are, else a group named after its taxon.

    Nearest: from the lowest rank up to the one that groups are made of. Sizes do not count here, or one new species
    would move others.
    """
    rank = grouping_rank(spec, taxonomy)
    ranks = taxonomy.ranks[taxonomy.ranks.index(rank) :]
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in taxonomy.species:
        if one.species_id in locked:
            for pair in one.ranks:
                votes[pair][locked[one.species_id]] += 1
    appended = {}
    for one in taxonomy.species:
        if one.species_id not in locked:
            kin = next((votes[pair] for pair in reversed(one.ranks) if pair[0] in ranks and pair in votes), None)
            # Of equally many, most_common gives the group met first, and species come in the order of their ids.
            appended[one.species_id] = kin.most_common(1)[0][0] if kin else slug(dict(one.ranks)[rank])
    return appended


def grouping_rank(spec: ByRank, taxonomy: Taxonomy) -> str:
    """Raises ConfigError for a rank that is not there, TaxonomyError for species that lack it."""
    if not taxonomy.ranks:
        raise ConfigError(
            "the species have no higher ranks to group them by",
            where="grouping.rank",
            allowed="Ranks from folders above the species, from columns of the table, or from a species_table.",
            remedy="For photos/ORDER/SPECIES/1.jpg: 'dataset.source.ranks=[order]'. Groups by hand: grouping=manual. "
            "No groups at all: architecture=flat.",
        )
    rank = taxonomy.ranks[0] if spec.rank is None else spec.rank
    if rank not in taxonomy.ranks:
        raise ConfigError(
            f"the taxonomy has no rank {rank!r}",
            where="grouping.rank",
            allowed=", ".join(taxonomy.ranks),
            remedy=did_you_mean(rank, taxonomy.ranks),
        )
    without = [one.species_id for one in taxonomy.species if one.taxon(rank) is None]
    if without:
        more = f" and {len(without) - MOST_LISTED} more" if len(without) > MOST_LISTED else ""
        raise TaxonomyError(
            f"{len(without)} species have no {rank}: {', '.join(without[:MOST_LISTED])}{more}",
            where="grouping.rank",
            remedy=f"Add their {rank} to the table of species, or group by a rank that all have.",
        )
    return rank


def _cut(name: str, species: Sequence[Species], lower: Sequence[str], spec: ByRank) -> list[_Group]:
    """One taxon as one group, or as several where it is too large. ``lower``: the ranks below it, highest first."""
    if len(species) <= spec.max_species:
        return [_Group(name=name, species=tuple(species))]
    if not lower:
        return _numbered(name, _packed([[one] for one in species], spec.max_species), is_merged=False)
    rank, *below = lower
    by_taxon: dict[str, list[Species]] = defaultdict(list)
    for one in species:
        by_taxon[dict(one.ranks).get(rank, "")].append(one)
    if len(by_taxon) == 1:
        return _cut(name, species, below, spec)
    pieces = [
        piece
        for taxon, kin in sorted(by_taxon.items())
        for piece in _cut(f"{name}-{slug(taxon) or f'no-{slug(rank)}'}", kin, below, spec)
    ]
    # A cut makes no more groups than it must: half of what is allowed is enough to stand alone.
    return _merge_small(pieces, max(spec.min_species, (spec.max_species + 1) // 2), f"{name}-", rank, spec)


def _merge_small(groups: Sequence[_Group], least: int, prefix: str, rank: str, spec: ByRank) -> list[_Group]:
    """Merges what is below ``least`` among kin. ``prefix``: the common taxon's part of a name, empty at the root."""
    small = [group for group in groups if len(group) < least]
    kept = [group for group in groups if len(group) >= least]
    num_small = sum(len(group) for group in small)
    hosts = [group for group in kept if len(group) + num_small <= spec.max_species]
    if len(small) > 1 and (num_small >= least or not hosts):
        merged = _pool(small, prefix, rank, spec)
    elif small and hosts:
        host = min(hosts, key=lambda group: (len(group), group.name))
        kept.remove(host)
        merged = [_join(host, small, prefix)]
    else:
        merged = small
    return sorted([*kept, *merged], key=lambda group: group.name)


def _pool(small: Sequence[_Group], prefix: str, rank: str, spec: ByRank) -> list[_Group]:
    runs = _packed([group.species for group in small], spec.max_species)
    if len(small) == 2 and not any(group.is_merged for group in small):
        if len(runs) == 2:
            return list(small)
        name = f"{small[0].name}-and-{small[1].name.removeprefix(prefix)}"
    else:
        name = f"{prefix}small-{_PLURALS.get(rank, f'{slug(rank)}s')}"
    return _numbered(name, runs, is_merged=True)


def _join(host: _Group, guests: Sequence[_Group], prefix: str) -> _Group:
    if host.name.endswith(_AND_OTHERS):
        name = host.name
    elif len(guests) == 1 and not host.is_merged:
        name = f"{host.name}-and-{guests[0].name.removeprefix(prefix)}"
    else:
        name = f"{host.name}{_AND_OTHERS}"
    species = (*host.species, *(one for guest in guests for one in guest.species))
    return _Group(name=name, species=species, is_merged=True)


def _packed(pieces: Sequence[Sequence[Species]], most: int) -> list[list[Species]]:
    """Whole pieces in few runs of at most ``most`` species, about equally long.

    The longest piece first, each to the shortest run (the LPT rule of scheduling).
    """
    longest_first = sorted(pieces, key=len, reverse=True)
    num_runs = -(-sum(len(piece) for piece in pieces) // most)
    while True:
        runs: list[list[Species]] = [[] for _ in range(num_runs)]
        for piece in longest_first:
            min(runs, key=len).extend(piece)
        if max(len(run) for run in runs) <= most:
            return runs
        num_runs += 1


def _numbered(name: str, runs: Sequence[Sequence[Species]], *, is_merged: bool) -> list[_Group]:
    names = [name] if len(runs) == 1 else [f"{name}-{number}" for number in range(1, len(runs) + 1)]
    return [_Group(name=name, species=tuple(run), is_merged=is_merged) for name, run in zip(names, runs, strict=True)]


def _named_apart(groups: Sequence[_Group]) -> list[tuple[str, list[Species]]]:
    """Groups and their species in order; a name that another group has already taken gets a number."""
    taken: dict[str, list[Species]] = {}
    for group in sorted(groups, key=lambda group: (group.name, group.species[0].species_id)):
        name, number = group.name, 2
        while name in taken:
            name, number = f"{group.name}-{number}", number + 1
        taken[name] = sorted(group.species, key=lambda one: one.species_id)
    return sorted(taken.items())
