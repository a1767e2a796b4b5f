"""What may be said of a photograph when no species is certain: the lowest taxon of one lineage that is likely enough.

numpy alone: evaluation and serving share it. A taxon's probability is the sum over all species below it. Species are laid
out in the order of the tree, so that each taxon is a stretch of them, and one running sum gives every taxon at once.
Shapes: B photographs, S species, T taxa, D taxa of the longest lineage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.models.family import Floats
from earthsnap_train.taxonomy.tree import SPECIES_RANK, Taxonomy

Reason = Literal["certain", "rolled_up", "not_recognised"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taxon:
    """``name``: a species id at the rank ``species``."""

    rank: str
    name: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """``answer``: None where nothing is likely enough. ``lineage``: highest rank first, down to a species."""

    answer: Taxon | None
    reason: Reason
    lineage: tuple[Taxon, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lineages:
    """The likeliest taxon of each rank within the one above it, highest first, for many photographs.

    ``taxon_BD``: places on the axis of ``RollUp.taxa``; a lineage that is shorter than others ends with -1, of probability 0.
    """

    taxon_BD: NDArray[np.intp]
    probability_BD: NDArray[np.float64]


def answers_at(unsure_below: float, probability_BD: NDArray[np.float64]) -> NDArray[np.intp]:
    """The place of each answer in its lineage [B]; -1 where nothing is likely enough."""
    return np.asarray((probability_BD >= unsure_below).sum(axis=1) - 1)


class RollUp:
    """Prepared once for the species axis of a family. A rank that a species' taxonomy lacks is skipped."""

    def __init__(self, taxonomy: Taxonomy, species: Sequence[str]) -> None:
        lineages = [taxonomy.lineage(one) for one in species]
        order = sorted(range(len(species)), key=lambda place: lineages[place])
        self._order_S = np.asarray(order, dtype=np.intp)
        self._taxa: list[tuple[str, str]] = []
        self._below: list[list[int]] = []
        self._roots: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        path: list[int] = []
        for position, place in enumerate(order):
            lineage = lineages[place]
            kept = 0
            while kept < min(len(path), len(lineage)) and self._taxa[path[kept]] == lineage[kept]:
                kept += 1
            del path[kept:]
            for taxon in lineage[kept:]:
                (self._below[path[-1]] if path else self._roots).append(len(self._taxa))
                path.append(len(self._taxa))
                self._taxa.append(taxon)
                self._below.append([])
                starts.append(position)
                ends.append(position)
            for taxon_place in path:
                ends[taxon_place] = position + 1
        self._starts_T: NDArray[np.intp] = np.asarray(starts, dtype=np.intp)
        self._ends_T: NDArray[np.intp] = np.asarray(ends, dtype=np.intp)
        self._position = {species[place]: position for position, place in enumerate(order)}
        self._depth = max(map(len, lineages))

    @property
    def taxa(self) -> Sequence[tuple[str, str]]:
        """(rank, name) of every taxon, each after those above it."""
        return self._taxa

    def lineages(self, species_BS: Floats) -> Lineages:
        """Each row adds up to 1. Photographs that have come to the same taxon go on together."""
        running_BS = np.zeros((len(species_BS), species_BS.shape[1] + 1))
        np.cumsum(species_BS[:, self._order_S], axis=1, dtype=np.float64, out=running_BS[:, 1:])
        taxon_BD = np.full((len(species_BS), self._depth), -1, dtype=np.intp)
        probability_BD = np.zeros((len(species_BS), self._depth))
        heads = [(0, np.arange(len(species_BS)), self._roots)]
        while heads:
            depth, rows_N, below = heads.pop()
            mass_NT = (
                running_BS[np.ix_(rows_N, self._ends_T[below])] - running_BS[np.ix_(rows_N, self._starts_T[below])]
            )
            likeliest_N = mass_NT.argmax(axis=1)
            taxon_BD[rows_N, depth] = np.asarray(below, dtype=np.intp)[likeliest_N]
            probability_BD[rows_N, depth] = np.minimum(1.0, mass_NT[np.arange(len(rows_N)), likeliest_N])
            heads += [
                (depth + 1, rows_N[likeliest_N == at], self._below[below[at]])
                for at in np.unique(likeliest_N)
                if self._below[below[at]]
            ]
        return Lineages(taxon_BD=taxon_BD, probability_BD=probability_BD)

    def holds(self, taxon_BD: NDArray[np.intp], species: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each taxon [B, D] is the photograph's true species or above it; ``species`` [B]. A place of -1 never is."""
        position_B1 = np.asarray([self._position[one] for one in species], dtype=np.intp)[:, None]
        inside_BD = (self._starts_T[taxon_BD] <= position_B1) & (position_B1 < self._ends_T[taxon_BD])
        return np.asarray(inside_BD & (taxon_BD >= 0))

    def __call__(self, species_S: Floats, unsure_below: float) -> Named:
        """``species_S`` adds up to 1. With ``unsure_below`` of at least a half no two taxa of a rank can both be certain."""
        one = self.lineages(species_S[None])
        lineage = tuple(
            Taxon(rank=self._taxa[taxon][0], name=self._taxa[taxon][1], probability=probability)
            for taxon, probability in zip(one.taxon_BD[0].tolist(), one.probability_BD[0].tolist(), strict=True)
            if taxon >= 0
        )
        said = int(answers_at(unsure_below, one.probability_BD)[0])
        if said < 0:
            return Named(answer=None, reason="not_recognised", lineage=lineage)
        reason: Reason = "certain" if lineage[said].rank == SPECIES_RANK else "rolled_up"
        return Named(answer=lineage[said], reason=reason, lineage=lineage)
