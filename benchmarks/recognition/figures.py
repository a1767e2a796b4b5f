"""The figures of a method and of the difference of two, with intervals that draw whole clusters.

Every figure is a function of sums over photographs, so that one set of resampled sums gives all of them; all methods see
the same draws, and so differences are paired. Shapes: N photographs, S species, Q seeds, K sums; R resamples, after the
sums of all photographs themselves in row 0.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from outcomes import Outcomes
from scipy.special import erf

from earthsnap_train.evaluation.figures import Estimate
from earthsnap_train.evaluation.intervals import Clusters, resampled_sums
from earthsnap_train.evaluation.metrics import NUM_BINS, equal_mass_bins

Numbers = NDArray[np.float64]
MEANS = ("hit", "distance", "sure", "sure_right", "rolled", "rolled_right")
LEAST = 1e-9


class Resampled:
    """``seeds``: one ``Outcomes`` a seed; a photograph counts by its mean over them. ``rare_QN``: whether its species is
    in the quarter with the fewest taught photographs."""

    def __init__(
        self, seeds: Sequence[Outcomes], *, species_N: NDArray[np.intp], rare_QN: NDArray[np.bool_], clusters: Clusters
    ) -> None:
        one_hot_NS = np.eye(int(species_N.max()) + 1)[species_N]
        hit_QN = np.stack([one.hit for one in seeds])
        columns = {
            "hits": one_hot_NS * hit_QN.mean(axis=0)[:, None],
            "count": one_hot_NS,
            "rare_hits": one_hot_NS * (hit_QN * rare_QN).mean(axis=0)[:, None],
            "rare_count": one_hot_NS * rare_QN.mean(axis=0)[:, None],
        }
        for name in MEANS:
            columns[name] = np.mean([getattr(one, name) for one in seeds], axis=0)[:, None]
        for number, one in enumerate(seeds):
            inside_NB = np.eye(NUM_BINS)[equal_mass_bins(one.confidence)]
            columns[f"bin/{number}"] = inside_NB
            columns[f"bin_right/{number}"] = inside_NB * one.hit[:, None]
            columns[f"bin_said/{number}"] = inside_NB * one.confidence[:, None]
        self._num_seeds = len(seeds)
        # All at once: drawing is what takes time.
        values_NK = np.concatenate(list(columns.values()), axis=1)
        sums_RK = np.concatenate([values_NK.sum(axis=0)[None], resampled_sums(values_NK, clusters)])
        ends = np.cumsum([one.shape[1] for one in columns.values()])
        self._sums = dict(zip(columns, np.split(sums_RK, ends[:-1], axis=1), strict=True))

    @cached_property
    def figures(self) -> Mapping[str, Numbers]:
        """[1 + R] of each; ``sure_right`` and ``rolled_right`` are shares of what was answered."""
        num_R = self._sums["count"].sum(axis=1)
        hit_R, distance_R, sure_R, sure_right_R, rolled_R, rolled_right_R = (
            self._sums[name][:, 0] / num_R for name in MEANS
        )
        return {
            "top1": hit_R,
            "macro_recall": _macro(self._sums["hits"], self._sums["count"]),
            "tail_recall": _macro(self._sums["rare_hits"], self._sums["rare_count"]),
            "severity": distance_R,
            "mistake_severity": distance_R / np.maximum(1 - hit_R, LEAST),
            "sure": sure_R,
            "sure_right": sure_right_R / np.maximum(sure_R, LEAST),
            "rolled": rolled_R,
            "rolled_right": rolled_right_R / np.maximum(rolled_R, LEAST),
        }

    def calibration_error(self) -> tuple[float, Estimate]:
        """(the plain error, the debiased one), means over the seeds.

        A bin's gap is a noisy figure, and so its size is too large on average. What noise alone adds to a gap of this size
        is taken off (Kumar, Liang & Ma, NeurIPS 2019; Roelofs et al., AISTATS 2022), by E|x| of a normal x in closed form. A
        resample carries the noise of its draw besides, and so is set beside the plain error of what it was drawn from.
        """
        plain, debiased = [], []
        for number in range(self._num_seeds):
            count_RB = self._sums[f"bin/{number}"]
            right_RB = self._sums[f"bin_right/{number}"] / np.maximum(count_RB, 1)
            gap_RB = self._sums[f"bin_said/{number}"] / np.maximum(count_RB, 1) - right_RB
            share_RB = count_RB / count_RB.sum(axis=1, keepdims=True)
            noise_RB = np.sqrt(right_RB * (1 - right_RB) / np.maximum(count_RB - 1, 1))
            plain.append((share_RB * np.abs(gap_RB)).sum(axis=1))
            debiased.append(2 * plain[-1] - (share_RB * expected_size(gap_RB, noise_RB)).sum(axis=1))
        plain_R, debiased_R = np.mean(plain, axis=0), np.mean(debiased, axis=0)
        moved = np.quantile(debiased_R[1:] - plain_R[0], [0.025, 0.975])
        value = max(0.0, float(debiased_R[0]))
        low, high = (max(0.0, float(debiased_R[0] + one)) for one in moved)
        return float(plain_R[0]), Estimate(value=value, low=min(low, value), high=max(high, value))


def expected_size(mean: Numbers, std: Numbers) -> Numbers:
    """E|x| of a normal x."""
    safe = np.maximum(std, 1e-12)
    size: Numbers = safe * np.sqrt(2 / np.pi) * np.exp(-((mean / safe) ** 2) / 2) + mean * erf(mean / safe / np.sqrt(2))
    return size


def estimate(values_R: Numbers) -> Estimate:
    """Of a figure whose row 0 is of all photographs."""
    low, high = np.quantile(values_R[1:], [0.025, 0.975])
    value = float(values_R[0])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def _macro(hits_RS: Numbers, count_RS: Numbers) -> Numbers:
    """The mean recall over the species that were drawn [R]."""
    drawn_RS = count_RS > 0
    recall_RS = hits_RS / np.where(drawn_RS, count_RS, 1)
    mean_R: Numbers = (recall_RS * drawn_RS).sum(axis=1) / np.maximum(drawn_RS.sum(axis=1), 1)
    return mean_R


def rarest_quarter(counts_S: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The quarter of the species with the fewest taught photographs [S]."""
    rare_S = np.zeros(len(counts_S), dtype=np.bool_)
    rare_S[np.argsort(counts_S, kind="stable")[: -(-len(counts_S) // 4)]] = True
    return rare_S
