"""The photographs that advice is drawn from, as a frozen trunk sees them, and the folds that keep judging honest.

Shapes: N photographs, S species.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.evaluation.intervals import Clusters, number_clusters
from earthsnap_train.models.family import Floats
from earthsnap_train.training.cascade import Shown


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """``species``: the order of every species axis. ``label_N``: the place of each photograph's species there."""

    image_ids: Sequence[str]
    species: tuple[str, ...]
    features_NF: Floats
    label_N: NDArray[np.intp]
    cluster_N: Clusters
    fold_N: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        image_ids: Sequence[str],
        species_ids: Sequence[str],
        cluster_ids: Sequence[str],
        features_NF: Floats,
        *,
        num_folds: int,
        seed: int,
    ) -> Self:
        species, label_N = np.unique(np.asarray(species_ids, dtype=np.str_), return_inverse=True)
        clusters = number_clusters(np.asarray(cluster_ids, dtype=np.str_), len(image_ids))
        return cls(
            image_ids=tuple(image_ids),
            species=tuple(species.tolist()),
            features_NF=features_NF,
            label_N=label_N.astype(np.intp),
            cluster_N=clusters,
            fold_N=folds(label_N, clusters, num_folds=num_folds, seed=seed),
        )

    @property
    def num_folds(self) -> int:
        return int(self.fold_N.max()) + 1

    @cached_property
    def labelled(self) -> NDArray[np.str_]:
        """[N]."""
        return np.asarray(self.species, dtype=np.str_)[self.label_N]

    @cached_property
    def is_judged(self) -> NDArray[np.bool_]:
        """[N]; False where all photographs of a species are in one fold: there no head that is asked about them knows it."""
        is_in_SK = np.zeros((len(self.species), self.num_folds), dtype=np.bool_)
        is_in_SK[self.label_N, self.fold_N] = True
        judged_N: NDArray[np.bool_] = (is_in_SK.sum(axis=1) > 1)[self.label_N]
        return judged_N

    def shown(self, rows_N: NDArray[np.bool_]) -> Shown:
        return Shown(features_NVF=self.features_NF[rows_N][:, None], species_N=self.labelled[rows_N])

    def __len__(self) -> int:
        return len(self.image_ids)


def folds(label_N: NDArray[np.intp], cluster_N: Clusters, *, num_folds: int, seed: int) -> NDArray[np.intp]:
    """The fold of each photograph: clusters stay whole, and each species is spread as evenly as its clusters allow.

    Larger clusters first, each to the fold that has least of its species (of several, least of all); the seed orders equals.
    """
    num_clusters = int(cluster_N.max()) + 1
    first_N = np.unique(cluster_N, return_index=True)[1]
    size_C = np.bincount(cluster_N, minlength=num_clusters)
    shuffled_C = np.random.default_rng(seed).permutation(num_clusters)
    count_SK = np.zeros((int(label_N.max()) + 1, num_folds), dtype=np.intp)
    fold_C = np.zeros(num_clusters, dtype=np.intp)
    for cluster in shuffled_C[np.argsort(-size_C[shuffled_C], kind="stable")]:
        species = label_N[first_N[cluster]]  # photographs of one plant that are labelled differently are few
        fold = np.lexsort((count_SK.sum(axis=0), count_SK[species]))[0]
        fold_C[cluster] = fold
        count_SK[species, fold] += size_C[cluster]
    return fold_C[cluster_N]
