"""Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017), kept near 1 by a weak prior.

A child may have a dozen photographs in val and name all of them right; likelihood alone would then make it certain of
everything. On plants-dev the prior is worth 0.1 to 0.2 points of the family's top-1.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from earthsnap_train.models.family import Floats

LOWEST, HIGHEST = 0.05, 20.0
PRIOR_STD = 0.25  # of the temperature's logarithm


def fit_temperature(logits_BC: Floats, labels_B: NDArray[np.integer]) -> float:
    """The likeliest temperature under the prior; 1 where there is nothing to learn it from."""
    if len(labels_B) == 0 or logits_BC.shape[1] < 2:
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled_BC = logits_BC.astype(np.float64) / np.exp(log_temperature)
        highest_B1 = scaled_BC.max(axis=1, keepdims=True)
        log_sum_B = np.log(np.exp(scaled_BC - highest_B1).sum(axis=1)) + highest_B1[:, 0]
        likelihood = float(np.sum(log_sum_B - scaled_BC[np.arange(len(labels_B)), labels_B]))
        return likelihood + log_temperature**2 / (2 * PRIOR_STD**2)

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(best.x)), 4)
