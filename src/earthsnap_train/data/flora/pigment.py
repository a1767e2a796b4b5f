"""Colours and the patterns that they make on petals and leaves. All colours are linear rgb.

Every species flowers in every colour: what a species has of its own is the pattern, drawn in whatever colours the
plant at hand has.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.data.flora.species import Pattern
from earthsnap_train.data.flora.surface import Array, Cut, Mask, Material, array

_MORPHS = (
    "fbf7f0", "fff3d6", "ffe14d", "ffc21f", "ff9433", "f4653c", "d92b2f", "b3163f", "f7a8c4", "ee6ba6",
    "d0388f", "b76bd6", "8044bf", "5a4fcf", "4a78e0", "8fb6f2", "f9c9b0", "f0e8ff",
)  # fmt: skip
_DARKS = ("3a0b1e", "4b1010", "2b1240", "1d1a3d", "5c1a10", "40102f")
_CENTRES = ("e8b21c", "f3d34a", "7a4a18", "3b2413", "8aa32e", "c46a1b", "4a1d2b")
_GREENS = ("4f7d33", "3f6f3a", "6b8f3c", "5c8a5a", "7a9350", "40663f")


def linear(hexadecimal: str) -> Array:
    """An sRGB colour like ``ffc21f`` as linear light."""
    channels = [int(hexadecimal[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return np.array(channels, np.float32) ** np.float32(2.2)


def _luminance(rgb_3: Array) -> float:
    return float(rgb_3 @ np.array([0.25, 0.65, 0.1], np.float32))


@dataclass(frozen=True, kw_only=True)
class Colours:
    """What one plant is coloured with; ``marking`` stands out from ``petal``, boldly or faintly."""

    petal: Array
    throat: Array
    marking: Array
    centre: Array
    leaf: Array
    stem: Array


def colours_of(random: np.random.Generator) -> Colours:
    petal = linear(random.choice(_MORPHS)) * random.uniform(0.85, 1.0, 3).astype(np.float32)
    # A marking is far darker on pale petals, and dark or much paler on rich ones.
    pale = _luminance(petal) > 0.35
    if pale and random.random() < 0.5:
        choices = [linear(c) for c in _MORPHS if abs(_luminance(linear(c)) - _luminance(petal)) > 0.33]
        marking = choices[random.integers(len(choices))]
    elif pale or random.random() < 0.45:
        marking = linear(random.choice(_DARKS))
    else:
        choices = [linear(c) for c in _MORPHS if _luminance(linear(c)) - _luminance(petal) > 0.3]
        marking = choices[random.integers(len(choices))]
    # Some plants are marked boldly, some faintly.
    marking = petal + (marking - petal) * np.float32(random.uniform(0.5, 1.0))
    leaf = linear(random.choice(_GREENS)) * random.uniform(0.75, 1.15)
    return Colours(
        petal=petal,
        throat=petal * 0.5 + 0.5 * linear(random.choice(["f6f2c8", "d6e08a", "ffffff", "f2d95c"])),
        marking=marking,
        centre=linear(random.choice(_CENTRES)),
        leaf=leaf.astype(np.float32),
        stem=(leaf * np.array([1.15, 1.0, 0.8]) * random.uniform(0.75, 1.05)).astype(np.float32),
    )


def smooth(low: float, high: float, x: Array) -> Array:
    """0 below ``low``, 1 above ``high`` (or the other way round), smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return array(t * t * (3 - 2 * t))


def scatter(x: Array, y: Array | float, salt: Array | float) -> Array:
    """A fixed random number in 0..1 for every place: the same place has the same number in every picture."""
    mixed = np.sin(x * 127.1 + y * 311.7 + salt * 74.7) * np.float32(43758.547)
    return array(mixed - np.floor(mixed))


def marking(pattern: Pattern, u: Array, v: Array, copy: NDArray[np.int32], ratio: float, amount: float) -> Array:
    """How much of the marking's colour each point of a petal takes. ``ratio``: length by width; ``amount`` about 1."""
    if pattern == "eye":
        return smooth(0.46, 0.36, u - 0.05 * amount + 0.06 * np.sin(7 * v + copy))
    if pattern == "band":
        return smooth(0.40, 0.46, u) * smooth(0.72, 0.66, u + 0.04 * np.sin(5 * v + copy))
    if pattern == "tipped":
        return smooth(0.66, 0.80, u + 0.05 * np.sin(6 * v + copy) - 0.06 * np.abs(v))
    if pattern == "stripe":
        return smooth(0.36 * amount, 0.20 * amount, np.abs(v)) * smooth(1.0, 0.86, u)
    if pattern == "picotee":
        return np.maximum(smooth(0.62, 0.78, np.abs(v)), smooth(0.84, 0.92, u)) * smooth(0.05, 0.3, u)
    if pattern == "veins":
        fan = v * 3.0
        line = np.abs(fan - np.round(fan))
        return smooth(0.24 * amount, 0.08, line) * smooth(0.02, 0.15, u) * smooth(0.98, 0.8, u) * 0.95
    if pattern == "spots":
        return _spots(u, v, copy, ratio, amount)
    return np.zeros_like(u)


