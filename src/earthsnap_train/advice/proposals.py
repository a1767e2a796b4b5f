"""Groupings worth a look: what is declared, each rank, species that look alike, species that a flat head mixes up.

Shapes: N photographs, F features, S species.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.advice.material import Material
from earthsnap_train.advice.ward import adjusted_rand, ward
from earthsnap_train.errors import TaxonomyError
from earthsnap_train.models.family import Floats
from earthsnap_train.spec.grouping import ByRank
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.taxonomy.by_rank import group_by_rank
from earthsnap_train.taxonomy.names import slug
from earthsnap_train.taxonomy.tree import Taxonomy

NUM_RESAMPLES = 20
LEAST_CONFUSION = 1e-6
ALIKE = 1.5  # numbers of groups nearer to each other than this factor say much the same

Groups = Mapping[str, tuple[str, ...]]
Distances = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""How often each photograph was drawn [N] -> how unlike species are [S, S]."""


class Limits(SpecModel):
    """Of the species in a group. ``num_groups``: of groupings by likeness; None tries several numbers."""

    min_species: int
    max_species: int
    num_groups: int | None


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """``groups``: group -> its species, both in alphabetical order. All else is said in ``GroupingFigures``."""

    name: str
    made_by: str
    groups: Groups
    rank: str | None = None
    stability: float = 1.0
    is_declared: bool = False

    @property
    def partition(self) -> frozenset[tuple[str, ...]]:
        """What it is, whatever its groups are called."""
        return frozenset(self.groups.values())


def propose(
    material: Material, taxonomy: Taxonomy, declared: Mapping[str, str], flat_NS: Floats, limits: Limits, *, seed: int
) -> tuple[list[Proposal], list[str]]:
    """Proposals, no two of them alike, and notes on ranks that cannot be proposed. ``declared``: species -> group.

    ``flat_NS``: what a flat head makes of photographs it has not seen.
    """
    notes: list[str] = []
    by_rank = list(_by_ranks(taxonomy, limits, notes))
    today = Proposal(name="declared", made_by="as declared today", groups=_grouped(declared), is_declared=True)
    numbers = _numbers(len(material.species), [len(one.groups) for one in (today, *by_rank)], limits)
    found: dict[frozenset[tuple[str, ...]], Proposal] = {}
    for one in (today, *by_rank, *_by_likeness(material, flat_NS, numbers, limits, seed)):
        twin = found.get(one.partition)
        if len(one.groups) < 2:
            notes.append(f"{one.name}: one group of everything is a flat head")
        elif twin is None:
            found[one.partition] = one
        elif twin is today:  # the rank says more than that it is declared
            found[one.partition] = replace(one, groups=today.groups, is_declared=True)
    return list(found.values()), notes


def _by_ranks(taxonomy: Taxonomy, limits: Limits, notes: list[str]) -> Iterator[Proposal]:
    for rank in taxonomy.ranks:
        spec = ByRank(kind="by_rank", rank=rank, min_species=limits.min_species, max_species=limits.max_species)
        try:
            group_of = group_by_rank(spec, taxonomy)
        except TaxonomyError as error:
            notes.append(f"{rank}: {error.what}")
            continue
        made_by = f"{rank}, {limits.min_species} to {limits.max_species} species"
        yield Proposal(name=f"by-{slug(rank)}", made_by=made_by, groups=_grouped(group_of), rank=rank)


def _numbers(num_species: int, of_ranks: Sequence[int], limits: Limits) -> list[int]:
    """Of groups: the declared one, else the square root of the species and what the ranks come to."""
    if limits.num_groups is not None:
        return [min(limits.num_groups, num_species)]
    chosen: list[int] = []
    for number in (max(2, round(num_species**0.5)), *of_ranks):
        if 1 < number < num_species and all(max(number / one, one / number) >= ALIKE for one in chosen):
            chosen.append(number)
    return sorted(chosen)


