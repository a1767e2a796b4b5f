"""Whether chance alone explains that one species fared differently, among many species that were looked at.

Each plant that the two releases answered differently is a vote, and under chance a coin's: the exact sign test, for one
photograph a plant the exact McNemar test (McNemar 1947, Psychometrika 12:153; Dietterich 1998, Neural Computation 10:1895).
Of a hundred species five would pass it at 5 % with nothing behind them, so those called worse or better are held to a
false discovery rate of 5 % (Benjamini & Hochberg 1995, JRSS B 57:289) among the species that could show anything at all:
with fewer than six votes no test reaches 5 % (Tarone 1990, Biometrics 46:515; Gilbert 2005, JRSS C 54:143).
"""

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05


def sign_test(num_for: int, num_against: int) -> float:
    """Two-sided: the probability that a fair coin falls at least as unevenly."""
    votes, fewer = num_for + num_against, min(num_for, num_against)
    if 2 * fewer >= votes - 1:
        return 1.0
    extreme: int = sum(comb(votes, k) for k in range(fewer + 1))
    return extreme / (1 << (votes - 1))


def tellable(num_votes: Sequence[int]) -> NDArray[np.bool_]:
    """Those of the tests whose least possible p-value would survive a correction for as many tests as are kept."""
    lowest = np.asarray([sign_test(votes, 0) for votes in num_votes], dtype=np.float64)
    for kept in range(1, len(lowest) + 1):
        able = lowest <= LEVEL / kept
        if able.sum() <= kept:
            return np.asarray(able)
    return np.zeros(len(lowest), dtype=np.bool_)


def discoveries(p_values: Sequence[float], able: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the ``able`` tests are more than chance, at most 5 % of them falsely so on average."""
    p = np.asarray(p_values, dtype=np.float64)
    ranked = np.sort(p[able])
    passing = np.flatnonzero(ranked <= LEVEL * np.arange(1, len(ranked) + 1) / max(len(ranked), 1))
    if not len(passing):
        return np.zeros(len(p), dtype=np.bool_)
    return np.asarray(able & (p <= ranked[passing[-1]]))
