"""What is done about species with few photographs: sample them more often, or adjust the logits."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earthsnap_train.data.batches import Balance
from earthsnap_train.spec.training import Teaching


def sampling(training: Teaching) -> Balance:
    """How batches are drawn: logit adjustment leaves the sampling natural."""
    return "none" if training.imbalance == "logit_adjustment" else training.imbalance


def log_prior(training: Teaching, labels_N: NDArray[np.int64], num_classes: int) -> Tensor | None:
    """[C]: log of each class's share, to be added to the logits while training; ``None`` where nothing is adjusted.

    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021 (with tau = 1).
    """
    if training.imbalance != "logit_adjustment":
        return None
    counts_C = np.bincount(labels_N, minlength=num_classes).clip(min=1)
    return torch.log(torch.from_numpy(counts_C / counts_C.sum())).float()
