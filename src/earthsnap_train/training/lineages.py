"""What a list of lineages says of a node's classes: which taxa hold them, and how near each other they stand."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Lineages = Sequence[Sequence[str | None]]
"""For each class its taxon at every rank, highest first; ``None`` where that is not known. Such a class stands alone there."""


def classes_of_taxa(lineages: Lineages) -> Floats:
    """[C, T]: 1 where a taxon holds a class; the taxa of all ranks side by side."""
    ranks = []
    for taxa_C in zip(*lineages, strict=True):
        names = [number if taxon is None else taxon for number, taxon in enumerate(taxa_C)]
        place = {name: at for at, name in enumerate(dict.fromkeys(names))}
        ranks.append(np.eye(len(place), dtype=np.float32)[[place[name] for name in names]])
    return np.concatenate(ranks, axis=1)


def relatives(lineages: Lineages) -> Floats:
    """[C, C]: how the mass that a class gives away is shared among the others; 0 on the diagonal, rows sum to 1.

    Each distance at which another class stands gets an equal part, and all classes up to that distance share it equally:
    the nearer a class, the more it gets, however many stand far away. Weights that fall with the distance alone, such as
    exp(-beta * distance) of Bertinetto et al., CVPR 2020, would leave relatives nothing beside thousands of strangers.
    """
    num_classes = len(lineages)
    far_CC = ~np.eye(num_classes, dtype=np.bool_)
    near_CC = np.zeros_like(far_CC)
    shares_CC = np.zeros((num_classes, num_classes))
    num_distances_C1 = np.zeros((num_classes, 1))
    ranks = [classes_of_taxa([[taxon] for taxon in taxa_C]) for taxa_C in zip(*lineages, strict=True)]
    for together_CC in [*(held_CT @ held_CT.T > 0 for held_CT in reversed(ranks)), np.ones_like(far_CC)]:
        reached_CC = near_CC | (together_CC & far_CC)
        count_C1 = reached_CC.sum(axis=1, keepdims=True)
        is_new_C1 = count_C1 > near_CC.sum(axis=1, keepdims=True)
        shares_CC += is_new_C1 * reached_CC / np.maximum(count_C1, 1)
        num_distances_C1 += is_new_C1
        near_CC = reached_CC
    result: Floats = (shares_CC / np.maximum(num_distances_C1, 1)).astype(np.float32)
    return result
