"""From surfaces to a picture: every patch is sampled finer than the pixels, and the nearest sample wins.

Light is worked out at the patches' knots and interpolated, colour at the visible pixels alone; a shadow map made of
the same samples, seen from the light, says which of them the sun reaches.
Shape legend as in ``surface``; ``C`` channels, ``H W`` pixels of the (supersampled) picture, ``M`` visible pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.data.flora.surface import Array, Piece, array, knots

_DEEPEST, _NEAREST = -8.0, 8.0
_DEPTH_LEVELS = 1 << 20
_LEVELS_PER_UNIT = _DEPTH_LEVELS / (_NEAREST - _DEEPEST)
_SHADOW_PX = 112
_MAX_SAMPLES = 800


@dataclass(frozen=True, kw_only=True)
class Camera:
    """``turn_33`` takes the world to the view (x right, y up, z to the viewer); ``zoom``: half heights per unit."""

    turn_33: Array
    target_3: Array
    zoom: float
    centre: tuple[float, float]
    perspective: float


@dataclass(frozen=True, kw_only=True)
class Light:
    """``towards_3``: unit vector to the sun in the view's frame; colours are linear rgb; ``softness`` of shadows 0..1."""

    towards_3: Array
    sun_3: Array
    sky_3: Array
    ground_3: Array
    softness: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Linear rgb, premultiplied by ``cover_HW`` (0 or 1 a sample); depth grows towards the viewer."""

    rgb_HW3: Array
    cover_HW: Array
    depth_HW: Array


@lru_cache(maxsize=512)
def _spline(num_points: int, num_knots: int) -> Array:
    """The matrix that interpolates between knots (Catmull and Rom's spline; linear where there are two)."""
    t = np.linspace(0, num_knots - 1, num_points)
    left = np.minimum(t.astype(int), num_knots - 2)
    f = t - left
    if num_knots == 2:
        weights, first = np.stack([1 - f, f], axis=1), 0
    else:
        weights = np.stack(
            [
                -0.5 * f + f**2 - 0.5 * f**3,
                1 - 2.5 * f**2 + 1.5 * f**3,
                0.5 * f + 2 * f**2 - 1.5 * f**3,
                -0.5 * f**2 + 0.5 * f**3,
            ],
            axis=1,
        )
        first = -1
    matrix = np.zeros((num_points, num_knots))
    for column in range(weights.shape[1]):
        np.add.at(matrix, (np.arange(num_points), np.clip(left + first + column, 0, num_knots - 1)), weights[:, column])
    return matrix.astype(np.float32)


def _length(*components: Array) -> Array:
    return np.asarray(np.sqrt(sum(component * component for component in components)), np.float32)


def _normals(mesh_AB3: Array) -> Array:
    """Unit normals, [3, A * B]."""
    mesh = mesh_AB3.transpose(2, 0, 1)
    (ux, uy, uz), (vx, vy, vz) = np.gradient(mesh, axis=1), np.gradient(mesh, axis=2)
    normal = np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx]).reshape(3, -1)
    return np.asarray(normal / (_length(*normal) + np.float32(1e-12)), np.float32)


def _sample_count(steps_px: Array, num_knots: int) -> int:
    """Points that leave no pixel out, given the longest step between knots; a multiple of 4, so that few
    interpolation matrices serve all."""
    return int(min(_MAX_SAMPLES, 4 * np.ceil((0.9 * float(steps_px.max()) * (num_knots - 1) + 2) / 4)))


@dataclass(frozen=True, kw_only=True)
class _Samples:
    """One piece's samples: ``u_U`` by ``v_V`` of each of the ``copies`` that reach into the picture.

    Rows of ``values_CS``: screen x, y and depth; light from the sky, light from the sun, gleam. ``shadow_3T``: a
    coarser set of the same points in the sun's frame, for the shadow map.
    """

    piece: Piece
    copies: NDArray[np.int64]
    values_CS: Array
    shadow_3T: Array
    u_U: Array
    v_V: Array


def _dense(values_CNAB: Array, num_u: int, num_v: int) -> Array:
    """Interpolated between the knots: [C, N, num_u, num_v]."""
    a, b = values_CNAB.shape[2:]
    return np.asarray(_spline(num_u, a) @ (values_CNAB @ _spline(num_v, b).T), np.float32)


