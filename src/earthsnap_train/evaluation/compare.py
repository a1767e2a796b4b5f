"""A release beside another one: what became better, what worse, and what that costs.

``compare_releases`` needs the two entries of the registry alone, ``render_comparison`` makes a page of what it found,
``compare_words`` some lines for a terminal or one of them. ``Comparison.summary()`` is the same as plain JSON.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from earthsnap_train.evaluation.compare_entry import Entry
from earthsnap_train.evaluation.compare_figures import Comparison, Judged, Regrouped, Renamed
from earthsnap_train.evaluation.compare_pairs import judge_pairs
from earthsnap_train.evaluation.compare_words import (
    as_text,
    basis,
    changes,
    figure_rows,
    one_line,
    span,
    worse_and_better,
)
from earthsnap_train.evaluation.gates import GateResult
from earthsnap_train.evaluation.pictures import Album, ReadPhoto
from earthsnap_train.evaluation.report import environment

if TYPE_CHECKING:
    from earthsnap_train.release.registry import Release

__all__ = ["as_text", "compare", "compare_releases", "one_line", "render_comparison"]

BUDGET_BYTES = 1_000_000


def compare_releases(new: "Release", old: "Release", *, read_photo: ReadPhoto | None = None) -> Comparison:
    """Without ``read_photo`` (uri -> bytes) the photographs are named and not shown.

    An entry that keeps no predictions is compared by names and costs alone. Raises IntegrityError for a damaged one.
    """
    return compare(Entry.of_release(new), Entry.of_release(old), read_photo=read_photo)


def compare(new: Entry, old: Entry, *, read_photo: ReadPhoto | None = None) -> Comparison:
    group_of, was_in = new.family.group_of, old.family.group_of
    stayed = sorted(group_of.keys() & was_in.keys())
    judged, not_judged = _judge(new, old, Album(read_photo or (lambda uri: None), budget_bytes=BUDGET_BYTES))
    return Comparison(
        new=new.side,
        old=old.side,
        added=tuple(new.names[one] for one in sorted(group_of.keys() - was_in.keys())),
        removed=tuple(old.names[one] for one in sorted(was_in.keys() - group_of.keys())),
        renamed=tuple(
            Renamed(name=new.names[one], was=old.names[one].scientific)
            for one in stayed
            if new.names[one].scientific != old.names[one].scientific
        ),
        regrouped=tuple(
            Regrouped(name=new.names[one], was=was_in[one], now=group_of[one])
            for one in stayed
            if was_in[one] != group_of[one]
        ),
        judged=judged,
        not_judged=not_judged,
    )


def _judge(new: Entry, old: Entry, album: Album) -> tuple[Judged | None, str]:
    """Why not, where there is nothing to judge by."""
    for entry in (new, old):
        if entry.predictions is None:
            return None, f"{entry.side.release} was registered before predictions were kept"
    assert new.predictions is not None
    assert old.predictions is not None
    judged = judge_pairs(
        new.predictions,
        old.predictions,
        known_to_old=old.family.group_of,
        ids_now=new.ids_now,
        names=new.names,
        group_of=new.family.group_of,
        album=album,
    )
    return judged, "" if judged else "no photograph of a species that both know was judged on by both"


def render_comparison(comparison: Comparison, *, gates: Sequence[GateResult] = (), date: str = "") -> str:
    """One self-contained HTML page. ``gates``: those that look at the champion."""
    page = environment().get_template("compare.html.j2")
    words = {
        "span": span,
        "worse_and_better": worse_and_better,
        "basis": basis(comparison),
        "changes": changes(comparison),
        "figure_rows": figure_rows(comparison),
    }
    return page.render(data=comparison, judged=comparison.judged, gates=gates, date=date, **words)
