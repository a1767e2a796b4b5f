"""Which photographs are for training, validation and test: decided once for all nodes, stable as the data grow.

What must stay together is a *cluster*: the photographs of one observation, and near duplicates. A cluster never spans
two splits. A photograph that an earlier manifest or the user has placed is *anchored*: it never moves.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from earthsnap_train.data.manifest import SPLITS, SplitName
from earthsnap_train.spec.dataset import Split


class Photograph(NamedTuple):
    """``user_split``: where the user's own split puts it; None leaves it to us."""

    image_id: str
    species_id: str
    observation_id: str | None = None
    user_split: SplitName | None = None


class Placement(NamedTuple):
    split: SplitName
    cluster_id: str


class SplitFinding(NamedTuple):
    """About one photograph. ``related``: the image ids that it is at odds with.

    split_bridge: it would join clusters of two splits, and is set aside. leak_across_splits: photographs that belong
    together were placed in two splits by the user. user_split_changed: the user's split is not the one it has had.
    """

    code: Literal["split_bridge", "leak_across_splits", "user_split_changed"]
    image_id: str
    related: tuple[str, ...]
    detail: str


class ShortSplit(NamedTuple):
    """A species with fewer photographs in a split than it should have, and no new cluster that could move there."""

    species_id: str
    split: SplitName
    num_photographs: int


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """``placements``: every photograph that was not set aside, sorted by image_id."""

    placements: Mapping[str, Placement]
    findings: tuple[SplitFinding, ...]
    short: tuple[ShortSplit, ...]

    @property
    def set_aside(self) -> tuple[str, ...]:
        return tuple(one.image_id for one in self.findings if one.code == "split_bridge")


@dataclass(kw_only=True, slots=True)
class _NewCluster:
    """A cluster that nothing anchors. ``rank``: its seeded hash in [0, 1). ``species``: photographs of each."""

    members: Sequence[str]
    cluster_id: str
    rank: float
    species: Counter[str]
    split: SplitName


# (species id, split) -> photographs
_Counts = Counter[tuple[str, SplitName]]


