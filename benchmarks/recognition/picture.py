"""Draws the README's picture of ``results.json``: top-1 of three ways to build the same thing, set by set.

python benchmarks/recognition/picture.py
"""

import json
import math
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "docs" / "images" / "families.svg"
WAYS = (  # method, words, colour, radius, whether it is filled; one that often has another's place is a ring around it
    ("obvious family", "a family, hard: parent taught groups", "#b3541e", 5, False),
    ("flat, plain", "one flat head", "#8a8a86", 5, False),
    ("flat, as ours", "one flat head, taught as ours", "#2a2a28", 9, False),
    ("ours", "our family", "#1d6b4f", 5, True),
)
WIDTH, LEFT, RIGHT, TOP, ROW = 820, 250, 30, 64, 34


def main() -> None:
    results = json.loads((HERE / "results.json").read_text())
    sets = [title for title, one in results.items() if all(name in one["methods"] for name, *_ in WAYS)]
    top1 = {
        (title, name): 100 * results[title]["methods"][name]["figures"]["top1"]["value"]
        for title in sets
        for name, *_ in WAYS
    }
    least = 5 * math.floor(min(top1.values()) / 5)
    OUT.write_text(drawn(sets, top1, least))


def drawn(sets: list[str], top1: dict[tuple[str, str], float], least: int) -> str:
    height = TOP + ROW * len(sets) + 46
    bottom = TOP + ROW * len(sets)

    def x(percent: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (percent - least) / (100 - least), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#2a2a28">',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fbfaf6"/>',
    ]
    at = LEFT - 230.0
    for _, words, colour, radius, filled in WAYS:
        parts.append(mark(at + radius, 26, colour, radius, filled))
        parts.append(f'<text x="{at + 2 * radius + 7:.1f}" y="30">{words}</text>')
        at = round(at + 2 * radius + 22 + 6.6 * len(words), 1)
    for percent in range(least, 101, 5):
        parts.append(f'<path d="M{x(percent)} {TOP - 8}V{bottom}" stroke="#e4e2da"/>')
        parts.append(f'<text x="{x(percent)}" y="{bottom + 18}" text-anchor="middle" fill="#77756d">{percent}</text>')
    parts.append(
        f'<text x="{(x(least) + x(100)) / 2}" y="{bottom + 38}" text-anchor="middle" fill="#77756d">'
        "of 100 unseen photographs are named right</text>"
    )
    for number, title in enumerate(sets):
        y = TOP + ROW * number + ROW // 2
        parts.append(f'<text x="{LEFT - 16}" y="{y + 4}" text-anchor="end">{title}</text>')
        ends = [x(top1[title, name]) for name, *_ in WAYS]
        parts.append(f'<path d="M{min(ends)} {y}H{max(ends)}" stroke="#cfcdc4" stroke-width="2"/>')
        parts += [mark(x(top1[title, name]), y, colour, radius, filled) for name, _, colour, radius, filled in WAYS]
    return "\n".join([*parts, "</svg>", ""])


def mark(x: float, y: float, colour: str, radius: int, filled: bool) -> str:
    fill = colour if filled else "#fbfaf6"
    return f'<circle cx="{x}" cy="{y}" r="{radius}" stroke="{colour}" stroke-width="2" fill="{fill}"/>'


if __name__ == "__main__":
    main()
