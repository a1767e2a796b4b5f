"""What became of every photograph: named right or not, how far off, and whether it was answered at all.

Shapes: B photographs, S species, R ranks with species as the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from methods import Said
from numpy.typing import NDArray

from earthsnap_train.models.family import Floats
from earthsnap_train.models.rollup import RollUp
from earthsnap_train.taxonomy.tree import Taxonomy

TARGET = 0.95  # accuracy of what is answered
LOWEST = 0.5  # below, two taxa of a rank might both be likely enough
Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """All [photographs]. ``sure``: answered where one may only refuse; ``rolled``: where one may roll up along ranks."""

    hit: Numbers
    distance: Numbers
    confidence: Numbers
    sure: Numbers
    sure_right: Numbers
    rolled: Numbers
    rolled_right: Numbers

    @classmethod
    def joined(cls, parts: Sequence[tuple[NDArray[np.intp], Self]], num_photographs: int) -> Self:
        """Of all folds; each part with the rows that it tested."""
        whole = {name: np.full(num_photographs, np.nan) for name in cls.__dataclass_fields__}
        for rows_B, part in parts:
            for name, values in whole.items():
                values[rows_B] = getattr(part, name)
        return cls(**whole)


def outcomes_of(
    said: Said,
    val_truth_B: NDArray[np.int64],
    test_truth_B: NDArray[np.int64],
    *,
    taxonomy: Taxonomy,
    species: tuple[str, ...],
    distance_SS: Floats,
) -> Outcomes:
    """Thresholds are chosen on val alone."""
    val_B, first_B = said.named or (said.val_BS.argmax(axis=1), said.test_BS.argmax(axis=1))
    hit_B = first_B == test_truth_B
    confidence_B = _of_each(said.test_BS, first_B)
    sure_B = confidence_B >= threshold(_of_each(said.val_BS, val_B), val_B == val_truth_B)
    at = rolling_threshold(*lineages(said.val_BS, val_truth_B, taxonomy, species))
    rolled_B, rolled_right_B = rolled_up(*lineages(said.test_BS, test_truth_B, taxonomy, species), at)
    return Outcomes(
        hit=hit_B.astype(np.float64),
        distance=distance_SS[test_truth_B, first_B].astype(np.float64),
        confidence=confidence_B,
        sure=sure_B.astype(np.float64),
        sure_right=(sure_B & hit_B).astype(np.float64),
        rolled=rolled_B.astype(np.float64),
        rolled_right=rolled_right_B.astype(np.float64),
    )


def _of_each(p_BS: Floats, place_B: NDArray[np.intp]) -> Numbers:
    return p_BS[np.arange(len(p_BS)), place_B].astype(np.float64)


def threshold(confidence_B: NDArray[np.floating], right_B: NDArray[np.bool_]) -> float:
    """The lowest at which what is answered is right often enough; infinite where no threshold is."""
    order = np.argsort(-confidence_B, kind="stable")
    accuracy = np.cumsum(right_B[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(accuracy >= TARGET)
    return float(confidence_B[order[enough[-1]]]) if len(enough) else float("inf")


def lineages(
    p_BS: Floats, truth_B: NDArray[np.int64], taxonomy: Taxonomy, species: tuple[str, ...]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Of the likeliest lineage, each taxon's probability and whether it is the true one [B, R]; a rank it lacks has 0."""
    place = {rank: number for number, rank in enumerate((*taxonomy.ranks, "species"))}
    true = [frozenset(taxonomy.lineage(name)) for name in species]
    roll_up = RollUp(taxonomy, species)
    p_BR = np.zeros((len(p_BS), len(place)), dtype=np.float32)
    right_BR = np.zeros(p_BR.shape, dtype=np.bool_)
    for row, (p_S, truth) in enumerate(zip(p_BS, truth_B.tolist(), strict=True)):
        for taxon in roll_up(p_S, LOWEST).lineage:
            p_BR[row, place[taxon.rank]] = taxon.probability
            right_BR[row, place[taxon.rank]] = (taxon.rank, taxon.name) in true[truth]
    return p_BR, right_BR


def rolled_up(p_BR: Floats, right_BR: NDArray[np.bool_], at: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(answered [B], answered rightly [B]): the lowest taxon that is as likely as ``at`` is the answer."""
    enough_BR = p_BR >= at
    lowest_B = p_BR.shape[1] - 1 - enough_BR[:, ::-1].argmax(axis=1)
    answered_B = enough_BR.any(axis=1)
    return answered_B, answered_B & right_BR[np.arange(len(p_BR)), lowest_B]


def rolling_threshold(p_BR: Floats, right_BR: NDArray[np.bool_]) -> float:
    """The lowest, from a half on, at which answers are right often enough."""
    for at in np.arange(LOWEST, 1.0, 0.005).tolist():
        answered_B, good_B = rolled_up(p_BR, right_BR, at)
        if answered_B.any() and good_B.sum() / answered_B.sum() >= TARGET:
            return float(at)
    return float("inf")
