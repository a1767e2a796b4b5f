"""Surfaces that plants are made of: curved patches in three dimensions, and copies of them.

Shape legend: ``A`` knots along a patch (u), ``B`` knots across it (v), ``N`` copies, ``M`` points, ``3`` is x y z.
A flower's own frame has its axis along +z; the world has x to the right, y up, z towards the photographer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
# (u, v, copy) -> linear rgb; u 0..1 from base to tip, v -1..1 from edge to edge, copy the number of the copy.
Material = Callable[[Array, Array, NDArray[np.int32]], Array]
# (u as a column, v as a row) -> which points of the patch exist: teeth, lobes and notches are cut out.
Cut = Callable[[Array, Array], Mask]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """N copies of one patch, each rotated (and scaled) and moved."""

    mesh_AB3: Array
    turn_N33: Array
    shift_N3: Array
    material: Material
    cut: Cut | None = None
    gloss: float = 0.1
    translucency: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A blade: half of ``width`` at its widest, tapering to base and tip; higher powers taper more.

    ``rise``: elevation in radians at base and tip; ``cup`` lifts the edges, ``ruffle`` waves them.
    """

    length: float
    width: float
    base_power: float
    tip_power: float
    rise: tuple[float, float]
    cup: float = 0.0
    ruffle: float = 0.0
    waves: float = 2.0


def array(values: ArrayLike) -> Array:
    """Numbers as this package keeps them: 32-bit."""
    return np.asarray(values, np.float32)


def knots(count: int) -> Array:
    """0..1, closer together at both ends, where outlines turn fastest."""
    even = np.linspace(0, 1, count)
    return array(0.5 * even + 0.25 - 0.25 * np.cos(np.pi * even))


def blade(outline: Outline, *, num_along: int = 11, num_across: int = 7) -> Array:
    """A petal or leaf that starts at the origin and runs along +x, its upper face towards +z."""
    u = knots(num_along)
    v = np.linspace(-1, 1, num_across, dtype=np.float32)
    p, q = outline.base_power, outline.tip_power
    peak = p / (p + q)
    half = 0.5 * outline.width * (u / peak) ** p * ((1 - u) / (1 - peak)) ** q
    angle = outline.rise[0] + (outline.rise[1] - outline.rise[0]) * u
    step = np.diff(u, prepend=0) * outline.length
    middle = angle - 0.5 * np.diff(angle, prepend=angle[0])
    along, height = np.cumsum(step * np.cos(middle)), np.cumsum(step * np.sin(middle))
    lift = outline.cup * half[:, None] * v**2
    lift = lift + outline.ruffle * half[:, None] * np.abs(v) ** 2 * np.sin(
        2 * np.pi * outline.waves * u[:, None] + 1.5 * np.sign(v)
    )
    mesh = np.empty((num_along, num_across, 3), np.float32)
    mesh[..., 0] = along[:, None] - lift * np.sin(angle)[:, None]
    mesh[..., 1] = half[:, None] * v
    mesh[..., 2] = height[:, None] + lift * np.cos(angle)[:, None]
    return mesh


def revolved(
    radius: ArrayLike, height: ArrayLike, *, num_across: int = 17, lobes: int = 0, lobing: float = 0.0
) -> Array:
    """A body of revolution about +z, from its base on; the rim opens into ``lobes`` that reach out by ``lobing``."""
    radius_A, height_A = array(radius), array(height)
    v = np.linspace(-np.pi, np.pi, num_across, dtype=np.float32)
    u = np.linspace(0, 1, len(radius_A), dtype=np.float32)[:, None]
    reach = 1 + lobing * np.cos(lobes * v) * np.clip((u - 0.55) / 0.45, 0, 1)
    mesh = np.empty((len(radius_A), num_across, 3), np.float32)
    mesh[..., 0] = radius_A[:, None] * reach * np.cos(v)
    mesh[..., 1] = radius_A[:, None] * reach * np.sin(v)
    mesh[..., 2] = height_A[:, None]
    return mesh


def dome(radius: float, bulge: float, *, num_along: int = 8, num_across: int = 13) -> Array:
    """A cushion on the plane z = 0, its middle raised by ``bulge`` radii."""
    angle = np.linspace(0.04, np.pi / 2, num_along, dtype=np.float32)
    return revolved(radius * np.sin(angle), radius * bulge * np.cos(angle), num_across=num_across)


