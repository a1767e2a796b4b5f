"""Embedded photographs, their clusters and the tree of their species; and the harder sets that are made of them.

Shapes: N photographs, V views of each, F features, S species.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.models.family import Floats
from earthsnap_train.taxonomy.tree import Species, Taxonomy
from earthsnap_train.training.cascade import Shown

Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A network taught whole: which photographs it was taught, and the logits of its own head, not a number elsewhere.

    Species are sorted.
    """

    taught_N: NDArray[np.bool_]
    logits_NS: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Photographs:
    """``features_NVF``: a photograph's own view first, its mirror image's second. ``taxa``: species -> one taxon a rank.

    ``network``: whose trunk gave the features; None where that is as it came. Such a network has looked at the photographs of
    its own fold alone; the features of others are not numbers.
    """

    features_NVF: Floats
    species_N: NDArray[np.str_]
    cluster_N: NDArray[np.str_]
    ranks: tuple[str, ...]
    taxa: Mapping[str, tuple[str, ...]]
    network: Network | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        with np.load(path) as file:
            taxa = {row[0]: tuple(row[1:]) for row in file["taxa"].tolist()}
            network = Network(taught_N=file["taught"], logits_NS=file["logits"]) if "logits" in file else None
            return cls(
                features_NVF=file["features"].astype(np.float32),
                species_N=file["species"],
                cluster_N=file["cluster"],
                ranks=tuple(file["ranks"].tolist()),
                taxa=taxa,
                network=network,
            )

    def write(self, path: Path) -> None:
        """Features in half precision: 64 bytes in a hundred less, and no figure moves."""
        network = {"taught": self.network.taught_N, "logits": self.network.logits_NS} if self.network else {}
        np.savez(
            path,
            features=self.features_NVF.astype(np.float16),
            species=self.species_N,
            cluster=self.cluster_N,
            ranks=np.asarray(self.ranks, dtype=np.str_),
            taxa=np.asarray([(name, *taxa) for name, taxa in self.taxa.items()], dtype=np.str_),
            **network,
        )

    @cached_property
    def species(self) -> tuple[str, ...]:
        """Those that have photographs, sorted."""
        return tuple(np.unique(self.species_N).tolist())

    @cached_property
    def taxonomy(self) -> Taxonomy:
        return Taxonomy(
            ranks=self.ranks,
            species=tuple(
                Species(
                    species_id=name,
                    scientific_name=name,
                    common_name=None,
                    ranks=tuple(
                        (rank, taxon) for rank, taxon in zip(self.ranks, self.taxa[name], strict=True) if taxon
                    ),
                )
                for name in self.species
            ),
        )

    def groups(self, rank: str) -> dict[str, list[str]]:
        """Taxon -> its species; a species that has none at this rank is alone."""
        place = self.ranks.index(rank)
        members: dict[str, list[str]] = {}
        for name in self.species:
            members.setdefault(self.taxa[name][place] or name, []).append(name)
        return dict(sorted(members.items()))

    def of(self, rows: Rows) -> "Photographs":
        return replace(
            self,
            features_NVF=self.features_NVF[rows],
            species_N=self.species_N[rows],
            cluster_N=self.cluster_N[rows],
        )

    def shown(self, rows: Rows) -> Shown:
        return Shown(features_NVF=self.features_NVF[rows], species_N=self.species_N[rows])

    def with_views_of(self, others: "Photographs") -> "Photographs":
        """Further views of the very same photographs behind their own."""
        assert (self.species_N == others.species_N).all(), "these are other photographs"
        return replace(self, features_NVF=np.concatenate([self.features_NVF, others.features_NVF], axis=1))

    def __len__(self) -> int:
        return len(self.species_N)


def largest(photographs: Photographs, rank: str, num_groups: int) -> Photographs:
    """The groups with the most species alone: what routing tells apart easily is gone."""
    groups = sorted(photographs.groups(rank).values(), key=len, reverse=True)[:num_groups]
    kept = [name for members in groups for name in members]
    return photographs.of(np.flatnonzero(np.isin(photographs.species_N, kept)))


def folds(photographs: Photographs, *, num_folds: int, seed: int) -> NDArray[np.intp]:
    """The fold of each photograph [N]; a cluster is whole, and each species is spread over the folds as evenly as can be."""
    generator = np.random.default_rng(seed)
    clusters, first, number_N = np.unique(photographs.cluster_N, return_index=True, return_inverse=True)
    species_C = photographs.species_N[first]
    fold_C = np.empty(len(clusters), dtype=np.intp)
    for name in photographs.species:
        own = generator.permutation(np.flatnonzero(species_C == name))
        fold_C[own] = (np.arange(len(own)) + generator.integers(num_folds)) % num_folds
    return fold_C[number_N]


def thinned(species_N: NDArray[np.str_], limits: Mapping[str, int], seed: int) -> Rows:
    """Rows, of each species at most as many as its limit says."""
    generator = np.random.default_rng(seed)
    kept = [generator.permutation(np.flatnonzero(species_N == name))[:limit] for name, limit in limits.items()]
    return np.sort(np.concatenate(kept))


def long_tail(species: Sequence[str], *, most: int, least: int, seed: int) -> dict[str, int]:
    """Photographs of each species, falling exponentially from ``most`` to ``least``; which species are rare is drawn."""
    counts = np.geomspace(most, least, len(species)).round().astype(int)
    order = np.random.default_rng(seed).permutation(len(species))
    return {species[place]: int(count) for place, count in zip(order.tolist(), counts.tolist(), strict=True)}
