"""How likely a taxon must be to be said, so that a promised share of what is said is right (selective risk control).

Thresholds are tested from strict to lax: were less than ``accuracy`` of what is said right, so few mistakes would be rarer
than ``delta``. The test is the exact binomial tail (Geifman & El-Yaniv 2017, NIPS); as the order is fixed beforehand and the
first failure ends it, many tests need no correction (Angelopoulos et al. 2021, "Learn then Test"). Thresholds at which too
little is said to pass even without a mistake are passed over; that keeps the promise where mistakes are no rarer among
the less certain. Shapes: B photographs, D taxa of the longest lineage, K thresholds.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from earthsnap_train.evaluation.figures import Calibration, Threshold, ThresholdPoint
from earthsnap_train.models.rollup import answers_at
from earthsnap_train.spec.architecture import Certainty

THRESHOLDS = tuple(round(0.99 - 0.01 * step, 2) for step in range(50))  # 0.99 to 0.5; below it there is no one lineage
MOST_NEEDED = 20_000
CALIBRATION_FILE = "calibration.json"

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.intp]


def calibrate(
    certain: Certainty,
    *,
    probability_BD: Floats,
    right_BD: Flags,
    first_B: Floats,
    first_right_B: Flags,
    num_images: int,
) -> Calibration:
    """One photograph of each cluster of val: its likeliest lineage (see ``models.rollup.Lineages``) and likeliest species.

    ``right_BD``: whether each taxon is the true species or above it. ``num_images``: before one of each was taken.
    """
    own = find_threshold(certain, probability_BD, right_BD)
    return Calibration(
        **dict(own),
        accuracy=certain.accuracy,
        delta=certain.delta,
        num_images=num_images,
        num_clusters=len(probability_BD),
        species_alone=find_threshold(certain, first_B[:, None], first_right_B[:, None]),
    )


def read_calibration(folder: Path) -> Calibration:
    """What the stage ``calibrate/family`` wrote."""
    return Calibration.model_validate_json((folder / CALIBRATION_FILE).read_bytes())


def find_threshold(certain: Certainty, probability_BD: Floats, right_BD: Flags) -> Threshold:
    """The laxest that keeps the promise; where none does, a taxon must itself be as likely as was asked for."""
    said_K, wrong_K = _counts(probability_BD, right_BD)
    points = _points(said_K, wrong_K, len(probability_BD))
    if certain.unsure_below is not None:
        return Threshold(unsure_below=certain.unsure_below, outcome="by_hand", num_needed=None, curve=points)
    best = None
    for unsure_below, said, wrong in zip(THRESHOLDS, said_K.tolist(), wrong_K.tolist(), strict=True):
        if certain.accuracy**said > certain.delta and best is None:
            continue
        if bdtr(wrong, said, 1 - certain.accuracy) > certain.delta:
            break
        best = unsure_below
    if best is not None:
        return Threshold(unsure_below=best, outcome="promised", num_needed=None, curve=points)
    num_needed = _num_needed(certain, said_K, wrong_K, len(probability_BD))
    return Threshold(
        unsure_below=certain.accuracy,
        outcome="too_few" if num_needed else "too_often_wrong",
        num_needed=num_needed,
        curve=points,
    )


def _num_needed(certain: Certainty, said_K: Counts, wrong_K: Counts, num: int) -> int | None:
    """So many photographs would do if mistakes and answers were as frequent as here; None where no number would.

    As long as nothing could be proved whatever was wrong, the least number is named.
    """
    least = math.ceil(math.log(certain.delta) / math.log(certain.accuracy))  # without a mistake
    said_N = np.ceil(np.geomspace(least, max(least, MOST_NEEDED), 200))
    seen = {(wrong / said, said / num) for said, wrong in zip(said_K.tolist(), wrong_K.tolist(), strict=True) if said}
    needed = []
    for mistakes, answered in seen or {(0.0, 1.0)}:
        if mistakes >= 1 - certain.accuracy:
            continue
        enough_N = bdtr(np.floor(mistakes * said_N), said_N, 1 - certain.accuracy) <= certain.delta
        if enough_N.any():
            # A laxer threshold may pass alone where a stricter one failed by chance; it takes more photographs all the same.
            needed.append(max(num + 1, int(np.ceil(said_N[enough_N.argmax()] / answered))))
    return min(needed, default=least if said_K.max() < least else None)


def are_right(said_B: Counts, right_BD: Flags) -> Flags:
    """Whether each answer is right [B], given its place in its lineage; what is not said is not."""
    return np.asarray(right_BD[np.arange(len(said_B)), said_B] & (said_B >= 0))


def curve(probability_BD: Floats, right_BD: Flags) -> tuple[ThresholdPoint, ...]:
    """What is said and what of it is right, at each threshold."""
    return _points(*_counts(probability_BD, right_BD), len(probability_BD))


def _points(said_K: Counts, wrong_K: Counts, num: int) -> tuple[ThresholdPoint, ...]:
    return tuple(
        ThresholdPoint(
            unsure_below=unsure_below,
            answered=said / num if num else 0.0,
            right=1 - wrong / said if said else 1.0,
        )
        for unsure_below, said, wrong in zip(THRESHOLDS, said_K.tolist(), wrong_K.tolist(), strict=True)
    )


def _counts(probability_BD: Floats, right_BD: Flags) -> tuple[Counts, Counts]:
    """How many photographs something is said of, and of how many something wrong, at each threshold [K]."""
    answers = [answers_at(unsure_below, probability_BD) for unsure_below in THRESHOLDS]
    said_K = np.asarray([(said_B >= 0).sum() for said_B in answers], dtype=np.intp)
    return said_K, said_K - np.asarray([are_right(said_B, right_BD).sum() for said_B in answers], dtype=np.intp)
