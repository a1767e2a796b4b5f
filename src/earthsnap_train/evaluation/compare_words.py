"""A comparison in words: one line for a closing table, a few for a terminal, and the figures side by side."""

from collections.abc import Sequence

from earthsnap_train.evaluation.compare_figures import Comparison, Difference, Judged
from earthsnap_train.evaluation.figures import Estimate
from earthsnap_train.evaluation.wording import big, count, percent, points

NUM_NAMED = 8

FIGURE_WORDS = (
    ("top1", "named right, top-1"),
    ("top5", "among five, top-5"),
    ("macro_recall", "mean over species"),
    ("ece", "calibration error"),
)
"""Figure of a comparison -> what it is called; the smaller the better for the last one alone."""


def one_line(comparison: Comparison) -> str:
    """``plants-6: top-1 +0.8 pp (0.2 to 1.5), 2 species worse, 5 better``"""
    judged = comparison.judged
    if judged is None:
        return f"{comparison.old.release}: {comparison.not_judged}"
    parts = [f"top-1 {points(judged.top1.minus.value)} pp ({span(judged.top1.minus)})", worse_and_better(judged)]
    parts += [f"{len(names)} {what}" for what, names in changes(comparison) if names]
    return f"{comparison.old.release}: {', '.join(parts)}"


def worse_and_better(judged: Judged) -> str:
    worse, better = len(judged.of("worse")), len(judged.of("better"))
    if not worse and not better:
        return "no species worse or better beyond chance"
    return f"{worse or 'no'} species worse, {better or 'none'} better"


def changes(comparison: Comparison) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What became of the names: (word, the species, each with what was where that matters)."""
    return (
        ("added", tuple(name.scientific for name in comparison.added)),
        ("removed", tuple(name.scientific for name in comparison.removed)),
        ("renamed", tuple(f"{one.was} is now {one.name.scientific}" for one in comparison.renamed)),
        ("regrouped", tuple(f"{one.name.scientific}: {one.was} -> {one.now}" for one in comparison.regrouped)),
    )


def as_text(comparison: Comparison) -> str:
    """Some lines, without colour."""
    new, old, judged = comparison.new, comparison.old, comparison.judged
    lines = [f"{new.release} beside {old.release}, {basis(comparison)}", ""]
    rows = [("", old.release, new.release, ""), *figure_rows(comparison)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines += [
        f"{label:<{widths[0]}}  {was:>{widths[1]}}  {now:>{widths[2]}}  {change}".rstrip()
        for label, was, now, change in rows
    ]
    if judged is not None:
        lines += ["", worse_and_better(judged)]
        for verdict in ("worse", "better"):
            found = judged.of(verdict)
            lines += [f"  {verdict:<6}  {one.in_words}" for one in found[:NUM_NAMED]]
            lines += [f"          and {len(found) - NUM_NAMED} more"] if len(found) > NUM_NAMED else []
    named = [(what, names) for what, names in changes(comparison) if names]
    return "\n".join([*lines, *([""] if named else []), *(f"{what}: {few(names)}" for what, names in named)])


def basis(comparison: Comparison) -> str:
    """What the figures rest on."""
    judged = comparison.judged
    if judged is None:
        return f"by names and costs alone: {comparison.not_judged}"
    alone = [
        f"{count(number)} by {side.release} alone"
        for number, side in ((judged.num_only_new, comparison.new), (judged.num_only_old, comparison.old))
        if number
    ]
    if judged.num_untold:
        alone.append(f"{count(judged.num_untold)} of species that took in one that is gone")
    left_out = f" ({' and '.join(alone)} are left out)" if alone else ""
    return f"on {_photographs(judged.pairs.num_images)} that both were judged on{left_out}"


def figure_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """(figure, old, new, what changed), of those that both have."""
    new, old, judged = comparison.new, comparison.old, comparison.judged
    rows = []
    if judged is not None:
        for name, words in FIGURE_WORDS:
            pair: Difference = getattr(judged, name)
            change = f"{points(pair.minus.value)} pp ({span(pair.minus)})"
            rows.append((words, percent(pair.old), percent(pair.new), change))
    costs = (
        ("size", old.size_bytes, new.size_bytes, lambda num_bytes: f"{num_bytes / 1e6:.1f} MB"),
        ("multiply-adds", old.multiply_adds, new.multiply_adds, big),
        ("time for a photograph", old.latency_ms, new.latency_ms, lambda ms: f"{ms:.1f} ms"),
    )
    rows += [(words, write(was), write(now), _ratio(now, was)) for words, was, now, write in costs if was and now]
    return rows


def span(minus: Estimate) -> str:
    """The interval of a difference, in percentage points: ``-0.4 to 1.5``"""
    return " to ".join(points(end).removeprefix("+") for end in (minus.low, minus.high))


def few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return ", ".join(names[:NUM_NAMED]) + more


def _photographs(num_images: int) -> str:
    return f"{count(num_images)} photograph{'' if num_images == 1 else 's'}"


def _ratio(new: float, old: float) -> str:
    """``+3 %``; nothing where they are equal to within half a percent."""
    change = 100 * (new / old - 1)
    return "" if abs(change) < 0.5 else f"{change:+.0f}%".replace("-", "\N{MINUS SIGN}")