def _by_likeness(
    material: Material, flat_NS: Floats, numbers: Sequence[int], limits: Limits, seed: int
) -> Iterator[Proposal]:
    """By the look of photographs, and by what is mixed up; stable as far as resampled photographs propose the same."""
    kinds: Mapping[str, tuple[str, Distances]] = {
        "look": ("species whose photographs look alike", partial(look_distances, material)),
        "confusion": ("species that a flat head mixes up", partial(confusion_distances, material, flat_NS)),
    }
    for kind, (made_by, distances) in kinds.items():
        whole_SS = distances(np.ones(len(material)))
        redrawn = [distances(times_N) for times_N in _resampled(material, seed)]
        for number in numbers:
            cut = partial(ward, num_groups=number, min_size=limits.min_species, max_size=limits.max_species)
            cluster_S = cut(whole_SS)
            yield Proposal(
                name=f"by-{kind}-{int(cluster_S.max()) + 1}",
                made_by=made_by,
                groups=_named(material.species, cluster_S, whole_SS),
                stability=float(np.mean([adjusted_rand(cluster_S, cut(drawn_SS)) for drawn_SS in redrawn])),
            )


def look_distances(material: Material, times_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances of species' mean features, in units of the features' common variance."""
    num_species = len(material.species)
    weight_SN = np.zeros((num_species, len(material)))
    weight_SN[material.label_N, np.arange(len(material))] = times_N
    # A species of which nothing was drawn stays where all of its photographs put it.
    weight_SN[material.label_N, np.arange(len(material))] += 1e-6
    weight_SN /= weight_SN.sum(axis=1, keepdims=True)
    mean_SF = weight_SN @ material.features_NF / np.sqrt(material.features_NF.var(axis=0).mean() + 1e-12)
    square_S = np.square(mean_SF).sum(axis=1)
    distance_SS: NDArray[np.float64] = (square_S[:, None] + square_S - 2 * mean_SF @ mean_SF.T).clip(min=0)
    return distance_SS


def confusion_distances(material: Material, flat_NS: Floats, times_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """-log of how much of one species' photographs a flat head gives to the other, on average of both."""
    distance_SS: NDArray[np.float64] = -np.log(confusion(material, flat_NS, times_N) + LEAST_CONFUSION)
    return distance_SS


def confusion(material: Material, flat_NS: Floats, times_N: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Mean P(other species) over the photographs of either, symmetrised [S, S]."""
    num_species = len(material.species)
    times_N = np.ones(len(material)) if times_N is None else times_N + 1e-6
    mass_SS = np.zeros((num_species, num_species))
    np.add.at(mass_SS, material.label_N, flat_NS * times_N[:, None])
    mass_SS /= np.bincount(material.label_N, times_N, num_species)[:, None]
    both_SS: NDArray[np.float64] = (mass_SS + mass_SS.T) / 2
    return both_SS


def _resampled(material: Material, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each photograph was drawn [N]; whole clusters are."""
    generator = np.random.default_rng(seed)
    num_clusters = int(material.cluster_N.max()) + 1
    for _ in range(NUM_RESAMPLES):
        times_C = np.bincount(generator.integers(num_clusters, size=num_clusters), minlength=num_clusters)
        yield times_C[material.cluster_N].astype(np.float64)


def _grouped(group_of: Mapping[str, str]) -> Groups:
    groups: dict[str, list[str]] = {}
    for species, group in sorted(group_of.items()):
        groups.setdefault(group, []).append(species)
    return {group: tuple(members) for group, members in sorted(groups.items())}


def _named(species: Sequence[str], cluster_S: NDArray[np.intp], distance_SS: NDArray[np.float64]) -> Groups:
    """A group is called after the species in its middle."""
    group_of: dict[str, str] = {}
    for cluster in range(int(cluster_S.max()) + 1):
        places = np.flatnonzero(cluster_S == cluster)
        within = distance_SS[np.ix_(places, places)].copy()
        np.fill_diagonal(within, 0)
        middle = species[int(places[within.sum(axis=1).argmin()])]
        group_of |= {species[place]: slug(f"like {middle}") for place in places.tolist()}
    return _grouped(group_of)
