"""A whole plant: flowers on their stems, leaves along them, and where a photographer would look."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from earthsnap_train.data.flora import pigment
from earthsnap_train.data.flora.flowers import flower
from earthsnap_train.data.flora.genera import Foliage, Inflorescence
from earthsnap_train.data.flora.parts import GOLDEN_ANGLE, Individual
from earthsnap_train.data.flora.species import FloraSpecies
from earthsnap_train.data.flora.surface import (
    Array,
    Cut,
    Material,
    Outline,
    Piece,
    about_x,
    about_y,
    about_z,
    array,
    blade,
    curve,
    facing,
    piece,
    placed,
    sized,
    tube,
)

# Blades run along +x with their upper face to +z. The first turn aims them along +z, the second lays them level.
_ALONG_Z = array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])
_LEVEL = array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])


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
    return _INFLORESCENCES[species.genus.inflorescence](species, individual, one)


def _solitary(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    """One flower that looks at the viewer; often another, further back."""
    draw = individual.random
    tilt = draw.uniform(0.55, 1.05) * (0.55 if species.genus.flower == "cup" else 1.0)
    axis = array([draw.uniform(-0.25, 0.25), np.cos(tilt), np.sin(tilt)])
    axis /= np.linalg.norm(axis)
    lean = draw.uniform(-0.4, 0.4)
    foot = (lean, -3.6, -0.9)
    pieces = placed(one, facing(axis, draw.uniform(0, 6.3)), (0, 0, 0))
    pieces += _stem(individual, [foot, (lean * 0.7, -1.6, -0.75), (-0.25 * axis[0], -0.55, -0.42), (0, 0, 0)], 0.055)
    if draw.random() < 0.6:
        x, y, z = draw.choice([-1, 1]) * draw.uniform(1.1, 1.7), draw.uniform(-0.6, 0.7), draw.uniform(-2.4, -1.3)
        other = axis + array([draw.normal(0, 0.3), 0, draw.normal(0, 0.2)])
        pieces += placed(one, facing(other, draw.uniform(0, 6.3)), (x, y, z))
        pieces += _stem(individual, [foot, (x * 0.7, -1.6, z), (x, y - 0.4, z - 0.25), (x, y, z)], 0.05)
    along = array([(lean, -3.0, -0.9), (lean * 0.5, -0.62, -0.62)])
    pieces += _leaves(individual, species.genus.foliage, along, 1.0)
    return Plant(pieces=tuple(pieces), focus_3=array([0, -0.08, 0]), radius=1.1)


def _raceme(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    """Few large flowers that hang (bells) or stand in two ranks, smaller towards the top."""
    draw = individual.random
    path = _upright(individual, 1.25)
    # Flowers of a raceme turn somewhat towards the light, which is where the photographer stands.
    if species.genus.flower == "bell":
        number = 8
        place = _places(path, np.linspace(0.38, 0.97, number))
        azimuth = np.arange(number) * (np.pi * 0.83) + draw.uniform(0, 1.0)
        out = np.stack([np.sin(azimuth) * 0.95, np.zeros(number), 0.55 + 0.45 * np.cos(azimuth)], axis=1)
        axis, stand = out + np.array([0, -0.55, 0.15]), out * 0.22
        size = np.linspace(0.62, 0.40, number)
    else:
        number = 4
        place = _places(path, np.linspace(0.42, 0.93, number))
        side = draw.choice([-1, 1]) * (1 - 2.0 * (np.arange(number) % 2))
        axis = np.stack([side * 0.5, np.full(number, 0.08), np.full(number, 1.05)], axis=1)
        stand = np.stack([side * 0.52, np.zeros(number), np.full(number, 0.25)], axis=1)
        size = np.linspace(0.92, 0.66, number)
    axis = axis + draw.normal(0, 0.10, (number, 3))
    heads = placed(one, sized(facing(axis, draw.normal(0, 0.12, number)), size), place + stand)
    stalks = _stalks(individual, stand, place, 0.07)
    leaves = _leaves(individual, species.genus.foliage, path[[0, 5]], 0.95)
    stem = _stem(individual, path[[0, 4, 8, 11]], 0.05)
    return Plant(pieces=(*heads, stalks, *stem, *leaves), focus_3=array([0, -0.05, 0]), radius=1.35)


def _spike(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    """Many small flowers close around the stem."""
    draw = individual.random
    number = 26
    path = _upright(individual, 1.3)
    azimuth = np.arange(number) * GOLDEN_ANGLE
    out = np.stack([np.sin(azimuth), np.full(number, 0.25), np.cos(azimuth)], axis=1)
    turn = sized(facing(out, draw.uniform(0, 6.3, number)), np.linspace(0.40, 0.20, number))
    place = _places(path, np.linspace(0.40, 0.99, number)) + out * np.linspace(0.26, 0.08, number)[:, None]
    leaves = _leaves(individual, species.genus.foliage, path[[0, 4]], 0.9)
    stem = _stem(individual, path[[0, 4, 8, 11]], 0.06)
    return Plant(pieces=(*placed(one, turn, place), *stem, *leaves), focus_3=array([0, 0.1, 0]), radius=1.3)


def _umbel(species: FloraSpecies, individual: Individual, one: list[Piece]) -> Plant:
    """Flowers on rays from one point: a dome of them."""
    draw = individual.random
    number = 18
    rank = np.arange(number) + 0.5
    polar, azimuth = np.arccos(1 - 1.35 * rank / number), rank * GOLDEN_ANGLE
    out = np.stack([np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], axis=1)
    out = out @ about_x(0.45)[0].T
    heads = placed(one, sized(facing(out, draw.uniform(0, 6.3, number)), 0.42), out * 0.95)
    lean = draw.uniform(-0.3, 0.3)
    stem = _stem(individual, [(lean, -3.8, -0.4), (lean * 0.6, -1.8, -0.3), (0, 0, 0)], 0.06)
    along = array([(lean, -3.2, -0.3), (lean * 0.4, -0.9, -0.2)])
    leaves = _leaves(individual, species.genus.foliage, along, 1.0)
    rays = _stalks(individual, out * 0.95, np.zeros(3), 0.025)
    return Plant(pieces=(*heads, rays, *stem, *leaves), focus_3=array([0, 0.15, 0]), radius=1.3)


_INFLORESCENCES: dict[Inflorescence, Callable[[FloraSpecies, Individual, list[Piece]], Plant]] = {
    "solitary": _solitary,
    "raceme": _raceme,
    "spike": _spike,
    "umbel": _umbel,
}


def _upright(individual: Individual, height: float) -> Array:
    """The path of a stem that bends a little to one side."""
    bend = individual.random.uniform(-0.3, 0.3)
    return curve([(-bend, -height - 1.5, -0.1), (0, 0, 0), (bend, height, 0.1)], 12)


def _places(path_A3: Array, at: ArrayLike) -> Array:
    """Points on a path, 0..1 from its foot to its end."""
    steps = np.linspace(0, 1, len(path_A3))
    return array(np.stack([np.interp(array(at), steps, path_A3[:, axis]) for axis in range(3)], axis=1))


def _stalks(individual: Individual, reach_N3: ArrayLike, start: ArrayLike, radius: float) -> Piece:
    """What carries each flower: from its start on the stem as far as ``reach_N3``."""
    length = np.linalg.norm(array(reach_N3), axis=1)
    straight = curve([(0, 0, 0), (0, 0, 1)], 4)
    return piece(
        tube(straight, radius, num_across=5),
        pigment.plain(individual.colours.stem),
        turn=sized(facing(reach_N3), length),
        shift=start,
    )


def _stem(individual: Individual, points: ArrayLike, radius: float) -> list[Piece]:
    """A stem, and the down on it if the species is hairy."""
    path = curve(points, 12)
    stem = piece(tube(path, np.linspace(radius, radius * 0.75, 12)), pigment.plain(individual.colours.stem))
    if individual.traits.hair == "smooth":
        return [stem]
    number = 90
    outward = individual.random.normal(0, 1, (number, 3)) * np.array([1, 0.25, 1])
    hair = Outline(length=radius * 3.2, width=0.016, base_power=0.1, tip_power=0.6, rise=(0.1, 0.1))
    down = piece(
        blade(hair, num_along=3, num_across=2),
        pigment.plain(pigment.linear("e6ecd2")),
        turn=facing(outward) @ _ALONG_Z,
        shift=_places(path, individual.random.uniform(0, 1, number)),
    )
    return [stem, down]


def _leaves(individual: Individual, foliage: Foliage, along_23: Array, size: float) -> list[Piece]:
    """Leaves between the two ends of a stem, given from its foot to below the flower."""
    draw = individual.random
    nodes, azimuth = _arrangement(foliage)
    count = len(nodes)
    turn = _LEVEL @ about_z(azimuth + draw.normal(0, 0.15, count))
    if foliage == "basal":
        # The leaves of a rosette rise steeply, so that they stand beside the flower.
        turn = turn @ about_y(draw.uniform(0.25, 0.7, count))
        size *= 1.3
    mesh, cut, material = _leaf(individual, size)
    return [
        piece(
            mesh,
            material,
            turn=sized(turn, 1 + draw.normal(0, 0.08, count)),
            shift=along_23[0] + (along_23[1] - along_23[0]) * nodes[:, None],
            cut=cut,
            gloss=0.22,
            translucency=0.35,
        )
    ]


def _arrangement(foliage: Foliage) -> tuple[Array, Array]:
    """Where leaves stand, 0..1 along the stem, and which way they point."""
    match foliage:
        case "opposite":
            turns = np.repeat([0.25, 1.3, -0.2], 2)
            return array(np.repeat([0.35, 0.68, 0.98], 2)), array(np.tile([0.0, np.pi], 3) + turns)
        case "whorled":
            turns = np.repeat([0.3, 0.9], 5)
            return array(np.repeat([0.45, 0.95], 5)), array(np.tile(np.arange(5) * 2 * np.pi / 5, 2) + turns)
        case "basal":
            return array(np.full(7, 0.42)), array(np.arange(7) * GOLDEN_ANGLE + 0.3)
        case "alternate":
            return array(np.linspace(0.25, 1.0, 6)), array(np.arange(6) * GOLDEN_ANGLE + 0.4)


def _leaf(individual: Individual, size: float) -> tuple[Array, Cut | None, Material]:
    shape = individual.traits.leaf
    length, width, base_power, tip_power, cut = {
        "linear": (1.7, 0.15, 0.25, 0.6, None),
        "ovate": (1.15, 0.52, 0.55, 0.85, None),
        "serrate": (1.2, 0.60, 0.5, 0.8, pigment.teeth(9, 0.34)),
        "lobed": (1.3, 0.95, 0.5, 0.6, pigment.teeth(4.5, 0.78)),
        "round": (0.85, 0.92, 0.42, 0.40, None),
    }[shape]
    outline = Outline(
        length=length * size,
        width=width * size * individual.width,
        base_power=base_power,
        tip_power=tip_power,
        rise=(0.75, -0.45),
        cup=0.3,
    )
    return blade(outline), cut, pigment.leaf(individual.colours, veins=6.5, parallel=shape == "linear")
