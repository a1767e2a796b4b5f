"""Release notes: what users and the people behind them should know of a release, in Markdown."""

from collections.abc import Sequence

from earthsnap_train.evaluation.compare_figures import Comparison, Side, SpeciesPair
from earthsnap_train.evaluation.compare_words import basis, changes, figure_rows, worse_and_better
from earthsnap_train.evaluation.wording import big, count, percent, points

NUM_NAMED = 50


def release_notes(new: Side, comparison: Comparison | None, *, date: str) -> str:
    """``comparison`` with the champion; None where there was none."""
    groups = f" in {new.num_groups} groups" if new.architecture != "flat" else ""
    lines = [f"# {new.release}", "", f"{date}. Names {new.num_species} species{groups}.", ""]
    lines += _first(new) if comparison is None else _beside(comparison)
    return "\n".join(lines)


def _first(new: Side) -> list[str]:
    """There is nothing to stand beside."""
    figures = [f"- size: {new.size_bytes / 1e6:.1f} MB"]
    if new.top1 is not None and new.num_images is not None:
        interval = f"{percent(new.top1.low)} to {percent(new.top1.high)}"
        figures = [
            f"- named right, top-1: {percent(new.top1.value)} ({interval}) of {count(new.num_images)} photographs",
            *figures,
        ]
    if new.multiply_adds is not None:
        figures.append(f"- multiply-adds for one photograph: {big(new.multiply_adds)}")
    return ["There is no release in production to compare it with.", "", *figures, ""]


def _beside(comparison: Comparison) -> list[str]:
    new, old, judged = comparison.new, comparison.old, comparison.judged
    lines = [f"Beside {old.release}, {basis(comparison)}.", ""]
    lines += [f"| | {old.release} | {new.release} | change (95 %) |", "|---|---:|---:|---:|"]
    lines += [f"| {label} | {was} | {now} | {change} |" for label, was, now, change in figure_rows(comparison)]
    lines.append("")
    for what, names in changes(comparison):
        if names:
            lines += _section(f"Species {what}: {len(names)}", [_escaped(name) for name in names])
    if judged is not None:
        lines += [f"Species by species: {worse_and_better(judged)}.", ""]
        lines += _section("Better", [_species(one) for one in judged.of("better")])
        lines += _section("Worse", [_species(one) for one in judged.of("worse")])
    return lines


def _section(title: str, rows: Sequence[str]) -> list[str]:
    if not rows:
        return []
    more = [f"- and {len(rows) - NUM_NAMED} more"] if len(rows) > NUM_NAMED else []
    return [f"## {title}", "", *(f"- {row}" for row in rows[:NUM_NAMED]), *more, ""]


def _species(one: SpeciesPair) -> str:
    minus = one.recall.minus
    change = f"{points(minus.value)} pp, 95 % {points(minus.low)} to {points(minus.high)}"
    found = f"{percent(one.recall.old, 0)} -> {percent(one.recall.new, 0)} of {one.pairs.num_images} found"
    return f"{_escaped(one.name.scientific)}: {found} ({change})"


def _escaped(name: str) -> str:
    """A name is somebody's text: what Markdown or HTML would make something of is taken as written."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|&" else letter for letter in name).replace("\n", " ")
