"""Which photographs look mislabelled: confident learning (Northcutt, Jiang & Chuang, JAIR 2021, 70:1373).

Shapes: N photographs, S species.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.advice.material import Material
from earthsnap_train.models.family import Floats


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """``row``: of the photograph. ``suggested``: place of a species. ``margin``: P(as labelled) - P(likeliest other)."""

    row: int
    suggested: int
    confidence: float
    margin: float


def doubts(material: Material, p_NS: Floats) -> list[Doubt]:
    """Photographs that are confidently another species than their label says, the lowest margin first.

    ``p_NS`` is what a head makes of photographs that it has not seen. A species is confident of a photograph where its
    probability reaches the mean that it has on photographs labelled so; of several confident species the likeliest counts.
    A head that is unsure of a species altogether thus asks little, and one that is sure of it asks much.
    """
    judged_N = material.is_judged
    own_N = p_NS[np.arange(len(material)), material.label_N]
    num_judged_S = np.bincount(material.label_N[judged_N], minlength=len(material.species))
    sum_S = np.bincount(material.label_N[judged_N], own_N[judged_N], len(material.species))
    threshold_S = np.where(num_judged_S > 0, sum_S / num_judged_S.clip(min=1), np.inf)
    confident_NS = np.where(p_NS >= threshold_S, p_NS, -1.0)
    likeliest_N = confident_NS.argmax(axis=1)
    is_doubted_N = (confident_NS.max(axis=1) > 0) & (likeliest_N != material.label_N) & judged_N
    margin_N = margins(p_NS, material.label_N)
    rows = np.flatnonzero(is_doubted_N)
    order = rows[np.argsort(margin_N[rows], kind="stable")]
    return [
        Doubt(
            row=int(row),
            suggested=int(likeliest_N[row]),
            confidence=float(p_NS[row, likeliest_N[row]]),
            margin=float(margin_N[row]),
        )
        for row in order
    ]


def margins(p_NS: Floats, label_N: NDArray[np.intp]) -> Floats:
    """P(as labelled) less P(likeliest other) [N]: the normalised margin, by which the least credible labels come first."""
    own_N = p_NS[np.arange(len(p_NS)), label_N]
    others_NS = p_NS.copy()
    others_NS[np.arange(len(p_NS)), label_N] = -1.0
    margin_N: Floats = own_N - others_NS.max(axis=1)
    return margin_N
