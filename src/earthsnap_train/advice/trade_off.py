"""The picture of a choice: what each grouping would name right (up) against what it costs to change one (across)."""

import math

from markupsafe import Markup

from earthsnap_train.advice.figures import Advice, GroupingFigures
from earthsnap_train.evaluation.charts import drawing

LEFT, TOP, WIDTH, HEIGHT, RIGHT, BOTTOM = 52, 14, 560, 250, 120, 46
LEAST_GAP = 14  # between two names
LETTER_PX = 8  # of a name, generously
TICKS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)


def trade_off(advice: Advice) -> Markup:
    """Across on a scale of logarithms; the dashed line is one flat head. Each grouping with the interval of its top-1."""
    estimates = [advice.flat, *(one.top1 for one in advice.groupings)]
    low = math.floor(100 * min(one.low for one in estimates)) / 100
    high = math.ceil(100 * max(one.high for one in estimates)) / 100
    least = min(one.child_share for one in advice.groupings) / 1.3
    most = min(1.0, max(one.child_share for one in advice.groupings) * 1.5)

    def across(share: float) -> float:
        return LEFT + WIDTH * math.log(share / least) / math.log(most / least)

    def up(top1: float) -> float:
        return TOP + HEIGHT * (high - top1) / (high - low)

    parts: list[Markup] = []
    step = 0.01 if high - low <= 0.06 else 0.02 if high - low <= 0.12 else 0.05 if high - low <= 0.3 else 0.1
    for number in range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1):
        y = up(number * step)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}h{}"/>').format(LEFT, y, WIDTH))
        parts.append(_text("tick", LEFT - 8, y + 4, "end", f"{100 * number * step:.0f}"))
    parts += [
        _text("tick", across(share), TOP + HEIGHT + 18, "middle", f"{100 * share:.0f}")
        for share in TICKS
        if least <= share <= most
    ]
    flat = up(advice.flat.value)
    parts.append(Markup('<path class="ideal" d="M{} {:.1f}h{}"/>').format(LEFT, flat, WIDTH))
    parts.append(_text("axis", LEFT + WIDTH // 2, TOP + HEIGHT + 40, "middle", "% of photographs taught again"))
    upright = Markup('<text class="axis" transform="translate({} {}) rotate(-90)" text-anchor="middle">{}</text>')
    parts.append(upright.format(12, TOP + HEIGHT // 2, "named right, %"))
    places = {one.name: (across(one.child_share), up(one.top1.value)) for one in advice.groupings}
    taken = [(x - 8, x + 8, y) for x, y in places.values()]
    for one in sorted(advice.groupings, key=lambda one: one.is_best):  # the best lies above all others
        parts.append(_mark(one, *places[one.name], up(one.top1.low), up(one.top1.high)))
    for one in sorted(advice.groupings, key=lambda one: not one.is_best):  # and chooses first where its name stands
        parts.append(_label(one, *places[one.name], taken))
    label = (
        "Expected top-1 of each grouping against the share of photographs from which a changed group is taught again"
    )
    return drawing("tradeoff", LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, label, parts)


def _mark(one: GroupingFigures, x: float, y: float, y_low: float, y_high: float) -> Markup:
    whisker = Markup('<path class="whisker" d="M{0:.1f} {1:.1f}V{2:.1f}"/>').format(x, y_low, y_high)
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(x, y, 7 if one.is_best else 5)
    kind = "proposal best" if one.is_best else "proposal"
    return Markup('<g class="{}">{}{}</g>').format(kind, whisker, dot)


def _label(one: GroupingFigures, x: float, y: float, taken: list[tuple[float, float, float]]) -> Markup:
    """Beside its dot, and moved up or down until no dot and no other name is in the way; a line then leads to it.

    ``taken``: from where to where across, and how far down.
    """
    left, right = x + 12, x + 12 + LETTER_PX * len(one.name)

    def is_free(place: float) -> bool:
        return all(abs(place - other) >= LEAST_GAP or right < begin or end < left for begin, end, other in taken)

    # Its own dot lies to the left of its name.
    offsets = [sign * LEAST_GAP * number for number in range(len(taken) + 1) for sign in (1, -1)]
    place = next(y + offset for offset in offsets if is_free(y + offset))
    taken.append((left, right, place))
    lead = Markup('<path class="whisker" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(x, y, left - 2, place)
    name = _text("name best" if one.is_best else "name", left, place + 4, "start", one.name)
    return name if place == y else lead + name


def _text(kind: str, x: float, y: float, anchor: str, text: str) -> Markup:
    frame = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return frame.format(kind, x, y, anchor, text)
