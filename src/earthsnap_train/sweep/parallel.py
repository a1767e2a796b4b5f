"""Parallel coordinates as inline SVG: an upright line for each thing that was varied or measured, a path for each job."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from earthsnap_train.spec.tuning import Choice, FloatRange, IntRange
from earthsnap_train.sweep.axes import Setting
from earthsnap_train.sweep.objectives import best_of
from earthsnap_train.sweep.record import Job, SweepRecord, done_figures
from earthsnap_train.sweep.table import short_names, state_of

TOP, BOTTOM, SIDE, GAP, HEIGHT = 44, 24, 70, 170, 300
NUM_SHADES = 6
NUM_TICKS = 5
LONGEST_LABEL = 24  # characters: what fits between two upright lines
MOST_WORDS = 12


@dataclass(frozen=True, kw_only=True)
class Scale:
    """``places``: from 0 at the foot to 1 at the top. ``ticks``: what is written where. ``better``: of an objective."""

    label: str
    better: str
    places: Mapping[int, float]
    ticks: Sequence[tuple[float, str]]


def parallel(record: SweepRecord) -> Markup:
    """Jobs with figures are shaded by the first objective, the best on top; others end where nothing is known of them."""
    scales = _scales(record)
    width = 2 * SIDE + GAP * (len(scales) - 1)
    parts = [_upright(scale, SIDE + GAP * at) for at, scale in enumerate(scales)]
    shades = _shades(record)
    best = best_of(done_figures(record), record.settings.directions)
    for job in sorted(record.jobs, key=lambda one: (one.number in best, shades.get(one.number, -1), -one.number)):
        kind = f"s{shades[job.number]}" if job.number in shades else "unknown"
        parts.append(_path(job, scales, f"{kind} best" if job.number in best else kind))
    parts += [_words(scale, SIDE + GAP * at) for at, scale in enumerate(scales)]  # last, so that no path covers them
    frame = Markup(
        '<svg class="parallel" viewBox="0 0 {} {}" style="min-width:{}px;max-width:{}px" role="img" aria-label="{}">{}</svg>'
    )
    label = "Jobs as paths across what was varied and what came of it; the table has the same figures"
    return frame.format(width, TOP + HEIGHT + BOTTOM, width * 2 // 3, width * 5 // 4, label, Markup("").join(parts))


def _scales(record: SweepRecord) -> list[Scale]:
    scales = []
    for axis, label in zip(record.axes, short_names(record.axes), strict=True):
        values = {job.number: job.values[axis.name] for job in record.jobs if axis.name in job.values}
        match axis.dimension:
            case Choice(of=words):
                scales.append(_by_words(label, values, [str(one) for one in words]))
            case FloatRange(low=low, high=high, log=log) | IntRange(low=low, high=high, log=log):
                scales.append(_by_numbers(label, values, low, high, is_log=log))
    for objective, direction in record.settings.directions.items():
        figures = {number: own[objective] for number, own in done_figures(record).items()}
        low, high = min(figures.values(), default=0.0), max(figures.values(), default=1.0)
        better = "more is better" if direction == "maximize" else "less is better"
        scales.append(_by_numbers(objective, figures, low, high, is_log=False, better=better))
    return scales


def _by_words(label: str, values: Mapping[int, Setting], words: Sequence[str]) -> Scale:
    heights = {word: (at / (len(words) - 1) if len(words) > 1 else 0.5) for at, word in enumerate(words)}
    every = math.ceil(len(words) / MOST_WORDS)
    return Scale(
        label=label,
        better="",
        places={number: heights[str(value)] for number, value in values.items()},
        ticks=[(heights[word], word) for word in words[::every]],
    )


def _by_numbers(
    label: str, values: Mapping[int, Setting], low: float, high: float, *, is_log: bool, better: str = ""
) -> Scale:
    if low == high:
        low, high = low - 0.5, high + 0.5
    bend, unbend = (math.log, math.exp) if is_log else (float, float)
    foot, span = bend(low), bend(high) - bend(low)
    return Scale(
        label=label,
        better=better,
        places={number: (bend(float(value)) - foot) / span for number, value in values.items()},
        ticks=[(at / (NUM_TICKS - 1), f"{unbend(foot + span * at / (NUM_TICKS - 1)):.3g}") for at in range(NUM_TICKS)],
    )


def _upright(scale: Scale, x: float) -> Markup:
    kind = "upright objective" if scale.better else "upright"
    return Markup('<path class="{}" d="M{} {}v{}"/>').format(kind, x, TOP, HEIGHT)


def _words(scale: Scale, x: float) -> Markup:
    label = scale.label if len(scale.label) <= LONGEST_LABEL else f"…{scale.label[1 - LONGEST_LABEL :]}"
    text = Markup('<text class="{}" x="{}" y="{:.1f}" text-anchor="{}">{}</text>')
    parts = [text.format("axis", x, TOP - 28, "middle", label)]
    if scale.better:
        parts.append(text.format("tick", x, TOP - 12, "middle", scale.better))
    parts += [text.format("tick", x - 8, _y(place) + 4, "end", told) for place, told in scale.ticks]
    return Markup("").join(parts)


def _path(job: Job, scales: Sequence[Scale], kind: str) -> Markup:
    places = [
        (SIDE + GAP * at, _y(scale.places[job.number])) for at, scale in enumerate(scales) if job.number in scale.places
    ]
    told = [f"job {job.number}", *(f"{name}={value}" for name, value in job.values.items())]
    told += [f"{name} {value:.4g}" for name, value in job.objectives.items()] or [state_of(job)]
    line = "M" + "L".join(f"{x} {y:.1f}" for x, y in places) if places else ""
    dots = Markup("").join(Markup('<circle cx="{}" cy="{:.1f}" r="3"/>').format(x, y) for x, y in places)
    return Markup('<g class="job {}"><title>{}</title><path d="{}"/>{}</g>').format(kind, ", ".join(told), line, dots)


def _y(place: float) -> float:
    return TOP + HEIGHT * (1 - place)


def _shades(record: SweepRecord) -> dict[int, int]:
    """0 (worst) to 5 by the first objective."""
    objective, direction = next(iter(record.settings.directions.items()))
    figures = {number: own[objective] for number, own in done_figures(record).items()}
    low, high = min(figures.values(), default=0.0), max(figures.values(), default=0.0)
    span = (high - low) or 1.0
    share = {number: (value - low) / span if high > low else 1.0 for number, value in figures.items()}
    best_first = {number: one if direction == "maximize" or high == low else 1 - one for number, one in share.items()}
    return {number: round((NUM_SHADES - 1) * one) for number, one in best_first.items()}
