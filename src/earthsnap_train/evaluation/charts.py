"""Small drawings as inline SVG. Colours come from the page's CSS variables, so that they follow light and dark."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from earthsnap_train.evaluation.metrics import ReliabilityBin

if TYPE_CHECKING:
    from earthsnap_train.evaluation.report import CurvePoint

CELL_PX = 12


def waffle(right: int, misnamed: int, misrouted: int, label: str) -> Markup:
    """A hundred marks, ten by ten: dots are right, rings are misnamed, crosses misrouted. Shape says it without colour."""
    kinds = ["right"] * right + ["misnamed"] * misnamed + ["misrouted"] * misrouted
    marks = "".join(
        _mark(kind, place % 10 * CELL_PX + CELL_PX / 2, place // 10 * CELL_PX + CELL_PX / 2)
        for place, kind in enumerate(kinds)
    )
    side = 10 * CELL_PX
    drawing = Markup('<svg class="waffle" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return drawing.format(side, side, label, Markup(marks))


def _mark(kind: str, x: float, y: float) -> str:
    if kind == "right":
        return f'<circle class="right" cx="{x:g}" cy="{y:g}" r="4"/>'
    if kind == "misnamed":
        return f'<circle class="misnamed" cx="{x:g}" cy="{y:g}" r="3.3"/>'
    return f'<path class="misrouted" d="M{x - 3:g} {y - 3:g}l6 6m0-6l-6 6"/>'


def legend_mark(kind: str) -> Markup:
    return Markup('<svg class="mark" viewBox="0 0 12 12" aria-hidden="true">{}</svg>').format(Markup(_mark(kind, 6, 6)))


def reliability(family: Sequence[ReliabilityBin], flat: Sequence[ReliabilityBin] | None) -> Markup:
    """How often answers of like certainty were right (up) against how certain they claimed to be (across)."""
    left, top, side = 44, 10, 300

    def at(share_x: float, share_y: float) -> tuple[float, float]:
        return left + side * share_x, top + side * (1 - share_y)

    parts = []
    for tenth in range(0, 11, 2):
        (x, _), (_, y) = at(tenth / 10, 0), at(0, tenth / 10)
        parts.append(f'<path class="grid" d="M{left} {y:g}h{side}M{x:g} {top}v{side}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:g}" text-anchor="end">{tenth * 10}</text>')
        parts.append(f'<text class="tick" x="{x:g}" y="{top + side + 18}" text-anchor="middle">{tenth * 10}</text>')
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(f'<path class="ideal" d="M{x0:g} {y0:g}L{x1:g} {y1:g}"/>')
    for kind, bins in (("flat", flat), ("family", family)):
        places = [at(one.confidence, one.right) for one in bins or ()]
        parts.append(f'<path class="{kind} line" d="{_path(places)}"/>')
        parts += [f'<circle class="{kind} point" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in places]
    parts.append(
        f'<text class="axis" x="{left + side / 2}" y="{top + side + 40}" text-anchor="middle">how sure it says it is, %</text>'
    )
    middle = top + side / 2
    parts.append(
        f'<text class="axis" transform="rotate(-90 10 {middle})" x="10" y="{middle}" text-anchor="middle">how often it is right, %</text>'
    )
    return Markup(
        '<svg class="reliability" viewBox="0 0 356 360" role="img" aria-label="Reliability diagram">{}</svg>'
    ).format(Markup("".join(parts)))


def curve(points: "Sequence[CurvePoint]", label: str) -> Markup:
    """Validation top-1 from 0 to 1 (strong), training and validation loss on a scale of their own (faint)."""
    width, height = 200.0, 72.0
    steps = [point.step for point in points]
    span = max(steps[-1] - steps[0], 1) if steps else 1
    losses = [loss for point in points for loss in (point.train_loss, point.val_loss) if loss is not None]
    highest = max(losses, default=1.0) or 1.0

    def line(kind: str, values: Sequence[float | None], most: float) -> str:
        places = [
            (3 + (width - 6) * (step - steps[0]) / span, 3 + (height - 6) * (1 - min(value / most, 1)))
            for step, value in zip(steps, values, strict=True)
            if value is not None
        ]
        dot = (
            f'<circle class="{kind} point" cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="2.5"/>'
            if places
            else ""
        )
        return f'<path class="{kind} line" d="{_path(places)}"/>{dot}'

    parts = [
        f'<path class="grid" d="M0 3H{width:g}M0 {height / 2:g}H{width:g}M0 {height - 3:g}H{width:g}"/>',
        line("train-loss", [point.train_loss for point in points], highest),
        line("val-loss", [point.val_loss for point in points], highest),
        line("val-top1", [point.val_top1 for point in points], 1.0),
    ]
    drawing = Markup('<svg class="curve" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>')
    return drawing.format(width, height, label, Markup("".join(parts)))


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else ""
