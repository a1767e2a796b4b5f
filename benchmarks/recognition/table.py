"""Writes the tables of the README: targets and methods from ``results.json``, what parts are worth from ``parts.json``, and
targets and methods of networks taught whole from ``networks.json``.

python benchmarks/recognition/table.py
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: written by table.py -->", "<!-- end of tables -->"
OF_NETWORKS = "<!-- networks: written by table.py -->", "<!-- end of networks -->"
OURS, PLAIN, FLAT, HICLASS = "ours", "flat, plain", "flat, as ours", "hiclass"
BUILT_IN = (  # what ours has, and the method that has all but that
    ("whitening", "ours, no whitening"),
    ("roots of features", "ours, no roots"),
    ("logit adjustment", "ours, no logit adjustment"),
    ("mirror images taught", "ours, no mirror images"),
    ("the parent's say within a group", "ours, children alone"),
    ("soft routing", "ours, hard"),
    ("a parent taught species, not groups", "ours, parent groups"),
    ("a parent taught species, not clusters", "ours, parent clusters"),
    ("temperatures", "ours, no temperature"),
)
TRIED = (  # what ours has not, and the method that has it besides
    ("two looks", "ours, two looks"),
    ("nearest neighbours", "ours and neighbours"),
    ("a shrunk discriminant", "ours and discriminant"),
    ("heads of ranks", "ours and heads of ranks"),
    ("tau of logit adjustment by val", "ours, tau by val"),
    ("the least expected distance", "ours, least expected distance"),
    ("whitening 0.1, not 0.2", "ours, whitening 0.1"),
    ("whitening 0.5, not 0.2", "ours, whitening 0.5"),
    ("weight decay 0.0003, not 0.001", "ours, decay 0.0003"),
    ("weight decay 0.003, not 0.001", "ours, decay 0.003"),
    ("labels smoothed by 0.1", "ours, smoothing 0.1"),
)
Json = Mapping[str, Any]


def main() -> None:
    results, parts, networks = (
        json.loads((HERE / name).read_text()) for name in ("results.json", "parts.json", "networks.json")
    )
    readme = (HERE / "README.md").read_text()
    readme = filled(readme, OF_NETWORKS, ["### Networks: targets", targets(networks), *sets(networks)])
    (HERE / "README.md").write_text(filled(readme, (BEGIN, END), written(results, parts)))


def filled(readme: str, ends: tuple[str, str], parts: list[str]) -> str:
    """With ``parts`` between two marks, in place of what was there."""
    before, after = readme.partition(ends[0])[0], readme.partition(ends[1])[2]
    return before + "\n\n".join([ends[0], *parts, ends[1]]) + after


def written(results: Json, parts_tried: Json) -> list[str]:
    """The targets, what each part is worth, then a heading and a table for each set."""
    return [
        "### Targets",
        targets(results),
        "### What each part is worth: top-1 with it minus top-1 without, in points (tail recall in brackets)",
        gains(parts_tried),
        *sets(results),
    ]


def sets(results: Json) -> list[str]:
    return [part for title, one in results.items() for part in (f"### {title}", about(one), table(one["methods"]))]


def about(one: Json) -> str:
    processes = "1 process" if one["workers"] == 1 else f"{one['workers']} processes"
    where = f"{processes}, heads on {'a GPU' if one['device'] == 'cuda' else 'the CPU'}"
    return (
        f"{one['photographs']:,} photographs, {one['species']} species in {one['groups']} groups by `{one['rank']}`; "
        f"{one['folds']} folds, {one['seeds']} {'seed' if one['seeds'] == 1 else 'seeds'}; {one['seconds']} s ({where})."
    )


def table(methods: Json) -> str:
    columns = (
        "method", "top-1", "minus equal flat, points", "macro recall", "tail recall", "severity", "of mistakes", "debiased ECE",
        "refusing", "rolling up",
    )  # fmt: skip
    lines = [row(columns), row(["---"] * len(columns))]
    for name, one in methods.items():
        values = {key: estimate["value"] for key, estimate in one["figures"].items()}
        minus = one["minus"].get(FLAT)
        lines.append(
            row(
                (
                    f"**{name}**" if name == OURS else name,
                    f"{values['top1']:.3f}",
                    points(minus["top1"]) if minus and name != FLAT else "",
                    f"{values['macro_recall']:.3f}",
                    f"{values['tail_recall']:.3f}",
                    f"{values['severity']:.3f}",
                    f"{values['mistake_severity']:.2f}",
                    interval(one["debiased_ece"]),
                    coverage(values, "sure"),
                    coverage(values, "rolled"),
                )
            )
        )
    return "\n".join(lines)


def targets(results: Json) -> str:
    """What was asked for, and what became of it, in every set that has the rivals."""
    columns = (
        "set", "minus equal flat ≥ -0.5", "over hiclass ≥ 2", "severity -15 %", "of mistakes -15 %", "debiased ECE ≤ 0.02",
        "tail recall ≥ +5", "coverage ≥ +20",
    )  # fmt: skip
    lines = [row(columns), row(["---"] * len(columns))]
    for title, one in results.items():
        if not {OURS, PLAIN, FLAT, HICLASS} <= one["methods"].keys():
            continue
        ours, plain = one["methods"][OURS], one["methods"][PLAIN]
        to_flat, to_plain, to_hiclass = (ours["minus"][rival] for rival in (FLAT, PLAIN, HICLASS))

        def relative(key: str, to_plain: Json = to_plain, plain: Json = plain) -> str:
            base = plain["figures"][key]["value"]
            change = {end: value / base for end, value in to_plain[key].items()}
            return f"{verdict(change['value'] <= -0.15)} {100 * change['value']:+.1f} %"

        lines.append(
            row(
                (
                    title,
                    f"{verdict(to_flat['top1']['low'] >= -0.005)} {points(to_flat['top1'])}",
                    f"{verdict(to_hiclass['top1']['low'] >= 0.02)} {points(to_hiclass['top1'])}",
                    relative("severity"),
                    relative("mistake_severity"),
                    f"{verdict(ours['debiased_ece']['high'] <= 0.02)} {interval(ours['debiased_ece'])}",
                    f"{verdict(to_plain['tail_recall']['value'] >= 0.05)} {points(to_plain['tail_recall'])}",
                    f"{verdict(ours['roll_up_minus_refusal']['value'] >= 0.2)} {points(ours['roll_up_minus_refusal'])}",
                )
            )
        )
    return "\n".join(lines)


def gains(parts_tried: Json) -> str:
    """What is built in first; then what was tried."""
    sets = {f"{title}; {one['folds'] * one['seeds']} folds": one["methods"] for title, one in parts_tried.items()}
    lines = [row(("part", *sets)), row(["---"] * (1 + len(sets)))]
    for parts, sign, kind in ((BUILT_IN, -1, "built in"), (TRIED, 1, "tried")):
        for part, other in parts:
            cells = []
            for methods in sets.values():
                if other not in methods:
                    cells.append("")
                    continue
                top1, tail = (
                    100 * sign * (methods[other]["figures"][key]["value"] - methods[OURS]["figures"][key]["value"])
                    for key in ("top1", "tail_recall")
                )
                cells.append(f"{round(top1, 1) + 0:+.1f} ({round(tail, 1) + 0:+.1f})")  # a zero has no minus
            lines.append(row((f"{kind}: {part}", *cells)))
    return "\n".join(lines)


def row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def verdict(reached: bool) -> str:
    return "reached:" if reached else "missed:"


def points(estimate: Json) -> str:
    return f"{100 * estimate['value']:+.1f} ({100 * estimate['low']:+.1f} to {100 * estimate['high']:+.1f})"


def interval(estimate: Json) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def coverage(values: Json, kind: str) -> str:
    """The share that is answered, and how much of that is right; nothing where no threshold of val was high enough."""
    return f"{values[kind]:.3f} at {values[f'{kind}_right']:.3f}" if values[kind] else "none"


if __name__ == "__main__":
    main()
