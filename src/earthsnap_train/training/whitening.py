"""Coordinates in which the photographs of a class scatter more evenly, for a prior on weights that knows what to distrust.

Within-class covariance normalisation (Hatch, Kajarekar and Stolcke, Interspeech 2006), with a covariance that is shrunk
towards that of a ball (Friedman 1989, JASA 84:165). Shapes: R rows, F features, C classes, D coordinates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_VARIANCE = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinates:
    """``x_RD`` of the rows. ``basis_FD``: where rows are fewer than features; ``lower_DD``: where they are whitened."""

    x_RD: Tensor
    basis_FD: Tensor | None
    lower_DD: Tensor | None

    def of_features(self, weight_CD: Tensor) -> Tensor:
        """Weights of coordinates as weights of features [C, F]."""
        if self.lower_DD is not None:
            weight_CD = torch.linalg.solve_triangular(self.lower_DD, weight_CD, upper=False, left=False)
        return weight_CD if self.basis_FD is None else weight_CD @ self.basis_FD.T


def whitened(x_RF: Tensor, label_R: Tensor, num_classes: int, share: float) -> Coordinates:
    """``share`` of the covariance within classes is counted, and of an even one for the rest; 0 leaves all as it is.

    ``x_RF`` is centred. A head lies in the span of its rows: where that is smaller than all features it is solved there,
    which costs less and changes nothing.
    """
    num_rows, num_features = x_RF.shape
    basis_FD, x_RD = None, x_RF
    if num_rows < num_features:
        basis_FD, triangle_DR = torch.linalg.qr(x_RF.T)
        x_RD = triangle_DR.T.contiguous()
    if not share:
        return Coordinates(x_RD=x_RD, basis_FD=basis_FD, lower_DD=None)
    member_RC = torch.nn.functional.one_hot(label_R, num_classes).to(x_RD)
    mean_CD = member_RC.T @ x_RD / member_RC.sum(dim=0).clamp(min=1)[:, None]
    within_RD = x_RD - mean_CD[label_R]
    scatter_DD = within_RD.T @ within_RD
    even = (scatter_DD.trace() / num_features).clamp(min=SMALLEST_VARIANCE)
    even_DD = torch.eye(len(scatter_DD), device=x_RD.device)
    lower_DD = torch.linalg.cholesky(share * scatter_DD / even + (1 - share) * even_DD)
    x_RD = torch.linalg.solve_triangular(lower_DD.T, x_RD, upper=True, left=False)
    return Coordinates(x_RD=x_RD.contiguous(), basis_FD=basis_FD, lower_DD=lower_DD)
