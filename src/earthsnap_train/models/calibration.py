"""Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017), kept near 1 by a weak prior.

A child may have a dozen photographs in val and name all of them right; likelihood alone would then make it certain of
everything. On plants-dev the prior is worth 0.1 to 0.2 points of the family's top-1.

Some labels of val may be wrong, and a temperature alone would pay for each of them with modesty about all others. So a label
is taken to be the network's answer but for some share of labels, which may be any class (label noise as a latent variable:
Lawrence and Schölkopf, ICML 2001). That share is fitted beside the temperature and then left out: what is served says how
likely the species is, and not how likely its label. On photographs it comes out as 0, and changes nothing. It is kept
small, for a network's own confident mistakes look the same, and what they cost in certainty must be paid.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from earthsnap_train.models.family import Floats

LOWEST, HIGHEST = 0.05, 20.0
PRIOR_STD = 0.25  # of the temperature's logarithm
MOST_WRONG = 0.02  # of the labels


def fit_temperature(logits_BC: Floats, labels_B: NDArray[np.integer]) -> float:
    """The likeliest temperature under the prior; 1 where there is nothing to learn it from."""
    num_classes = logits_BC.shape[1]
    if len(labels_B) == 0 or num_classes < 2:
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled_BC = logits_BC.astype(np.float64) / np.exp(log_temperature)
        highest_B1 = scaled_BC.max(axis=1, keepdims=True)
        log_sum_B = np.log(np.exp(scaled_BC - highest_B1).sum(axis=1)) + highest_B1[:, 0]
        log_p_B = scaled_BC[np.arange(len(labels_B)), labels_B] - log_sum_B
        return surprise(log_p_B, num_classes) + log_temperature**2 / (2 * PRIOR_STD**2)

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(best.x)), 4)


def surprise(log_p_B: NDArray[np.float64], num_classes: int) -> float:
    """Of the labels, in nats, under the likeliest share of wrong ones; ``log_p_B``: of each label, were it right."""

    def loss(share: float) -> float:
        return -float(np.logaddexp(np.log1p(-share) + log_p_B, np.log(share / num_classes)).sum())

    none = -float(log_p_B.sum())
    return min(none, float(minimize_scalar(loss, bounds=(0.0, MOST_WRONG), method="bounded").fun))
