"""Agglomerative clustering with limits on the size of a cluster, which scipy's has not.

Ward's criterion (Ward 1963, JASA 58:236) by the update of Lance & Williams (1967, Computer Journal 9:373).
"""

import numpy as np
from numpy.typing import NDArray


def ward(distance_SS: NDArray[np.float64], *, num_groups: int, min_size: int, max_size: int) -> NDArray[np.intp]:
    """Number of the cluster of each item, counted from 0 in the order of the items.

    ``distance_SS``: squared Euclidean distances, or any symmetric dissimilarity. The two clusters whose union is tightest
    merge, again and again, unless the union were larger than ``max_size``, until ``num_groups`` are left; then those
    below ``min_size`` go on alone. ``max_size`` always holds; ``num_groups`` and ``min_size`` give way to it.
    """
    num_items = len(distance_SS)
    distance_SS = distance_SS.astype(np.float64, copy=True)
    size_S = np.ones(num_items)
    is_there_S = np.ones(num_items, dtype=np.bool_)
    cluster_S = np.arange(num_items)
    while True:
        is_small_S = is_there_S & (size_S < min_size)
        is_enough = is_there_S.sum() <= num_groups
        if is_enough and not is_small_S.any():
            break
        may_SS = (size_S[:, None] + size_S <= max_size) & is_there_S[:, None] & is_there_S
        if is_enough:
            may_SS &= is_small_S[:, None] | is_small_S
        np.fill_diagonal(may_SS, val=False)
        if not may_SS.any():
            break
        i, j = divmod(int(np.where(may_SS, distance_SS, np.inf).argmin()), num_items)
        of_i, of_j, total_S = size_S[i] + size_S, size_S[j] + size_S, size_S[i] + size_S[j] + size_S
        merged_S = (of_i * distance_SS[i] + of_j * distance_SS[j] - size_S * distance_SS[i, j]) / total_S
        distance_SS[i], distance_SS[:, i] = merged_S, merged_S
        size_S[i] += size_S[j]
        is_there_S[j] = False
        cluster_S[cluster_S == j] = i
    return _numbered(cluster_S)


def _numbered(cluster_S: NDArray[np.intp]) -> NDArray[np.intp]:
    _, first, number_S = np.unique(cluster_S, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number_S].astype(np.intp)


def adjusted_rand(one_S: NDArray[np.intp], other_S: NDArray[np.intp]) -> float:
    """How far two partitions agree beyond chance; 1 where they are equal (Hubert & Arabie 1985, J. Classification 2:193)."""
    both = np.zeros((int(one_S.max()) + 1, int(other_S.max()) + 1))
    np.add.at(both, (one_S, other_S), 1)
    together, in_one, in_other = (_pairs(counts) for counts in (both, both.sum(axis=1), both.sum(axis=0)))
    by_chance = in_one * in_other / max(_pairs(np.asarray([len(one_S)])), 1.0)
    most = (in_one + in_other) / 2
    return 1.0 if most == by_chance else float((together - by_chance) / (most - by_chance))


def _pairs(counts: NDArray[np.float64]) -> float:
    return float((counts * (counts - 1) / 2).sum())
