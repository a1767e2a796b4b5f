"""Small drawings as inline SVG. Colours come from the page's CSS variables, so that they follow light and dark."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from earthsnap_train.evaluation.figures import ReliabilityBin, ThresholdPoint

if TYPE_CHECKING:
    from earthsnap_train.evaluation.report import CurvePoint

Place = tuple[float, float]

MARKS = {
    "right": Markup('<circle class="right" cx="{}" cy="{}" r="4"/>'),
    "misnamed": Markup('<circle class="misnamed" cx="{}" cy="{}" r="3.3"/>'),
    "misrouted": Markup('<path class="misrouted" transform="translate({} {})" d="M-3-3l6 6m0-6l-6 6"/>'),
}
MARK_PX = 12


def waffle(right: int, misnamed: int, misrouted: int, label: str) -> Markup:
    """A hundred marks, ten by ten: dots are right, rings misnamed, crosses misrouted; shape says it without colour."""
    kinds = ["right"] * right + ["misnamed"] * misnamed + ["misrouted"] * misrouted
    middle = MARK_PX // 2
    marks = (
        MARKS[kind].format(at % 10 * MARK_PX + middle, at // 10 * MARK_PX + middle) for at, kind in enumerate(kinds)
    )
    return drawing("waffle", 10 * MARK_PX, 10 * MARK_PX, label, marks)


def legend_mark(kind: str) -> Markup:
    """One mark of a waffle, to stand beside the word it means."""
    middle = MARK_PX // 2
    return Markup('<svg class="mark" viewBox="0 0 12 12" aria-hidden="true">{}</svg>').format(
        MARKS[kind].format(middle, middle)
    )


def reliability(family: Sequence[ReliabilityBin], flat: Sequence[ReliabilityBin] | None) -> Markup:
    """How often answers of like certainty were right (up) against how certain they claimed to be (across)."""
    left, top, side = 44, 10, 300
    bottom, middle = top + side, top + side // 2
    tick = Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>')
    parts = []
    for percent in range(0, 101, 20):
        x, y = left + side * percent // 100, bottom - side * percent // 100
        parts.append(Markup('<path class="grid" d="M{} {}h{}M{} {}v{}"/>').format(left, y, side, x, top, side))
        parts += [tick.format(left - 8, y + 4, "end", percent), tick.format(x, bottom + 18, "middle", percent)]
    parts.append(Markup('<path class="ideal" d="M{} {}l{} {}"/>').format(left, bottom, side, -side))
    for kind, bins in (("flat", flat or ()), ("family", family)):
        places = [(left + side * one.confidence, bottom - side * one.right) for one in bins]
        parts.append(line(kind, places))
        parts += [_point(kind, place, 4) for place in places]
    axis = Markup('<text class="axis" transform="translate({} {}) rotate({})" text-anchor="middle">{}</text>')
    parts.append(axis.format(left + side // 2, bottom + 40, 0, "how sure it says it is, %"))
    parts.append(axis.format(10, middle, -90, "how often it is right, %"))
    return drawing(
        "reliability", left + side + 12, bottom + 50, "How often it is right by how sure it says it is", parts
    )


def answering(
    rolled_up: Sequence[ThresholdPoint],
    species_alone: Sequence[ThresholdPoint],
    chosen: Place,
    chosen_alone: Place,
    asked: float,
) -> Markup:
    """How much of what is said is right (up) against how much is said (across), as it becomes less strict.

    ``chosen``: where each of the two stands, (answered, right). ``asked``: how much shall be right.
    """
    left, top, width, height = 44, 10, 300, 210
    bottom = top + height
    seen = [(one.answered, one.right) for one in (*rolled_up, *species_alone) if one.answered > 0]
    seen += [chosen, chosen_alone, (1.0, asked)]
    least_x, least_y = (min(math.floor(20 * min(side)) / 20, 0.95) for side in zip(*seen, strict=True))

    def place(answered: float, right: float) -> Place:
        return left + width * (answered - least_x) / (1 - least_x), bottom - height * (right - least_y) / (1 - least_y)

    tick = Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    parts = []
    for x_share in _ticks(least_x):
        x, _ = place(x_share, 1)
        parts.append(Markup('<path class="grid" d="M{:.1f} {}v{}"/>').format(x, top, height))
        parts.append(tick.format(x, bottom + 18, "middle", round(100 * x_share)))
    for y_share in _ticks(least_y):
        _, y = place(1, y_share)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}h{}"/>').format(left, y, width))
        parts.append(tick.format(left - 8, y + 4, "end", round(100 * y_share)))
    parts.append(Markup('<path class="ideal" d="M{} {:.1f}h{}"/>').format(left, place(1, asked)[1], width))
    for kind, points, stands in (("flat", species_alone, chosen_alone), ("family", rolled_up, chosen)):
        parts.append(line(kind, [place(one.answered, one.right) for one in points if one.answered > 0]))
        parts.append(_point(kind, place(*stands), 5))
    axis = Markup('<text class="axis" transform="translate({} {}) rotate({})" text-anchor="middle">{}</text>')
    parts.append(axis.format(left + width // 2, bottom + 40, 0, "photographs it answers, %"))
    parts.append(axis.format(10, top + height // 2, -90, "right among the answers, %"))
    label = "How much of what it says is right, by how much it says"
    return drawing("answering", left + width + 12, bottom + 50, label, parts)


def _ticks(least: float) -> list[float]:
    """From ``least`` to 1, at most six steps of a size that people count in."""
    step = next(size for size in (0.01, 0.02, 0.05, 0.1, 0.2) if (1 - least) / size <= 6 + 1e-9)
    return [round(1 - step * place, 2) for place in range(int((1 - least) / step + 1e-9) + 1)]


def curve(points: "Sequence[CurvePoint]", label: str) -> Markup:
    """Validation top-1 from 0 to 1 (strong), training and validation loss on a scale of their own (faint)."""
    width, height, edge = 200, 72, 3
    first, last = points[0].step, points[-1].step
    losses = [loss for point in points for loss in (point.train_loss, point.val_loss) if loss is not None]
    highest_loss = max(losses, default=0.0) or 1.0

    def of(kind: str, values: Sequence[float | None], highest: float) -> Markup:
        places = [
            (
                edge + (width - 2 * edge) * (point.step - first) / max(last - first, 1),
                height - edge - (height - 2 * edge) * min(value / highest, 1.0),
            )
            for point, value in zip(points, values, strict=True)
            if value is not None
        ]
        return line(kind, places) + (_point(kind, places[-1], 2.5) if places else "")

    grid = Markup('<path class="grid" d="M0 {}h{}M0 {}h{}M0 {}h{}"/>')
    parts = [
        grid.format(edge, width, height // 2, width, height - edge, width),
        of("train-loss", [point.train_loss for point in points], highest_loss),
        of("val-loss", [point.val_loss for point in points], highest_loss),
        of("val-top1", [point.val_top1 for point in points], 1.0),
    ]
    return drawing("curve", width, height, label, parts)


def drawing(kind: str, width: int, height: int, label: str, parts: Iterable[Markup]) -> Markup:
    frame = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(kind, width, height, label, Markup("").join(parts))


def line(kind: str, places: Sequence[Place]) -> Markup:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else ""
    return Markup('<path class="{} line" d="{}"/>').format(kind, path)


def _point(kind: str, place: Place, radius: float) -> Markup:
    return Markup('<circle class="{} point" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(kind, *place, radius)
