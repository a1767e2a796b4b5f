"""One fold as all methods see it: what is taught, what settings are chosen on, and what is tested.

Shapes: N photographs, V views of each, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from photographs import Photographs, Rows, folds, long_tail, thinned

from earthsnap_train.training.cascade import Shown

NUM_VAL_PARTS = 5  # one of them is val


@dataclass(frozen=True, kw_only=True)
class Few:
    """Fewer photographs to learn from than there are: of each species ``per_species``, or a long tail from most to least."""

    per_species: int | None
    tail: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """``groups`` cover the species in the order of every species axis. The rows of each part are behind it."""

    taught: Shown
    val: Shown
    test: Shown
    taught_N: Rows
    val_N: Rows
    test_N: Rows
    groups: Mapping[str, Sequence[str]]

    @property
    def species(self) -> tuple[str, ...]:
        return tuple(name for members in self.groups.values() for name in members)


def fold_of(photographs: Photographs, rank: str, *, few: Few, num_folds: int, seed: int, fold: int) -> Fold:
    """Val is a fifth of the clusters that are not tested; with fewer photographs to learn from it shrinks as they do."""
    fold_N = folds(photographs, num_folds=num_folds, seed=seed)
    rest_N = np.flatnonzero(fold_N != fold)
    part_N = folds(photographs.of(rest_N), num_folds=NUM_VAL_PARTS, seed=1000 * (seed + 1) + fold)
    taught_N, val_N = rest_N[part_N > 0], rest_N[part_N == 0]
    limits: dict[str, int] | None = None
    if few.tail:
        limits = long_tail(photographs.species, most=few.tail[0], least=few.tail[1], seed=seed)
    elif few.per_species:
        limits = dict.fromkeys(photographs.species, few.per_species)
    if limits is not None:
        taught_N = taught_N[thinned(photographs.species_N[taught_N], limits, seed)]
        of_val = {name: -(-limit // (NUM_VAL_PARTS - 1)) for name, limit in limits.items()}
        val_N = val_N[thinned(photographs.species_N[val_N], of_val, seed)]
    test_N = np.flatnonzero(fold_N == fold)
    if photographs.network:
        assert (np.flatnonzero(photographs.network.taught_N) == taught_N).all(), "the network was taught another fold"
    return Fold(
        taught=photographs.shown(taught_N), val=photographs.shown(val_N), test=photographs.shown(test_N),
        taught_N=taught_N, val_N=val_N, test_N=test_N, groups=photographs.groups(rank),
    )  # fmt: skip


def file_of(folder: Path, seed: int, fold: int) -> Path:
    """Where the photographs lie as the network of this fold sees them."""
    return folder / f"seed-{seed}-fold-{fold}.npz"