def _sampled(piece: Piece, camera: Camera, light: Light, sun_33: Array, size_px: int, reach: float) -> _Samples:
    turn = camera.turn_33 @ piece.turn_N33
    shift = (piece.shift_N3 - camera.target_3) @ camera.turn_33.T
    a, b = piece.mesh_AB3.shape[:2]
    size = _length(turn[:, 0, 0], turn[:, 1, 0], turn[:, 2, 0])
    position = (turn @ piece.mesh_AB3.reshape(-1, 3).T + shift[..., None]).transpose(1, 0, 2).reshape(3, -1, a, b)
    normal = ((turn / size[:, None, None]) @ _normals(piece.mesh_AB3)).transpose(1, 0, 2)
    # Patches have two faces; the one that the viewer sees is lit.
    normal = (normal * np.where(normal[2] < 0, np.float32(-1), np.float32(1))).reshape(position.shape)

    values = np.empty((6, *position.shape[1:]), np.float32)
    near = camera.zoom * 0.5 * size_px / np.maximum(1 - camera.perspective * position[2], 0.2)
    values[0] = size_px * camera.centre[0] + near * position[0]
    values[1] = size_px * camera.centre[1] - near * position[1]
    values[2] = np.clip(position[2], _DEEPEST + 1, _NEAREST - 1)
    towards = np.tensordot(light.towards_3, normal, 1)
    halfway = light.towards_3 + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway)
    values[3] = 0.5 + 0.5 * np.tensordot(camera.turn_33[:, 1], normal, 1)
    values[4] = np.maximum(towards * 0.85 + 0.15, 0) + piece.translucency * np.maximum(-towards, 0)
    values[5] = piece.gloss * np.maximum(np.tensordot(halfway, normal, 1), 0) ** 24

    flat = values[:2].reshape(2, len(turn), -1)
    copies = np.flatnonzero(((flat.max(axis=2) > 0) & (flat.min(axis=2) < size_px)).all(axis=0))
    if not len(copies):
        none = np.empty(0, np.float32)
        return _Samples(
            piece=piece, copies=copies, values_CS=none.reshape(6, 0), shadow_3T=none.reshape(3, 0), u_U=none, v_V=none
        )
    values, position = values[:, copies], position[:, copies]
    x, y = values[0], values[1]
    num_u = _sample_count(_length(np.diff(x, axis=1), np.diff(y, axis=1)), a)
    num_v = _sample_count(_length(np.diff(x, axis=2), np.diff(y, axis=2)), b)
    dense = _dense(values, num_u, num_v)
    # Cells of the shadow map are larger than pixels, and so may be the steps between its samples.
    coarser = 2 * reach * camera.zoom * 0.5 * size_px / _SHADOW_PX
    seldom_u, seldom_v = (max(3, 1 + int(1.15 * num / coarser)) for num in (num_u, num_v))
    shadow = _dense(array(np.tensordot(sun_33, position, 1)), seldom_u, seldom_v).reshape(3, -1)
    u = _spline(num_u, a) @ knots(a)
    v = np.linspace(-1, 1, num_v, dtype=np.float32)
    if piece.cut is not None:
        # What is cut out lies deeper than anything that can be seen.
        dense[2] = np.where(piece.cut(u[:, None], v[None, :]), dense[2], np.float32(_DEEPEST - 1))
    return _Samples(
        piece=piece,
        copies=copies,
        values_CS=dense.reshape(6, -1),
        shadow_3T=shadow,
        u_U=u,
        v_V=v,
    )


def _sun_frame(towards_3: Array) -> Array:
    """A view along the sunlight: rows right, up, towards the sun."""
    right = np.cross(np.array([0.0, 1.0, 0.03]), towards_3)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards_3, right), towards_3]).astype(np.float32)


def render(pieces: Sequence[Piece], camera: Camera, light: Light, size_px: int, reach: float) -> Picture:
    """Every piece as the camera sees it. ``reach``: shadows are worked out within this distance of the target."""
    sun_33 = _sun_frame(light.towards_3)
    parts = [_sampled(piece, camera, light, sun_33, size_px, reach) for piece in pieces]
    bounds = np.cumsum([0, *(part.values_CS.shape[1] for part in parts)])
    sample, pixel = _nearest([part.values_CS[:3] for part in parts], size_px)
    # Winners in the order of their samples, so that each piece colours one run of them.
    order = np.argsort(sample, kind="stable")
    sample, pixel = sample[order], pixel[order]
    ends = np.searchsorted(sample, bounds)
    values = np.empty((6, len(sample)), np.float32)
    albedo = np.empty((len(sample), 3), np.float32)
    for number, part in enumerate(parts):
        run = slice(ends[number], ends[number + 1])
        own = sample[run] - bounds[number]
        if len(own):
            values[:, run] = part.values_CS.take(own, axis=1, mode="clip")
            row, column = np.divmod(own.astype(np.int32), len(part.v_V))
            copy, row = np.divmod(row, len(part.u_U))
            albedo[run] = part.piece.material(part.u_U[row], part.v_V[column], part.copies[copy].astype(np.int32))
    lit = _sunlit(parts, _in_sun_frame(values, camera, sun_33, size_px), reach)
    lit = light.softness + (1 - light.softness) * lit[:, None]
    ambient, sun, gleam = (values[channel][:, None] for channel in (3, 4, 5))
    shaded = albedo * (light.ground_3 + (light.sky_3 - light.ground_3) * ambient + light.sun_3 * (sun * lit))
    return _picture(pixel, shaded + light.sun_3 * (gleam * lit), values[2], size_px)