def _spots(u: Array, v: Array, copy: NDArray[np.int32], ratio: float, amount: float) -> Array:
    across = 3.4
    x, y = u * across * max(0.8, min(ratio, 3.0)) * 1.15, (v + 1) * 0.5 * across
    column, row = np.floor(x), np.floor(y)
    salt = (copy % 7).astype(np.float32)
    away = np.hypot(
        x - column - 0.3 - 0.4 * scatter(column, row, salt), y - row - 0.3 - 0.4 * scatter(row, column, salt + 3)
    )
    size = (0.26 + 0.12 * scatter(column + 5, row, salt)) * amount
    present = scatter(column, row + 9, salt) < 0.85
    return smooth(0.08, -0.08, away - size) * present * smooth(0.08, 0.2, u) * smooth(0.95, 0.82, u)


def petal(colours: Colours, pattern: Pattern, *, ratio: float, amount: float, grain: float = 6.0) -> Material:
    """A petal that pales towards its base, finely veined, with the species' marking."""

    def material(u: Array, v: Array, copy: NDArray[np.int32]) -> Array:
        base = smooth(0.38, 0.0, u)[:, None]
        rgb = colours.petal + (colours.throat - colours.petal) * base
        ribs = 1 - 0.10 * smooth(0.3, 0.0, np.abs(np.sin(v * grain * 1.6))) - 0.12 * smooth(0.10, 0.0, np.abs(v))
        tone = 0.92 + 0.16 * scatter(array(copy), 1.0, 2.0)
        rgb = rgb * (ribs * tone)[:, None]
        mark = marking(pattern, u, v, copy, ratio, amount)[:, None]
        return np.asarray(rgb + (colours.marking - rgb) * mark, np.float32)

    return material


def plain(rgb_3: Array, *, tip_3: Array | None = None, mottle: float = 0.15) -> Material:
    """One colour (or a run from one to another), a little uneven."""
    end = rgb_3 if tip_3 is None else tip_3

    def material(u: Array, v: Array, copy: NDArray[np.int32]) -> Array:
        uneven = 1 + mottle * np.sin(u * 23 + np.sin(v * 9 + copy) * 2)
        return np.asarray((rgb_3 + (end - rgb_3) * u[:, None]) * uneven[:, None], np.float32)

    return material


def seeds(colours: Colours, *, rings: float) -> Material:
    """The disc of a daisy: florets along two families of spirals, darker in the middle."""
    dark = colours.centre * np.float32(0.35)

    def material(u: Array, v: Array, copy: NDArray[np.int32]) -> Array:
        turn = v * np.pi
        floret = np.sin(8 * turn + rings * 6 * u) * np.sin(13 * turn - rings * 6 * u)
        light = 0.5 + 0.5 * floret
        heart = 0.55 + 0.45 * smooth(0.15, 0.55, u)
        return np.asarray((dark + (colours.centre - dark) * light[:, None]) * heart[:, None], np.float32)

    return material


def leaf(colours: Colours, *, veins: float, parallel: bool) -> Material:
    """A leaf with a pale midrib and side veins, or the parallel veins of a strap."""

    def material(u: Array, v: Array, copy: NDArray[np.int32]) -> Array:
        side = np.abs(np.sin(v * 9)) if parallel else np.abs(np.sin((u * veins - np.abs(v) * 1.1) * np.pi))
        pale = 0.55 * smooth(0.09, 0.02, np.abs(v)) * (not parallel) + 0.22 * smooth(0.25, 0.0, side)
        tone = 0.85 + 0.3 * scatter(array(copy), 4.0, 5.0)
        rgb = colours.leaf * tone[:, None] * (0.85 + 0.25 * u)[:, None]
        light = np.array([0.62, 0.72, 0.38], np.float32)
        return np.asarray(rgb + (light - rgb) * (0.5 * pale)[:, None], np.float32)

    return material


def teeth(number: float, depth: float) -> Cut:
    """Saw teeth that point to the tip, or, when few and deep, lobes."""

    def cut(u: Array, v: Array) -> Mask:
        saw = (u * number - np.abs(v) * (0.4 if depth > 0.4 else 0.0)) % 1.0
        notch = np.where(saw > 0.5, 2 * saw - 1, 1 - 2 * saw) if depth > 0.4 else saw
        return np.asarray(np.abs(v) < 1 - depth * (1 - notch) * (u > 0.04) * (u < 0.97), np.bool_)

    return cut


def notch(depth: float) -> Cut:
    """A petal's heart-shaped tip."""

    def cut(u: Array, v: Array) -> Mask:
        return np.asarray(u < 1 - depth * np.maximum(0, 1 - np.abs(v) / 0.55), np.bool_)

    return cut


def fringe(number: int, depth: float) -> Cut:
    """A tip that is cut into teeth."""

    def cut(u: Array, v: Array) -> Mask:
        wave = np.abs((v * 0.5 + 0.5) * number % 1.0 - 0.5) * 2
        return np.asarray(u < 1 - depth * wave - 0.02 * np.ones_like(v), np.bool_)

    return cut
