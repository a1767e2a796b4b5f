"""A release beside another one: what became better, what worse, and what that costs.

``compare_releases`` needs the two entries of the registry alone, ``render_comparison`` makes a page of what it found,
``as_text`` some lines for a terminal and ``one_line`` one of them. ``Comparison.summary()`` is the same as plain JSON.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from earthsnap_train.evaluation.compare_figures import Comparison
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.evaluation.pictures import ReadPhoto

if TYPE_CHECKING:
    from earthsnap_train.release.registry import Release


def compare_releases(new: "Release", old: "Release", *, read_photo: ReadPhoto | None = None) -> Comparison:
    """Without ``read_photo`` (uri -> bytes) the photographs are named and not shown.

    An entry that keeps no predictions is compared by names and costs alone. Raises IntegrityError for a damaged one.
    """
    raise NotImplementedError


def render_comparison(comparison: Comparison, *, gates: Sequence[GateResult] = (), date: str = "") -> str:
    """One self-contained HTML page. ``gates``: those that look at the champion."""
    raise NotImplementedError


def as_text(comparison: Comparison) -> str:
    """A dozen lines at most, without colour."""
    raise NotImplementedError


def one_line(comparison: Comparison) -> str:
    """``plants-6: top-1 +0.8 pp (0.2 to 1.5), 2 species worse, 5 better``"""
    raise NotImplementedError
