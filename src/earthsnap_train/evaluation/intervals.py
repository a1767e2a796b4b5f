"""How sure a figure is.

Shares of photographs (top-1, recall, ...) carry Wilson's score interval, which stays honest at 0 and 1 and for few
photographs (Wilson 1927, JASA 22:209; Brown, Cai & DasGupta 2001, Statistical Science 16:101). Photographs of one plant
are no independent evidence, so the interval is taken for the effective number of photographs, n divided by the design
effect of the clusters (Korn & Graubard 1998, Survey Methodology 24:193; Dean & Pagano 2015, JSSAM 3:484).

Means that are no such share (macro recall, the difference of two models, severity) carry a percentile bootstrap that
draws whole clusters (Davison & Hinkley 1997, Bootstrap Methods, 3.8), with a fixed seed. Within one species, where there
are few clusters, it draws one cluster less than there are, which makes the variance right (McCarthy & Snowden 1985; Rao &
Wu 1988, JASA 83:231). All intervals are 95 %.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earthsnap_train.evaluation.figures import Estimate

Z_95 = 1.959963984540054
NUM_RESAMPLES = 1000
BATCH = 50
SEED = 20_260_101

Clusters = NDArray[np.intp]
"""For each photograph the number of its cluster, counted from 0 without gaps."""


def number_clusters(cluster_ids: Sequence[str] | NDArray[np.str_] | None, num_photographs: int) -> Clusters:
    """Without ids every photograph stands for itself."""
    if cluster_ids is None:
        return np.arange(num_photographs, dtype=np.intp)
    assert len(cluster_ids) == num_photographs, (len(cluster_ids), num_photographs)
    return np.unique(np.asarray(cluster_ids, dtype=np.str_), return_inverse=True)[1].astype(np.intp)


def share(hits: ArrayLike, clusters: Clusters) -> Estimate:
    """The share of true ``hits`` with Wilson's interval at the effective number of photographs."""
    values = np.asarray(hits, dtype=np.float64)
    num = len(values)
    assert num > 0, "a share of no photographs is not defined"
    return wilson(float(values.mean()), _effective_number(values, clusters))


def wilson(value: float, num: float) -> Estimate:
    centre = (value + Z_95**2 / (2 * num)) / (1 + Z_95**2 / num)
    half = Z_95 / (1 + Z_95**2 / num) * np.sqrt(value * (1 - value) / num + Z_95**2 / (4 * num**2))
    # Rounding may leave the interval a hair off the value it must contain when that is 0 or 1.
    return Estimate(value=value, low=min(value, max(0.0, centre - half)), high=max(value, min(1.0, centre + half)))


def _effective_number(values: NDArray[np.float64], clusters: Clusters) -> float:
    """Photographs over the design effect (at least 1). With no variance to measure it by: the number of clusters."""
    num, mean = len(values), float(values.mean())
    sizes = np.bincount(clusters)
    sizes, totals = sizes[sizes > 0], np.bincount(clusters, weights=values)[sizes > 0]
    if len(sizes) == num:
        return float(num)
    if mean in (0.0, 1.0) or len(sizes) == 1:
        return float(len(sizes))
    of_clusters = len(sizes) / (len(sizes) - 1) * float(np.sum((totals - mean * sizes) ** 2)) / num**2
    of_photographs = mean * (1 - mean) / num
    return num / max(1.0, of_clusters / of_photographs)


def bootstrap(statistic: Callable[[NDArray[np.float64]], float], clusters: Clusters) -> Estimate:
    """``statistic`` of weights [photographs] (how often each was drawn); its value is that of weights all 1."""
    value = statistic(np.ones(len(clusters)))
    num_clusters = int(clusters.max()) + 1
    generator = np.random.default_rng(SEED)
    drawn = np.empty(NUM_RESAMPLES)
    for resample in range(NUM_RESAMPLES):
        times = np.bincount(generator.integers(num_clusters, size=num_clusters), minlength=num_clusters)
        drawn[resample] = statistic(times[clusters].astype(np.float64))
    return percentiles(value, drawn)


def percentiles(value: float, drawn: NDArray[np.float64]) -> Estimate:
    """``value`` with the middle 95 % of what was drawn."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def resampled_sums(values_PK: NDArray[np.float64], clusters: Clusters) -> NDArray[np.float64]:
    """Sums over the photographs of K values at once, one row a resample [NUM_RESAMPLES, K]; whole clusters are drawn."""
    num_clusters = int(clusters.max()) + 1
    totals_CK = np.stack([np.bincount(clusters, column, num_clusters) for column in values_PK.T], axis=1)
    generator = np.random.default_rng(SEED)
    sums_RK = np.empty((NUM_RESAMPLES, values_PK.shape[1]))
    for start in range(0, NUM_RESAMPLES, BATCH):  # many at once, so that the totals are read from memory once for all
        drawn_BC = generator.integers(num_clusters, size=(BATCH, num_clusters))
        times_BC = np.stack([np.bincount(drawn_C, minlength=num_clusters) for drawn_C in drawn_BC]).astype(np.float64)
        sums_RK[start : start + BATCH] = times_BC @ totals_CK
    return sums_RK


def resampled_means(totals: NDArray[np.intp], sizes: NDArray[np.intp], seed: int) -> NDArray[np.float64]:
    """Means over a few clusters with these totals and sizes [NUM_RESAMPLES]; ``seed`` keeps species independent.

    Clusters that are alike are drawn together, as one count: a species costs the same with ten photographs and with ten
    thousand.
    """
    assert len(sizes) > 1, "one cluster says nothing about others"
    kinds, counts = np.unique(np.stack([totals, sizes], axis=1), axis=0, return_counts=True)
    generator = np.random.default_rng([SEED, seed])
    times = generator.multinomial(len(sizes) - 1, counts / len(sizes), size=NUM_RESAMPLES)
    means: NDArray[np.float64] = (times @ kinds[:, 0]) / (times @ kinds[:, 1])
    return means


def mean_of(values: ArrayLike) -> Callable[[NDArray[np.float64]], float]:
    """The weighted mean as a statistic for ``bootstrap``."""
    numbers = np.asarray(values, dtype=np.float64)
    return lambda weights: float(weights @ numbers / weights.sum())