def _nearest(parts_3S: Sequence[Array], size_px: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sample, numbered through all parts, that is nearest to the viewer at every covered pixel, and the pixel."""
    # A rim one pixel wide takes what falls outside, which is faster than picking out what falls inside.
    side = size_px + 2
    winners = np.full(side * side, -1, np.int64)
    start = 0
    for x, y, depth in parts_3S:
        pixel = np.clip(y + np.float32(1), 0, side - 1).astype(np.int32)
        pixel *= side
        pixel += np.clip(x + np.float32(1), 0, side - 1).astype(np.int32)
        key = ((depth - np.float32(_DEEPEST)) * np.float32(_LEVELS_PER_UNIT)).astype(np.int64)
        key <<= 32
        key += np.arange(start, start + len(key))
        np.maximum.at(winners, pixel, key)
        start += len(key)
    winners = _closed(winners.reshape(side, side))[1:-1, 1:-1].reshape(-1)
    covered = np.flatnonzero(winners >= 0)
    return winners[covered] & 0xFFFFFFFF, covered


def _closed(winners_HW: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fills pinholes: a pixel much deeper than its neighbours on both sides was missed by the samples between them."""
    much = np.int64(0.03 * _LEVELS_PER_UNIT) << 32
    for grid in (winners_HW, winners_HW.T):
        before, here, after = grid[:-2], grid[1:-1], grid[2:]
        np.copyto(here, before, where=np.minimum(before, after) - here > much)
    return winners_HW


def _in_sun_frame(values_CM: Array, camera: Camera, sun_33: Array, size_px: int) -> Array:
    """Where the visible points lie, seen from the sun: the camera's projection undone, [3, M]."""
    depth = values_CM[2]
    far = np.maximum(1 - camera.perspective * depth, 0.2) / (camera.zoom * 0.5 * size_px)
    x = (values_CM[0] - size_px * camera.centre[0]) * far
    y = (size_px * camera.centre[1] - values_CM[1]) * far
    return np.asarray(sun_33 @ np.stack([x, y, depth]), np.float32)


def _sunlit(parts: Sequence[_Samples], points_3M: Array, reach: float) -> Array:
    """0 in shadow, 1 in the sun, for every visible point: compared with the four cells around it."""
    side = _SHADOW_PX + 2
    casters = np.concatenate([part.shadow_3T for part in parts], axis=1)
    x, y = (casters[:2] * (0.5 / reach) + 0.5) * _SHADOW_PX
    inside = np.flatnonzero((x >= 0) & (x < _SHADOW_PX) & (y >= 0) & (y < _SHADOW_PX))
    cell = (y[inside].astype(np.int32) + 1) * side + x[inside].astype(np.int32) + 1
    height = np.full(side * side, np.float32(-9))
    np.maximum.at(height, cell, casters[2, inside])
    at = np.clip((points_3M[:2] * (0.5 / reach) + 0.5) * _SHADOW_PX - 0.5, 0, _SHADOW_PX - 1.001)
    base = at.astype(np.int32)
    fx, fy = at - base
    index = (base[1] + 1) * side + base[0] + 1
    # Points closer than this to what shades them are on the same surface; the step from shade to sun is gradual.
    own, ramp = points_3M[2] + np.float32(0.035 * reach), np.float32(1 / (0.03 * reach))
    lit = np.zeros(len(own), np.float32)
    for step, weight in ((0, (1 - fx) * (1 - fy)), (1, fx * (1 - fy)), (side, (1 - fx) * fy), (side + 1, fx * fy)):
        lit += weight * np.clip((own - height[index + step]) * ramp + 1, 0, 1)
    return lit


def _picture(pixel: NDArray[np.int64], rgb_M3: Array, depth_M: Array, size_px: int) -> Picture:
    rgb = np.zeros((size_px * size_px, 3), np.float32)
    rgb[pixel] = rgb_M3
    cover = np.zeros(size_px * size_px, np.float32)
    cover[pixel] = 1
    depth = np.full(size_px * size_px, np.float32(_DEEPEST))
    depth[pixel] = depth_M
    return Picture(
        rgb_HW3=rgb.reshape(size_px, size_px, 3),
        cover_HW=cover.reshape(size_px, size_px),
        depth_HW=depth.reshape(size_px, size_px),
    )