def tube(path_A3: Array, radius: ArrayLike, *, num_across: int = 9) -> Array:
    """A stem along a path, of one radius or one for each point."""
    tangent = np.gradient(path_A3, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    side = np.cross(tangent, array([0.31, 0.05, 0.95]))
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9
    other = np.cross(tangent, side)
    angle = np.linspace(-np.pi, np.pi, num_across, dtype=np.float32)
    ring = side[:, None] * np.cos(angle)[None, :, None] + other[:, None] * np.sin(angle)[None, :, None]
    radius_A11 = np.broadcast_to(array(radius), len(path_A3))[:, None, None]
    return array(path_A3[:, None] + ring * radius_A11)


def curve(points: ArrayLike, count: int = 10) -> Array:
    """A smooth path through the points (Lagrange's polynomial: three or four points, no more)."""
    known = array(points)
    at = np.linspace(0, 1, len(known))
    t = np.linspace(0, 1, count)
    weights = np.ones((count, len(known)))
    for i in range(len(known)):
        for j in range(len(known)):
            if i != j:
                weights[:, i] *= (t - at[j]) / (at[i] - at[j])
    return array(weights @ known)


def about_x(angles: ArrayLike) -> Array:
    c, s, o, i = _parts(angles)
    return np.stack([i, o, o, o, c, -s, o, s, c], axis=-1).reshape(-1, 3, 3)


def about_y(angles: ArrayLike) -> Array:
    """Positive angles raise +x towards +z."""
    c, s, o, i = _parts(angles)
    return np.stack([c, o, -s, o, i, o, s, o, c], axis=-1).reshape(-1, 3, 3)


def about_z(angles: ArrayLike) -> Array:
    c, s, o, i = _parts(angles)
    return np.stack([c, -s, o, s, c, o, o, o, i], axis=-1).reshape(-1, 3, 3)


def _parts(angles: ArrayLike) -> tuple[Array, Array, Array, Array]:
    angle_N = np.atleast_1d(array(angles))
    return np.cos(angle_N), np.sin(angle_N), np.zeros_like(angle_N), np.ones_like(angle_N)


def facing(axes: ArrayLike, spins: ArrayLike = 0.0) -> Array:
    """Turns that take +z to each axis, after a spin about it; unspun, +y stays upright."""
    axis = np.atleast_2d(array(axes))
    axis = axis / (np.linalg.norm(axis, axis=1, keepdims=True) + 1e-9)
    reference = np.where(np.abs(axis[:, 1:2]) < 0.95, array([0, 1, 0]), array([1, 0, 0]))
    right = np.cross(reference, axis)
    right /= np.linalg.norm(right, axis=1, keepdims=True) + 1e-9
    return array(np.stack([right, np.cross(axis, right), axis], axis=-1) @ about_z(spins))


def sized(turn_N33: ArrayLike, sizes: ArrayLike) -> Array:
    return array(turn_N33) * np.atleast_1d(array(sizes))[:, None, None]


def piece(
    mesh_AB3: Array,
    material: Material,
    *,
    turn: Array | None = None,
    shift: ArrayLike = (0.0, 0.0, 0.0),
    cut: Cut | None = None,
    gloss: float = 0.1,
    translucency: float = 0.0,
) -> Piece:
    """Copies of a patch: one for every turn, all at one shift or each at its own."""
    turn_N33 = array(np.eye(3)[None]) if turn is None else array(turn)
    return Piece(
        mesh_AB3=mesh_AB3,
        turn_N33=turn_N33,
        shift_N3=np.broadcast_to(array(shift), (len(turn_N33), 3)),
        material=material,
        cut=cut,
        gloss=gloss,
        translucency=translucency,
    )


def placed(pieces: Sequence[Piece], turn_F33: Array, shift: ArrayLike) -> list[Piece]:
    """Every piece once for each of F frames: a whole inflorescence out of one flower."""
    moved = []
    for one in pieces:
        turn = np.einsum("fij,njk->fnik", turn_F33, one.turn_N33).reshape(-1, 3, 3)
        origin_F13 = np.atleast_2d(array(shift))[:, None]
        places = np.einsum("fij,nj->fni", turn_F33, one.shift_N3) + origin_F13
        moved.append(replace(one, turn_N33=turn, shift_N3=places.reshape(-1, 3)))
    return moved