class _UnionFind:
    """The root of a set is its least member, so that the order of joining does not show."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, member: str) -> str:
        parent = self._parent
        root = member
        while (above := parent.get(root, root)) != root:
            root = above
        while (above := parent.get(member, member)) != root:
            parent[member], member = root, above
        return root

    def join(self, a: str, b: str) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self._parent[max(a, b)] = min(a, b)


def assign_splits(
    photographs: Sequence[Photograph],
    pairs: Iterable[tuple[str, str]],
    previous: Mapping[str, Placement],
    settings: Split,
) -> SplitResult:
    """Places every photograph, or sets it aside. The order of photographs and pairs does not matter.

    ``pairs``: near duplicates, by image_id. ``previous``: the placements of the previous manifest. An observation id
    counts within its species, since people number the plants of each species from one.
    New clusters go by a seeded hash of their id; then each species is brought to ``min_per_species`` in test and val,
    by moving whole new clusters, as long as train keeps no fewer photographs of it than the other has.
    """
    by_id = {one.image_id: one for one in photographs}
    assert len(by_id) == len(photographs), "exact duplicates are dropped before photographs are split"
    anchored = {
        one.image_id: previous[one.image_id].split if one.image_id in previous else one.user_split
        for one in by_id.values()
    }
    split_of = {image_id: split for image_id, split in anchored.items() if split}
    together = _together(by_id.values(), pairs, previous)
    findings = [*_changed(by_id.values(), previous), *_leaks(together, split_of)]

    joining, unanchored, bridges = _place_beside_anchored(by_id, together, split_of)
    split_of |= joining
    cluster_ids = _cluster_ids(_components(together, split_of), previous)
    new = _by_hash(unanchored, by_id, {*cluster_ids.values(), *(one.cluster_id for one in previous.values())}, settings)
    counts: _Counts = Counter((by_id[image_id].species_id, split) for image_id, split in split_of.items())
    for one in new:
        counts.update({(species_id, one.split): num for species_id, num in one.species.items()})
    short = _reach_least(new, counts, settings)

    placements = {image_id: Placement(split, cluster_ids[image_id]) for image_id, split in split_of.items()}
    placements |= {image_id: Placement(one.split, one.cluster_id) for one in new for image_id in one.members}
    return SplitResult(
        placements=dict(sorted(placements.items())), findings=tuple(sorted({*findings, *bridges})), short=short
    )


def _together(
    photographs: Iterable[Photograph], pairs: Iterable[tuple[str, str]], previous: Mapping[str, Placement]
) -> list[tuple[str, ...]]:
    """Sets of two or more image ids that belong in one cluster."""
    photographs = list(photographs)
    known = {one.image_id for one in photographs}
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for one in photographs:
        if one.observation_id is not None:
            groups["observation", one.species_id, one.observation_id].append(one.image_id)
        if one.image_id in previous:
            groups["cluster", previous[one.image_id].cluster_id].append(one.image_id)
    linked = sorted({(min(a, b), max(a, b)) for a, b in pairs if a != b and a in known and b in known})
    return [*linked, *(tuple(members) for members in groups.values() if len(members) > 1)]


def _components(together: Iterable[Sequence[str]], label: Mapping[str, str]) -> list[list[str]]:
    """Connected sets of those photographs that carry one label, each sorted; those without a label are left out."""
    sets = _UnionFind()
    for group in together:
        first: dict[str, str] = {}
        for image_id in group:
            if image_id in label:
                sets.join(first.setdefault(label[image_id], image_id), image_id)
    members: dict[str, list[str]] = defaultdict(list)
    for image_id in label:
        members[sets.find(image_id)].append(image_id)
    return [sorted(members[root]) for root in sorted(members)]


def _place_beside_anchored(
    by_id: Mapping[str, Photograph], together: Sequence[Sequence[str]], anchored: Mapping[str, SplitName]
) -> tuple[dict[str, SplitName], list[list[str]], list[SplitFinding]]:
    """The free photographs: those that join anchored ones, clusters that touch none, and those set aside as bridges."""
    touched: dict[str, set[str]] = defaultdict(set)
    for group in together:
        neighbours = {image_id for image_id in group if image_id in anchored}
        if neighbours:
            for image_id in group:
                if image_id not in anchored:
                    touched[image_id] |= neighbours
    # First those that touch two splits themselves; what hung together through them alone then comes apart.
    bridges = [
        _bridge([image_id], neighbours, anchored)
        for image_id, neighbours in touched.items()
        if len({anchored[one] for one in neighbours}) > 1
    ]
    aside = {one.image_id for found in bridges for one in found}
    free = {image_id: "free" for image_id in by_id if image_id not in anchored and image_id not in aside}
    joining: dict[str, SplitName] = {}
    unanchored = []
    for members in _components(together, free):
        neighbours = {one for image_id in members for one in touched.get(image_id, ())}
        splits = {anchored[one] for one in neighbours}
        if not splits:
            unanchored.append(members)
        elif len(splits) == 1:
            joining |= dict.fromkeys(members, splits.pop())
        else:
            bridges.append(_bridge(members, neighbours, anchored))
    return joining, unanchored, [one for found in bridges for one in found]


def _bridge(members: Sequence[str], neighbours: set[str], anchored: Mapping[str, SplitName]) -> list[SplitFinding]:
    detail = f"belongs with photographs of {' and of '.join(sorted({anchored[one] for one in neighbours}))}"
    return [SplitFinding("split_bridge", image_id, tuple(sorted(neighbours)), detail) for image_id in members]


def _cluster_ids(components: Iterable[Sequence[str]], previous: Mapping[str, Placement]) -> dict[str, str]:
    """image_id -> the least cluster id that its cluster has had, else a new one."""
    ids: dict[str, str] = {}
    taken = {one.cluster_id for one in previous.values()}
    for members in components:
        had = [previous[one].cluster_id for one in members if one in previous]
        cluster_id = min(had) if had else _new_cluster_id(members[0], taken)
        taken.add(cluster_id)
        ids |= dict.fromkeys(members, cluster_id)
    return ids


def _new_cluster_id(least_image_id: str, taken: set[str]) -> str:
    cluster_id = least_image_id
    while True:
        cluster_id = hashlib.blake2b(cluster_id.encode(), digest_size=8).hexdigest()
        # Taken where the photograph that founded a cluster was removed from it and has come back alone.
        if cluster_id not in taken:
            return cluster_id


def _by_hash(
    unanchored: Iterable[Sequence[str]], by_id: Mapping[str, Photograph], taken: set[str], settings: Split
) -> list[_NewCluster]:
    """New clusters in the order of their hashes: the lowest are test, then val, then train."""
    new = []
    for members in unanchored:
        cluster_id = _new_cluster_id(members[0], taken)
        taken.add(cluster_id)
        digest = hashlib.blake2b(f"{settings.seed}:{cluster_id}".encode(), digest_size=8).digest()
        rank = int.from_bytes(digest, "big") / 2**64
        split: SplitName = "test" if rank < settings.test else "val" if rank < settings.test + settings.val else "train"
        species = Counter(by_id[image_id].species_id for image_id in members)
        new.append(_NewCluster(members=members, cluster_id=cluster_id, rank=rank, species=species, split=split))
    return sorted(new, key=lambda one: (one.rank, one.cluster_id))


def _reach_least(new: Sequence[_NewCluster], counts: _Counts, settings: Split) -> tuple[ShortSplit, ...]:
    """Moves new clusters, lowest hash first, until each species has the least number of photographs wherever it can."""
    of_species: dict[str, list[_NewCluster]] = defaultdict(list)
    for one in new:
        for species_id in one.species:
            of_species[species_id].append(one)
    least: dict[SplitName, int] = {
        "train": 1,
        "test": settings.min_per_species if settings.test else 0,
        "val": settings.min_per_species if settings.val else 0,
    }
    for species_id, clusters in sorted(of_species.items()):
        if not counts[species_id, "train"]:
            # The highest hash is the nearest to train.
            _move(clusters[-1], "train", counts)
    for species_id, clusters in sorted(of_species.items()):
        is_stuck = False
        while not is_stuck:
            is_stuck = True
            for split in ("test", "val"):
                if counts[species_id, split] < least[split]:
                    donor = _donor(clusters, split, counts, least)
                    if donor:
                        _move(donor, split, counts)
                        is_stuck = False
    all_species = sorted({species_id for species_id, _ in counts})
    return tuple(
        ShortSplit(species_id, split, counts[species_id, split])
        for species_id in all_species
        for split in SPLITS
        if counts[species_id, split] < least[split]
    )


def _move(cluster: _NewCluster, to: SplitName, counts: _Counts) -> None:
    for species_id, num in cluster.species.items():
        counts[species_id, cluster.split] -= num
        counts[species_id, to] += num
    cluster.split = to


def _donor(
    clusters: Iterable[_NewCluster], to: SplitName, counts: _Counts, least: Mapping[SplitName, int]
) -> _NewCluster | None:
    """The first that may move: out of train if that keeps no less than ``to`` then has, else out of a surplus."""

    def may_leave(one: _NewCluster) -> bool:
        for species_id, num in one.species.items():
            left = counts[species_id, one.split] - num
            wanted = counts[species_id, to] + num if one.split == "train" else least[one.split]
            if left < wanted:
                return False
        return True

    candidates = [one for one in clusters if one.split != to and may_leave(one)]
    return min(candidates, key=lambda one: (one.split != "train", one.rank, one.cluster_id), default=None)


def _changed(photographs: Iterable[Photograph], previous: Mapping[str, Placement]) -> Iterator[SplitFinding]:
    for one in photographs:
        had = previous.get(one.image_id)
        if had and one.user_split and one.user_split != had.split:
            detail = f"is now declared {one.user_split} but has been {had.split}, and stays there"
            yield SplitFinding("user_split_changed", one.image_id, (), detail)


def _leaks(together: Iterable[Sequence[str]], anchored: Mapping[str, SplitName]) -> Iterator[SplitFinding]:
    """Photographs that belong together and that stand in two splits all the same."""
    for group in together:
        placed = sorted(image_id for image_id in group if image_id in anchored)
        elsewhere = tuple(one for one in placed if anchored[one] != anchored[placed[0]])
        if elsewhere:
            detail = f"is in {anchored[placed[0]]}; what belongs with it is in {anchored[elsewhere[0]]}"
            yield SplitFinding("leak_across_splits", placed[0], elsewhere, detail)
