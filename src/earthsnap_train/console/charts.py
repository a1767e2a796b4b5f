"""Small drawings as inline SVG; their colours are the stylesheet's, for the page allows no style of its own."""

from collections.abc import Sequence

from markupsafe import Markup

from earthsnap_train.evaluation.figures import Estimate

NARROWEST = 0.02
"""Shares that a sparkline spans at least, so that a wobble of a tenth of a point does not look like a cliff."""


def sparkline(shares: Sequence[float], live: int | None, label: str) -> Markup:
    """One point a release, oldest first. ``live``: the place of the one that is live."""
    width, height, edge = 132, 34, 4
    low, high = min(shares), max(shares)
    if high - low < NARROWEST:
        low, high = (low + high - NARROWEST) / 2, (low + high + NARROWEST) / 2
    across = (width - 2 * edge) / max(len(shares) - 1, 1)
    places = [
        (edge + across * at, height - edge - (height - 2 * edge) * (share - low) / (high - low))
        for at, share in enumerate(shares)
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = [Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="2.4"/>').format(*places[-1])]
    if live is not None:
        dots.append(Markup('<circle class="live" cx="{:.1f}" cy="{:.1f}" r="3.6"/>').format(*places[live]))
    return Markup(
        '<svg class="sparkline" viewBox="0 0 {} {}" role="img" aria-label="{}"><path d="{}"/>{}</svg>'
    ).format(width, height, label, line, Markup("").join(dots))


def change(minus: Estimate, reach: float) -> Markup:
    """A difference with its interval, on an axis from -reach to +reach; the line in the middle is no difference."""
    width, height = 160, 14
    middle = width / 2

    def across(value: float) -> float:
        return middle + middle * max(-1.0, min(1.0, value / reach))

    left, right = across(minus.low), across(minus.high)
    return Markup(
        '<svg class="change" viewBox="0 0 {w} {h}" aria-hidden="true"><path class="zero" d="M{m} 0V{h}"/>'
        '<rect class="range" x="{x:.1f}" y="4" width="{range:.1f}" height="6" rx="2"/>'
        '<rect class="value" x="{v:.1f}" y="1" width="4" height="12" rx="2"/></svg>'
    ).format(w=width, h=height, m=middle, x=left, range=max(right - left, 1.0), v=across(minus.value) - 2)
