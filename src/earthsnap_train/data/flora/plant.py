"""A whole plant: flowers on their stems, leaves along them, and where a photographer would look."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earthsnap_train.data.flora import pigment
from earthsnap_train.data.flora.flowers import Individual, flower
from earthsnap_train.data.flora.genera import Foliage
from earthsnap_train.data.flora.species import FloraSpecies
from earthsnap_train.data.flora.surface import (
    Array,
    Cut,
    Outline,
    Piece,
    about_x,
    about_z,
    at_origin,
    blade,
    curve,
    facing,
    placed,
    tube,
)

_GOLDEN_ANGLE = 2.39996323


@dataclass(frozen=True, kw_only=True)
class Plant:
    """``focus_3`` and ``radius``: the sphere that holds what one looks at, the flowers."""

    pieces: tuple[Piece, ...]
    focus_3: Array
    radius: float


def grow(species: FloraSpecies, random: np.random.Generator) -> Plant:
    """One individual of a species, with its own colours and deviations."""
    individual = Individual(
        traits=species.traits,
        colours=pigment.colours_of(random),
        length=float(random.uniform(0.94, 1.06)),
        width=float(random.uniform(0.92, 1.08)),
        amount=float(random.uniform(0.85, 1.15)),
        random=random,
    )
    one = flower(species.genus.flower, individual)
    build = _BUILDS[species.genus.inflorescence]
    return build(species, individual, one)


def _stem(individual: Individual, points: Sequence[Sequence[float]], radius: float) -> list[Piece]:
    """A stem, and the down on it if the species is hairy."""
    path = curve(points, 12)
    turn, shift = at_origin()
    stem = Piece(
        mesh_AB3=tube(path, np.linspace(radius, radius * 0.75, 12, dtype=np.float32)),
        turn_N33=turn,
        shift_N3=shift,
        material=pigment.plain(individual.colours.stem),
        gloss=0.1,
    )
    if individual.traits.hair == "smooth":
        return [stem]
    number = 90
    at = individual.random.uniform(0, 11, number)
    base = np.stack([np.interp(at, np.arange(12), path[:, axis]) for axis in range(3)], axis=1)
    outward = individual.random.normal(0, 1, (number, 3)) * np.array([1, 0.25, 1])
    hair = blade(Outline(length=radius * 3.2, width=0.016, base_power=0.1, tip_power=0.6, rise=(0.1, 0.1)), num_along=3, num_across=2)
    down = Piece(
        mesh_AB3=hair,
        turn_N33=facing(outward.astype(np.float32), np.zeros(number, np.float32)) @ _UP_TO_X,
        shift_N3=base.astype(np.float32),
        material=pigment.plain(pigment.linear("e6ecd2")),
    )
    return [stem, down]


# Blades run along +x; this takes +x to +z, which ``facing`` then aims.
_UP_TO_X = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)


def _leaf_blade(individual: Individual, size: float) -> tuple[Array, Cut | None, pigment.Material]:
    shape = individual.traits.leaf
    length, width, p, q, cut = {
        "linear": (1.7, 0.15, 0.25, 0.6, None),
        "ovate": (1.15, 0.52, 0.55, 0.85, None),
        "serrate": (1.2, 0.60, 0.5, 0.8, pigment.teeth(9, 0.34)),
        "lobed": (1.3, 0.95, 0.5, 0.6, pigment.teeth(4.5, 0.78)),
        "round": (0.85, 0.92, 0.42, 0.40, None),
    }[shape]
    outline = Outline(
        length=length * size, width=width * size * individual.width, base_power=p, tip_power=q, rise=(0.75, -0.45), cup=0.3
    )
    material = pigment.leaf(individual.colours, veins=6.5, parallel=shape == "linear")
    return blade(outline), cut, material


def _leaves(individual: Individual, foliage: Foliage, along: Array, size: float) -> list[Piece]:
    """Leaves on a stem, given as points from its foot to below the flower."""
    draw = individual.random
    lowest, highest = along[0], along[-1]
    match foliage:
        case "opposite":
            nodes = np.repeat([0.35, 0.68, 0.98], 2)
            azimuth = np.tile([0.0, np.pi], 3) + np.repeat([0.25, 1.3, -0.2], 2)
        case "whorled":
            nodes = np.repeat([0.45, 0.95], 5)
            azimuth = np.tile(np.arange(5) * 2 * np.pi / 5, 2) + np.repeat([0.3, 0.9], 5)
        case "basal":
            nodes = np.full(7, 0.42)
            azimuth = np.arange(7) * _GOLDEN_ANGLE + 0.3
        case _:
            nodes = np.linspace(0.25, 1.0, 6)
            azimuth = np.arange(6) * _GOLDEN_ANGLE + 0.4
    azimuth = azimuth + draw.normal(0, 0.15, len(nodes))
    mesh, cut, material = _leaf_blade(individual, size * (1.3 if foliage == "basal" else 1.0))
    if foliage == "basal":
        # Leaves of a rosette rise steeply, so that they stand behind the flower.
        mesh = mesh @ about_x(np.zeros(1))[0]
    scale = 1 + draw.normal(0, 0.08, len(nodes))
    upright = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
    turn = upright @ about_z(azimuth.astype(np.float32)) * scale[:, None, None].astype(np.float32)
    if foliage == "basal":
        from earthsnap_train.data.flora.surface import about_y

        turn = turn @ about_y(draw.uniform(0.25, 0.7, len(nodes)).astype(np.float32))
    shift = lowest + (highest - lowest) * nodes[:, None]
    return [
        Piece(
            mesh_AB3=mesh,
            turn_N33=turn.astype(np.float32),
            shift_N3=shift.astype(np.float32),
            material=material,
            cut=cut,
            gloss=0.22,
            translucency=0.35,
        )
    ]


def _solitary(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    draw = individual.random
    tilt = draw.uniform(0.55, 1.05)
    if species.genus.flower == "cup":
        tilt *= 0.55
    axis = np.float32([[draw.uniform(-0.25, 0.25), np.cos(tilt), np.sin(tilt)]])
    axis /= np.linalg.norm(axis)
    heads = placed(one, facing(axis, draw.uniform(0, 6.3, 1).astype(np.float32)), np.zeros((1, 3), np.float32))
    lean = draw.uniform(-0.4, 0.4)
    foot = (lean, -3.6, -0.9)
    pieces = [*heads, *_stem(individual, [foot, (lean * 0.7, -1.6, -0.75), (-0.25 * axis[0, 0], -0.55, -0.42), (0, 0, 0)], 0.055)]
    if draw.random() < 0.6:
        away = np.float32([[draw.choice([-1, 1]) * draw.uniform(1.1, 1.7), draw.uniform(-0.6, 0.7), draw.uniform(-2.4, -1.3)]])
        other = axis + np.float32([[draw.normal(0, 0.3), 0, draw.normal(0, 0.2)]])
        pieces += placed(one, facing(other, draw.uniform(0, 6.3, 1).astype(np.float32)), away)
        end = away[0]
        pieces += _stem(individual, [(lean, -3.6, -0.9), (end[0] * 0.7, -1.6, end[2]), tuple(end + [0, -0.4, -0.25]), tuple(end)], 0.05)
    pieces += _leaves(individual, species.genus.foliage, curve([(lean, -3.0, -0.9), (lean * 0.5, -0.62, -0.62)], 2), 1.0)
    return Plant(pieces=tuple(pieces), focus_3=np.float32([0, -0.08, 0]), radius=1.1)


def _along(individual: Individual, height: float) -> Array:
    bend = individual.random.uniform(-0.3, 0.3)
    return curve([(-bend, -height - 1.5, -0.1), (0, 0, 0), (bend, height, 0.1)], 12)


def _raceme(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    """Few large flowers in two ranks that hang (bells) or face the light, smaller towards the top."""
    draw = individual.random
    hanging = species.genus.flower == "bell"
    number = 8 if hanging else 4
    path = _along(individual, 1.25)
    at = np.linspace(0.38, 0.97, number) if hanging else np.linspace(0.42, 0.93, number)
    place = np.stack([np.interp(at, np.linspace(0, 1, 12), path[:, axis]) for axis in range(3)], axis=1)
    # Flowers of a raceme turn somewhat towards the light, which is where the photographer stands.
    if hanging:
        azimuth = np.arange(number) * (np.pi * 0.83) + draw.uniform(0, 1.0)
        out = np.stack([np.sin(azimuth) * 0.95, np.full(number, 0.0), 0.55 + 0.45 * np.cos(azimuth)], axis=1)
        axis = out + np.array([0, -0.55, 0.15])
        size = np.linspace(0.62, 0.40, number)
        stand = out * 0.22
    else:
        side = draw.choice([-1, 1]) * (1 - 2.0 * (np.arange(number) % 2))
        out = np.stack([side * 0.5, np.full(number, 0.0), np.full(number, 0.85)], axis=1)
        axis = out + np.array([0, 0.08, 0.2])
        size = np.linspace(0.92, 0.66, number)
        stand = np.stack([side * 0.52, np.full(number, 0.0), np.full(number, 0.25)], axis=1)
    axis = axis + draw.normal(0, 0.10, (number, 3))
    spin = draw.normal(0, 0.12, number)
    turn = facing(axis.astype(np.float32), spin.astype(np.float32)) * size[:, None, None].astype(np.float32)
    heads = placed(one, turn.astype(np.float32), (place + stand).astype(np.float32))
    reach = np.linalg.norm(stand, axis=1)[:, None, None]
    stalk = Piece(
        mesh_AB3=tube(curve([(0, 0, 0), (0, 0, 1)], 4), np.full(4, 0.07, np.float32), num_across=5),
        turn_N33=(facing(stand.astype(np.float32), spin.astype(np.float32)) * reach).astype(np.float32),
        shift_N3=place.astype(np.float32),
        material=pigment.plain(individual.colours.stem),
    )
    leaves = _leaves(individual, species.genus.foliage, path[[0, 5]], 0.95)
    return Plant(
        pieces=(*heads, stalk, *_stem(individual, path[[0, 4, 8, 11]].tolist(), 0.05), *leaves),
        focus_3=np.float32([0, -0.05, 0]),
        radius=1.35,
    )


def _spike(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    """Many small flowers close around the stem."""
    draw = individual.random
    number = 26
    path = _along(individual, 1.3)
    at = np.linspace(0.40, 0.99, number)
    place = np.stack([np.interp(at, np.linspace(0, 1, 12), path[:, axis]) for axis in range(3)], axis=1)
    azimuth = np.arange(number) * _GOLDEN_ANGLE
    out = np.stack([np.sin(azimuth), np.full(number, 0.25), np.cos(azimuth)], axis=1)
    size = np.linspace(0.40, 0.20, number)
    turn = facing(out.astype(np.float32), draw.uniform(0, 6.3, number).astype(np.float32)) * size[:, None, None].astype(np.float32)
    heads = placed(one, turn.astype(np.float32), (place + out * np.linspace(0.26, 0.08, number)[:, None]).astype(np.float32))
    leaves = _leaves(individual, species.genus.foliage, path[[0, 4]], 0.9)
    return Plant(
        pieces=(*heads, *_stem(individual, path[[0, 4, 8, 11]].tolist(), 0.06), *leaves),
        focus_3=np.float32([0, 0.1, 0]),
        radius=1.3,
    )


def _umbel(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    """Flowers on rays from one point, a ball or a dome of them."""
    draw = individual.random
    number = 18
    k = np.arange(number) + 0.5
    polar = np.arccos(1 - 1.35 * k / number)
    azimuth = k * _GOLDEN_ANGLE
    out = np.stack([np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], axis=1)
    out = out @ about_x(np.array([0.45], np.float32))[0].T
    turn = facing(out.astype(np.float32), draw.uniform(0, 6.3, number).astype(np.float32)) * np.float32(0.42)
    heads = placed(one, turn.astype(np.float32), (out * 0.95).astype(np.float32))
    rays = Piece(
        mesh_AB3=tube(curve([(0, 0, 0), (0, 0, 0.95)], 4), np.full(4, 0.025, np.float32), num_across=5),
        turn_N33=facing(out.astype(np.float32), np.zeros(number, np.float32)),
        shift_N3=np.zeros((number, 3), np.float32),
        material=pigment.plain(individual.colours.stem),
    )
    lean = draw.uniform(-0.3, 0.3)
    stem = _stem(individual, [(lean, -3.8, -0.4), (lean * 0.6, -1.8, -0.3), (0, 0, 0)], 0.06)
    leaves = _leaves(individual, species.genus.foliage, curve([(lean, -3.2, -0.3), (lean * 0.4, -0.9, -0.2)], 2), 1.0)
    return Plant(pieces=(*heads, rays, *stem, *leaves), focus_3=np.float32([0, 0.15, 0]), radius=1.3)


_BUILDS = {"solitary": _solitary, "raceme": _raceme, "spike": _spike, "umbel": _umbel}
