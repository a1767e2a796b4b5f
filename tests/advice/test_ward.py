"""Clustering with limits does what a library does without them, and keeps the limits."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from earthsnap_train.advice.ward import adjusted_rand, ward

POINTS = np.random.default_rng(0).normal(size=(40, 5))
NO_LIMIT = len(POINTS)


def squared(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.square(points[:, None] - points).sum(axis=2)


@pytest.mark.parametrize("num_groups", [2, 5, 12])
def test_without_limits_it_is_the_library_s_ward(num_groups: int) -> None:
    ours = ward(squared(POINTS), num_groups=num_groups, min_size=1, max_size=NO_LIMIT)
    theirs = fcluster(linkage(POINTS, method="ward"), num_groups, criterion="maxclust")

    assert adjusted_rand_score(ours, theirs) == 1


def test_no_cluster_is_larger_than_allowed_even_if_more_clusters_come_of_it() -> None:
    sizes = np.bincount(ward(squared(POINTS), num_groups=2, min_size=1, max_size=7))

    assert sizes.max() <= 7
    assert len(sizes) >= 6


def test_what_is_too_small_goes_on_to_merge() -> None:
    outlier = np.vstack([POINTS, [[90.0] * 5]])

    assert np.bincount(ward(squared(outlier), num_groups=4, min_size=1, max_size=NO_LIMIT)).min() == 1
    assert np.bincount(ward(squared(outlier), num_groups=4, min_size=3, max_size=NO_LIMIT)).min() >= 3


def test_clusters_are_counted_in_the_order_of_their_items() -> None:
    cluster_S = ward(squared(POINTS), num_groups=6, min_size=1, max_size=NO_LIMIT)

    assert list(dict.fromkeys(cluster_S.tolist())) == list(range(6))


def test_agreement_is_the_library_s_adjusted_rand_index() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.integers(0, 4, size=(2, 60)).astype(np.intp)

    assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other))
    assert adjusted_rand(one, 3 - one) == 1
    assert adjusted_rand(np.arange(5), np.arange(5)) == 1
