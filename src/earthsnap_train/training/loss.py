"""What training makes small: the cross-entropy of the classes and, where it is asked for, of the taxa above them.

Shapes: B photographs, C classes, T taxa of all ranks together.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.lineages import Floats, Lineages, classes_of_taxa, relatives

LEAST = 1e-30  # of a probability, before its logarithm


class Loss(nn.Module):
    """(logits [B, C], labels [B] or the share of each class [B, C]) -> the mean loss of the batch.

    ``rank_weight`` times the mean over the ranks of the taxa's cross-entropy is added to that of the classes. A taxon has
    the sum of its classes' probabilities, and of their shares in what is taught (hierarchical cross-entropy, Bertinetto et
    al., CVPR 2020; Valmadre, NeurIPS 2022). ``label_smoothing`` takes so much of a label away: ``class`` gives it to all
    classes equally, ``taxonomy`` to the others, the more the nearer they are (``relatives``). Without ``lineages`` it is
    plain cross-entropy.
    """

    taught_CC: Tensor | None
    taxa_CT: Tensor | None

    def __init__(self, settings: Teaching, lineages: Lineages | None) -> None:
        super().__init__()
        self.label_smoothing = settings.label_smoothing
        self.rank_weight = settings.rank_weight
        taught_CC = taxa_CT = None
        if lineages is not None and settings.asks_ranks:
            taught_CC = torch.from_numpy(_taught(settings, lineages))
            self.num_ranks = len(lineages[0])
            if settings.rank_weight > 0:
                taxa_CT = torch.from_numpy(classes_of_taxa(lineages))
        # Not in the state dict: they follow from the settings.
        self.register_buffer("taught_CC", taught_CC, persistent=False)
        self.register_buffer("taxa_CT", taxa_CT, persistent=False)

    def forward(self, logits_BC: Tensor, labels: Tensor) -> Tensor:
        if self.taught_CC is None:
            return functional.cross_entropy(logits_BC, labels, label_smoothing=self.label_smoothing)
        # Shares, and sums of probabilities near 1, need all of a float's digits.
        with torch.autocast(logits_BC.device.type, enabled=False):
            shares_BC = labels @ self.taught_CC if labels.ndim == 2 else self.taught_CC[labels]
            loss = functional.cross_entropy(logits_BC.float(), shares_BC)
            if self.taxa_CT is not None:
                log_taxa_BT = (logits_BC.float().softmax(dim=1) @ self.taxa_CT).clamp(min=LEAST).log()
                of_taxa_B = -(shares_BC @ self.taxa_CT * log_taxa_BT).sum(dim=1)
                loss = loss + self.rank_weight / self.num_ranks * of_taxa_B.mean()
            return loss


def _taught(settings: Teaching, lineages: Lineages) -> Floats:
    """[C, C]: what a photograph of each class is taught."""
    num_classes = len(lineages)
    if settings.label_smoothing_by == "taxonomy":
        others_CC = relatives(lineages)
    else:
        others_CC = np.full((num_classes, num_classes), 1 / num_classes, dtype=np.float32)
    own_CC = np.eye(num_classes, dtype=np.float32)
    taught_CC: Floats = (1 - settings.label_smoothing) * own_CC + settings.label_smoothing * others_CC
    taught_CC /= taught_CC.sum(axis=1, keepdims=True)  # a single class has no relatives
    return taught_CC
