"""Pairs of files that hold one photograph: scaled, cropped, recompressed, brightened or mirrored.

Sieves, each finer and dearer than the one before. Perceptual hashes say which pairs are worth a look (a XOR and a bit
count for each pair: seconds for 100,000 photographs); a coarse comparison keeps what is alike as a whole. What is left
is laid on each other by moving and stretching one of the two until they fit (Gauss-Newton, as Lucas and Kanade, "An
iterative image registration technique", 1981), and then only fine detail counts: two flowers of one species agree in
outline, but only two copies of one photograph agree in every vein.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from earthsnap_train.data.qa.facts import OUTLINE_PX

Floats = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

BLOCK: Final = 1024
# Where the sieves stand, by what they let through among the known pairs of 7,370 photographs of flowers.
LEAST_ALIKE: Final = 0.55  # correlation of 16 x 16 pixels as they lie; the least of a true pair (a crop) is 0.62
MOST_COMPARED: Final = 24  # pairs of one photograph, so that a thousand blank pictures are not a million pairs
# (outline reduced by, steps of alignment, least correlation then): the least of a true pair are 0.93 and 0.94.
SIEVES: Final = ((4, 3, 0.85), (2, 3, 0.88), (1, 8, 0.9))
# Of the stretching (1 is none) and moving (in half widths) that aligns one picture with the other.
WIDEST_STRETCH, FARTHEST_MOVE, LONGEST_STEP = 1.45, 0.35, 0.1
LEAST_SHARED: Final = 0.5  # of the area
UNMOVED: Final = (1.0, 0.0, 1.0, 0.0)


class Pair(NamedTuple):
    """Indices ``a`` < ``b``. ``difference``: 1 - correlation of fine detail, once aligned; 0 is the same photograph."""

    a: int
    b: int
    difference: float
    mirrored: bool


def near_pairs(
    hashes: npt.NDArray[np.uint64],
    mirrored_hashes: npt.NDArray[np.uint64],
    outlines: npt.NDArray[np.uint8],
    *,
    max_bits: int,
    max_difference: float,
) -> list[Pair]:
    """All pairs that differ in no more than ``max_bits`` of their hashes and ``max_difference`` of their detail.

    ``hashes``, ``mirrored_hashes``: [N]; ``outlines``: [N, 48, 48], as ``facts`` measures them.
    """
    if len(hashes) < 2:
        return []
    small = _normalised(_reduced(outlines, 3)).reshape(len(outlines), -1)
    found: dict[tuple[int, int], Pair] = {}
    for mirrored, others in ((False, hashes), (True, mirrored_hashes)):
        a, b, alike = _candidates(hashes, others, small, max_bits=max_bits, mirrored=mirrored)
        for at in _chunks(_most_alike(a, b, alike)):
            for pair in _same_detail(outlines, a[at], b[at], mirrored, max_difference):
                known = found.get((pair.a, pair.b))
                if known is None or pair.difference < known.difference:
                    found[pair.a, pair.b] = pair
    return sorted(found.values())


def _candidates(
    hashes: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64], small: Floats, *, max_bits: int, mirrored: bool
) -> tuple[Ints, Ints, Floats]:
    """Pairs a < b of near hashes that are alike at 16 x 16 pixels, and how much."""
    side = round(small.shape[1] ** 0.5)
    flipped = small.reshape(-1, side, side)[:, :, ::-1].reshape(small.shape) if mirrored else small
    parts: list[tuple[Ints, Ints, Floats]] = []
    for start in range(0, len(hashes), BLOCK):
        rows = hashes[start : start + BLOCK, None]
        for begin in range(start, len(hashes), 8 * BLOCK):
            near = np.bitwise_count(rows ^ others[None, begin : begin + 8 * BLOCK]) <= max_bits
            at, to = np.nonzero(near)
            a, b = at + start, to + begin
            a, b = a[a < b], b[a < b]
            alike = np.einsum("ij,ij->i", small[a], flipped[b]) / small.shape[1]
            keep = alike > LEAST_ALIKE
            parts.append((a[keep], b[keep], alike[keep]))
    a, b, alike = (np.concatenate(part) for part in zip(*parts, strict=True))
    return a, b, alike


def _most_alike(a: Ints, b: Ints, alike: Floats) -> Ints:
    """Indices of the pairs that are among the ``MOST_COMPARED`` most alike of either photograph."""
    keep = np.zeros(len(a), bool)
    for member in (a, b):
        order = np.lexsort((b, a, -alike, member))
        first = np.searchsorted(member[order], member[order])
        keep[order[np.arange(len(order)) - first < MOST_COMPARED]] = True
    return np.nonzero(keep)[0]


def _chunks(indices: Ints) -> Iterator[Ints]:
    for start in range(0, len(indices), BLOCK):
        yield indices[start : start + BLOCK]


def _same_detail(
    outlines: npt.NDArray[np.uint8], a: Ints, b: Ints, mirrored: bool, max_difference: float
) -> Iterator[Pair]:
    placed = np.tile(np.array(UNMOVED, np.float32), (len(a), 1))
    for reduced_by, num_steps, least in SIEVES:
        fixed = _normalised(_reduced(outlines[a], reduced_by))
        moving = _normalised(_reduced(outlines[b][:, :, ::-1] if mirrored else outlines[b], reduced_by))
        placed, fit = _align(fixed, moving, placed, num_steps=num_steps)
        good = fit > least
        a, b, placed = a[good], b[good], placed[good]
    detail = _correlation_of_detail(fixed[good], moving[good], placed)
    for at in np.nonzero(1 - detail <= max_difference)[0]:
        yield Pair(int(a[at]), int(b[at]), round(max(0.0, float(1 - detail[at])), 4), mirrored)


def _align(fixed: Floats, moving: Floats, start: Floats, *, num_steps: int) -> tuple[Floats, Floats]:
    """Stretches and moves ``moving`` [K, S, S] until it fits ``fixed`` [K, S, S], whatever their brightness and contrast.

    Returns the best place [K, 4] (stretch and move in x, stretch and move in y: from the coordinates of ``fixed``, -1
    to 1, to those of ``moving``) and the correlation there.
    """
    place, best, best_fit = start, start.copy(), np.full(len(start), -1.0, np.float32)
    for step in range(num_steps + 1):
        warped, in_x, in_y = _warped(moving, place)
        area = np.maximum(in_x.sum(axis=1) * in_y.sum(axis=1), 1)

        def total(pictures: Floats, in_x: Floats = in_x, in_y: Floats = in_y) -> Floats:
            return (in_y[:, None, :] @ pictures @ in_x[:, :, None])[:, 0, 0]

        mean_fixed, mean_warped = total(fixed) / area, total(warped) / area
        spread_fixed = total(fixed * fixed) / area - mean_fixed**2
        spread_warped = total(warped * warped) / area - mean_warped**2
        contrast = np.sqrt(np.maximum(spread_fixed, 1e-9) / np.maximum(spread_warped, 1e-9))
        fit = (total(fixed * warped) / area - mean_fixed * mean_warped) / np.maximum(spread_warped, 1e-9) / contrast
        fit[area < LEAST_SHARED * fixed.shape[1] * fixed.shape[2]] = -1
        better = fit > best_fit
        best[better], best_fit[better] = place[better], fit[better]
        if step < num_steps:
            error = fixed - contrast[:, None, None] * warped - (mean_fixed - contrast * mean_warped)[:, None, None]
            place = _moved(place, warped, error, contrast, in_x, in_y)
    return best, best_fit


def _moved(place: Floats, warped: Floats, error: Floats, contrast: Floats, in_x: Floats, in_y: Floats) -> Floats:
    """One Gauss-Newton step towards a smaller ``error``.

    Its four slopes are the picture's own in x and y, each plain and times its coordinate, so that all sums over pixels
    are sums over one axis first.
    """
    size = warped.shape[1]
    at = np.linspace(-1, 1, size, dtype=np.float32)
    plain_and_scaled = np.stack([at, np.ones_like(at)], axis=1)  # [S, 2]
    shared = in_y[:, :, None] * in_x[:, None, :]
    by_x, by_y = np.gradient(warped, axis=2) * shared, np.gradient(warped, axis=1) * shared
    quadratic = np.stack([at * at, at, np.ones_like(at)], axis=1)
    xx, yy = np.square(by_x).sum(axis=1) @ quadratic, np.square(by_y).sum(axis=2) @ quadratic
    yx = plain_and_scaled.T @ (by_x * by_y) @ plain_and_scaled  # [K, 2 of y, 2 of x]
    means = np.concatenate([by_x.sum(axis=1) @ plain_and_scaled, by_y.sum(axis=2) @ plain_and_scaled], axis=1)
    normal = np.empty((len(place), 4, 4), np.float32)
    normal[:, :2, :2] = xx[:, [[0, 1], [1, 2]]]
    normal[:, 2:, 2:] = yy[:, [[0, 1], [1, 2]]]
    normal[:, 2:, :2] = yx
    normal[:, :2, 2:] = yx.transpose(0, 2, 1)
    normal -= means[:, :, None] * means[:, None, :] / shared.sum(axis=(1, 2))[:, None, None].clip(1)
    towards = np.concatenate(
        [(by_x * error).sum(axis=1) @ plain_and_scaled, (by_y * error).sum(axis=2) @ plain_and_scaled], axis=1
    )
    scale = contrast * (size - 1) / 2
    normal *= np.square(scale)[:, None, None]
    normal += 1e-3 * np.eye(4, dtype=np.float32)  # flat pictures have no slope at all
    step = np.linalg.solve(normal, (towards * scale[:, None])[..., None])[..., 0]
    moved = place + np.clip(step, -LONGEST_STEP, LONGEST_STEP)
    moved[:, ::2] = np.clip(moved[:, ::2], 1 / WIDEST_STRETCH, WIDEST_STRETCH)
    moved[:, 1::2] = np.clip(moved[:, 1::2], -FARTHEST_MOVE, FARTHEST_MOVE)
    return np.asarray(moved, np.float32)


def _warped(moving: Floats, place: Floats) -> tuple[Floats, Floats, Floats]:
    """``moving`` as it lies on the fixed picture, and which columns [K, S] and rows [K, S] of that it covers."""
    at = np.linspace(-1, 1, moving.shape[1], dtype=np.float32)
    x, y = place[:, 0:1] * at + place[:, 1:2], place[:, 2:3] * at + place[:, 3:4]
    return _sampled(moving, x, y), (np.abs(x) <= 1).astype(np.float32), (np.abs(y) <= 1).astype(np.float32)


def _correlation_of_detail(fixed: Floats, moving: Floats, place: Floats) -> Floats:
    """Of what each pixel differs from the 3 x 3 around it, where the two pictures share it."""
    warped, in_x, in_y = _warped(moving, place)
    shared = in_y[:, :, None] * in_x[:, None, :]
    left, right = _detail(fixed) * shared, _detail(warped) * shared
    both = np.square(left).sum(axis=(1, 2)) * np.square(right).sum(axis=(1, 2))
    correlation: Floats = (left * right).sum(axis=(1, 2)) / (np.sqrt(both) + 1e-9)
    return correlation


def _sampled(pictures: Floats, x: Floats, y: Floats) -> Floats:
    """``pictures`` [K, S, S] at columns ``x`` [K, S] and rows ``y`` [K, S] of -1 to 1, linear between pixels."""
    size = pictures.shape[1]
    every = np.arange(len(pictures))[:, None]

    def along(axis_at: Floats) -> tuple[Ints, Floats]:
        pixel = (axis_at + 1) * ((size - 1) / 2)
        low = np.clip(np.floor(pixel).astype(np.int64), 0, size - 2)
        return low, np.clip(pixel - low, 0, 1)[:, :, None].astype(np.float32)

    low, share = along(y)
    rows = pictures[every, low] * (1 - share) + pictures[every, low + 1] * share
    columns = np.ascontiguousarray(rows.transpose(0, 2, 1))
    low, share = along(x)
    sampled: Floats = columns[every, low] * (1 - share) + columns[every, low + 1] * share
    return sampled.transpose(0, 2, 1)


def _detail(pictures: Floats) -> Floats:
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    detail: Floats = pictures - (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return detail


def _reduced(pictures: npt.NDArray[Any], by: int) -> Floats:
    """Means of ``by`` x ``by`` pixels."""
    total = np.zeros((len(pictures), pictures.shape[1] // by, pictures.shape[2] // by), np.float32)
    for row in range(by):
        for column in range(by):
            total += pictures[:, row::by, column::by]
    return total / by**2


def _normalised(pictures: Floats) -> Floats:
    """Of mean 0 and standard deviation 1; a flat picture of both 0."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    normalised: Floats = centred / (centred.std(axis=(1, 2), keepdims=True) + 1e-6)
    return normalised


assert OUTLINE_PX % 12 == 0, "outlines are reduced by 2, 3 and 4"
