"""A linear head on fixed features, solved to its optimum: L2-regularised multinomial logistic regression by L-BFGS.

The whole of a head's photographs at every step, and so no learning rate, no batch, no order and no seed: what comes out
depends on the head's own photographs alone. Shapes: N photographs, V views of each, R = N V rows, F features, D coordinates
that stand for them, C classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from earthsnap_train.models.heads import Floats, rooted
from earthsnap_train.spec.architecture import Heads
from earthsnap_train.spec.imbalance import Imbalance
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.training.whitening import whitened

SMALLEST_SCALE = 1e-6
# The bias as a coordinate of this length: near the largest of the others, which takes half the steps that a 1 does.
BIAS_LENGTH = 5.0
# A photograph of a class that has n of them weighs in proportion to n to this power.
_POWER: dict[Imbalance, float] = {"none": 0.0, "sqrt": -0.5, "balanced": -1.0, "logit_adjustment": 0.0}


class Lesson(SpecModel):
    """How heads are solved."""

    heads: Heads
    label_smoothing: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """``weight_CF`` and ``bias_C`` give logits of features as the trunk gives them, or of their roots."""

    classes: tuple[str, ...]
    weight_CF: Floats
    bias_C: Floats
    of_roots: bool

    def logits(self, features_BF: Floats) -> Floats:
        """[B, C], of features as the trunk gives them."""
        logits_BC: Floats = (rooted(features_BF) if self.of_roots else features_BF) @ self.weight_CF.T + self.bias_C
        return logits_BC


def solve(
    features_NVF: Floats, labels_N: NDArray[np.int64], classes: tuple[str, ...], lesson: Lesson, *, device: str = "cpu"
) -> Head:
    """The head that is likeliest on all views of these photographs, under a prior that keeps its weights small.

    Features are centred, scaled and whitened while it is solved, which is folded into the head. Solved is where a step gains
    less than 1e-5 nats: closer steps name hardly a photograph otherwise.
    """
    features_NVF = rooted(features_NVF) if lesson.heads.roots else features_NVF
    num_views, num_features = features_NVF.shape[1:]
    num_classes = len(classes)
    mean_F = features_NVF.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    # One scale for all features: a scale each would blow up those that hardly vary (on plants-dev it costs a point of top-1).
    scale = np.float32(np.sqrt(features_NVF.var(axis=(0, 1), dtype=np.float64).mean()) + SMALLEST_SCALE)
    x_RF = torch.from_numpy((features_NVF.reshape(-1, num_features) - mean_F) / scale).to(device)
    label_R = torch.from_numpy(labels_N).repeat_interleave(num_views).to(device)
    coordinates = whitened(x_RF, label_R, num_classes, lesson.heads.whitening)
    del x_RF  # as large as what is solved on
    x_RD = coordinates.x_RD
    counts_C = np.bincount(labels_N, minlength=num_classes).clip(min=1)
    weight_N = (counts_C ** _POWER[lesson.heads.imbalance])[labels_N]
    share_R = torch.from_numpy(np.repeat(weight_N / (weight_N.sum() * num_views), num_views)).float().to(device)
    wanted_RC = torch.nn.functional.one_hot(label_R, num_classes)
    wanted_RC = wanted_RC * (1 - lesson.label_smoothing) + lesson.label_smoothing / num_classes
    # Logit adjustment (Menon et al., ICLR 2021) with tau = 1.
    adjusted = lesson.heads.imbalance == "logit_adjustment"
    prior_C = torch.from_numpy(np.log(counts_C / counts_C.sum())).float().to(device) if adjusted else 0.0
    weight_CD = torch.zeros(num_classes, x_RD.shape[1], device=device)
    drift_C = torch.zeros(num_classes, device=device)
    decay = lesson.heads.weight_decay
    optimiser = torch.optim.LBFGS(
        [weight_CD, drift_C], max_iter=lesson.heads.max_iterations, tolerance_grad=1e-6, tolerance_change=1e-5,
        history_size=10, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss_and_slope() -> torch.Tensor:
        # The slope by hand: half the time of automatic differentiation.
        log_p_RC = torch.log_softmax(torch.addmm(BIAS_LENGTH * drift_C, x_RD, weight_CD.T) + prior_C, dim=1)
        loss = -(share_R @ (wanted_RC * log_p_RC).sum(dim=1)) + decay / 2 * weight_CD.square().sum()
        slope_RC = share_R[:, None] * (log_p_RC.exp() - wanted_RC)
        weight_CD.grad = torch.addmm(weight_CD, slope_RC.T, x_RD, beta=decay)
        drift_C.grad = BIAS_LENGTH * slope_RC.sum(dim=0)
        return loss

    with torch.no_grad():
        optimiser.step(loss_and_slope)  # type: ignore[no-untyped-call]
    solved_CF = (coordinates.of_features(weight_CD) / float(scale)).cpu().numpy()
    offset_C = (BIAS_LENGTH * drift_C).cpu().numpy() - solved_CF @ mean_F
    return Head(classes=classes, weight_CF=solved_CF, bias_C=offset_C, of_roots=lesson.heads.roots)
