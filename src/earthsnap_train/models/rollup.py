"""What may be said of a photograph when no species is certain: the lowest taxon of one lineage that is likely enough.

numpy alone: evaluation and serving share it. A taxon's probability is the sum over all species below it. Species are laid
out in the order of the tree, so that each taxon is a stretch of them, and one running sum gives every taxon at once.
Shapes: S species, T taxa.
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

    def __call__(self, species_S: Floats, unsure_below: float) -> Named:
        """``species_S`` adds up to 1. With ``unsure_below`` of at least a half no two taxa of a rank can both be certain."""
        running = np.concatenate(([0.0], np.cumsum(species_S[self._order_S], dtype=np.float64)))
        mass_T = running[self._ends_T] - running[self._starts_T]
        lineage: list[Taxon] = []
        below = self._roots
        while below:
            likeliest = below[int(np.argmax(mass_T[below]))]
            rank, name = self._taxa[likeliest]
            lineage.append(Taxon(rank=rank, name=name, probability=min(1.0, float(mass_T[likeliest]))))
            below = self._below[likeliest]
        answer = next((taxon for taxon in reversed(lineage) if taxon.probability >= unsure_below), None)
        if answer is None:
            return Named(answer=None, reason="not_recognised", lineage=tuple(lineage))
        reason: Reason = "certain" if answer.rank == SPECIES_RANK else "rolled_up"
        return Named(answer=answer, reason=reason, lineage=tuple(lineage))
