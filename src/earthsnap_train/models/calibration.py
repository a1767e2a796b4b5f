"""Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from earthsnap_train.models.family import Floats

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits_BC: Floats, labels_B: NDArray[np.integer]) -> float:
    """The temperature of least negative log likelihood; 1 where there is nothing to learn it from."""
    if len(labels_B) == 0 or logits_BC.shape[1] < 2:
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled_BC = logits_BC.astype(np.float64) / np.exp(log_temperature)
        highest_B1 = scaled_BC.max(axis=1, keepdims=True)
        log_sum_B = np.log(np.exp(scaled_BC - highest_B1).sum(axis=1)) + highest_B1[:, 0]
        return float(np.mean(log_sum_B - scaled_BC[np.arange(len(labels_B)), labels_B]))

    best = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(best.x)), 4)
