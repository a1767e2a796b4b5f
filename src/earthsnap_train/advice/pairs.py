"""Which pairs of species no head separates, though it be taught nothing else.

Shapes: N photographs, S species.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.advice.cross_fit import unseen
from earthsnap_train.advice.figures import PairFigures
from earthsnap_train.advice.material import Material
from earthsnap_train.evaluation.figures import Estimate, Name
from earthsnap_train.evaluation.intervals import bootstrap, number_clusters
from earthsnap_train.training.cascade import Solved

MOST_PAIRS = 12
LEAST_CONFUSION = 0.02  # of pairs below it one photograph in fifty goes to the other: no reason to ask further
CHANCE = 0.5


def hardest_pairs(
    material: Material,
    confusion_SS: NDArray[np.float64],
    heads: Callable[[tuple[str, ...]], Sequence[Solved]],
    names: Mapping[str, Name],
) -> list[PairFigures]:
    """The pairs that a flat head mixes up most, each judged by heads of its own; the least told apart first."""
    first_P, second_P = np.triu_indices(len(material.species), k=1)
    order_P = np.argsort(-confusion_SS[first_P, second_P], kind="stable")[:MOST_PAIRS]
    found = []
    for first, second in zip(first_P[order_P].tolist(), second_P[order_P].tolist(), strict=True):
        if confusion_SS[first, second] < LEAST_CONFUSION:
            break
        pair = (material.species[first], material.species[second])
        told_apart = balanced(material, pair, unseen(material, heads(pair)))
        found.append(
            PairFigures(
                first=names[pair[0]],
                second=names[pair[1]],
                confusion=float(confusion_SS[first, second]),
                told_apart=told_apart,
                is_inseparable=told_apart.low <= CHANCE,
            )
        )
    return sorted(found, key=lambda one: (one.told_apart.value, one.first.species_id, one.second.species_id))


def balanced(material: Material, pair: tuple[str, str], p_N2: NDArray[np.float32]) -> Estimate:
    """Mean of both species' recalls by a head of these two; its interval draws whole clusters of their photographs."""
    rows_N = np.isin(material.labelled, pair)
    is_second_R = material.labelled[rows_N] == pair[1]
    is_right_R = (p_N2[rows_N].argmax(axis=1) == 1) == is_second_R
    clusters = number_clusters(material.cluster_N[rows_N].astype(np.str_), int(rows_N.sum()))

    def mean_recall(weight_R: NDArray[np.float64]) -> float:
        recalls = [
            (weight_R * is_right_R)[side].sum() / weight_R[side].sum()
            for side in (~is_second_R, is_second_R)
            if weight_R[side].sum() > 0
        ]
        return float(np.mean(recalls))

    return bootstrap(mean_recall, clusters)
