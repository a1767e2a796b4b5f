"""Drawings of a search as inline SVG: how it went, and which settings went together with what came of them."""

import math
from collections.abc import Callable

from markupsafe import Markup

from earthsnap_train.evaluation.charts import Place, drawing, line
from earthsnap_train.evaluation.search_panel import SearchPanel, TrialRow
from earthsnap_train.spec.tuning import Choice, Dimension, Value

Scale = Callable[[float], float]
"""A value -> 0 (worst) to 1 (best)."""

MARKS = {
    "complete": Markup('<circle class="complete" cx="{:.1f}" cy="{:.1f}" r="3.4"/>'),
    "pruned": Markup('<circle class="pruned" cx="{:.1f}" cy="{:.1f}" r="3"/>'),
    "failed": Markup('<path class="failed" transform="translate({:.1f} {:.1f})" d="M-3-3l6 6m0-6l-6 6"/>'),
}


def legend_mark(state: str) -> Markup:
    return Markup('<svg class="mark" viewBox="0 0 12 12" aria-hidden="true">{}</svg>').format(MARKS[state].format(6, 6))


def history(panel: SearchPanel) -> Markup:
    """Trials by number across, better up; the line is the best so far."""
    width, height, edge = 460, 180, 8
    scale = _scale(panel)
    last = max((trial.number for trial in panel.trials), default=0)

    def place(trial: TrialRow) -> Place:
        up = 0.0 if trial.value is None else scale(trial.value)
        return edge + (width - 2 * edge) * trial.number / max(last, 1), height - edge - (height - 2 * edge) * up

    best: list[Place] = []
    for trial in panel.trials:
        if trial.state == "complete":
            x, y = place(trial)
            best.append((x, min([y, *(before for _, before in best)])))
    stairs = [step for at, (x, y) in enumerate(best) for step in ([(x, best[at - 1][1])] if at else []) + [(x, y)]]
    grid = Markup('<path class="grid" d="M0 {}h{}M0 {}h{}"/>').format(edge, width, height - edge, width)
    parts = [grid, line("best", stairs), *(MARKS[trial.state].format(*place(trial)) for trial in panel.trials)]
    return drawing("history", width, height, f"Trials of {panel.name} in their order, better ones higher", parts)


def parallel(panel: SearchPanel) -> Markup:
    """An upright axis for each setting and one for what came of it; a line is a trial. The best stands out."""
    width, height, edge, top = 460, 180, 34, 22
    keys = [key for key in panel.space if any(key in trial.params for trial in panel.trials)]
    scale = _scale(panel)
    bottom = height - 10

    def across(axis: int) -> float:
        return edge + (width - 2 * edge) * axis / max(len(keys), 1)

    def path(trial: TrialRow) -> list[Place]:
        heights = [
            (axis, _share(panel.space[key], trial.params[key])) for axis, key in enumerate(keys) if key in trial.params
        ]
        if trial.value is not None:
            heights.append((len(keys), scale(trial.value)))
        return [(across(axis), bottom - (bottom - top) * share) for axis, share in heights]

    parts = []
    for axis, name in enumerate([*keys, panel.objective]):
        parts.append(Markup('<path class="grid" d="M{:.1f} {}V{}"/>').format(across(axis), top, bottom))
        parts.append(
            Markup('<text class="tick" x="{:.1f}" y="12" text-anchor="middle">{}</text>').format(across(axis), name)
        )
    # The best is drawn last, over all others.
    order = sorted(panel.trials, key=lambda one: (one.number == panel.best, one.state == "complete"))
    parts += [line("best" if trial.number == panel.best else trial.state, path(trial)) for trial in order]
    return drawing("parallel", width, height, f"Settings of the trials of {panel.name}", parts)


def _scale(panel: SearchPanel) -> Scale:
    """Losses by their logarithm: one trial that went wrong leaves the others apart."""
    is_loss = panel.objective == "val_loss"
    values = [trial.value for trial in panel.trials if trial.value is not None]

    def plain(value: float) -> float:
        return -math.log(max(value, 1e-9)) if is_loss else value

    low, high = min(map(plain, values), default=0.0), max(map(plain, values), default=1.0)
    return lambda value: (plain(value) - low) / (high - low) if high > low else 0.5


def _share(dimension: Dimension, value: Value) -> float:
    """Where on its axis a value lies."""
    if isinstance(dimension, Choice):
        return dimension.of.index(value) / max(len(dimension.of) - 1, 1)
    assert isinstance(value, int | float)
    if dimension.log:
        return math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
    return (value - dimension.low) / (dimension.high - dimension.low)
