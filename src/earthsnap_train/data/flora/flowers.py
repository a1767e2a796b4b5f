"""One flower of every kind, about 1 in radius, in its own frame (axis +z, base at the origin).

Each kind reads the species' traits in its own way: ``few`` petals are 8 on a daisy and 4 on a poppy.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.data.flora import pigment
from earthsnap_train.data.flora.genera import FlowerKind
from earthsnap_train.data.flora.parts import Individual, disc, petals, pistil, stamens, tip
from earthsnap_train.data.flora.pigment import Colours
from earthsnap_train.data.flora.surface import (
    Array,
    Cut,
    Mask,
    Material,
    Outline,
    Piece,
    about_x,
    about_z,
    array,
    blade,
    dome,
    piece,
    revolved,
)


def flower(kind: FlowerKind, plant: Individual) -> list[Piece]:
    return _KINDS[kind](plant)


def _rays(plant: Individual) -> list[Piece]:
    number = plant.number(8, 14, 24)
    heart = plant.large(0.20, 0.38)
    rays = petals(
        plant,
        number,
        length=1.02 - heart * 0.75,
        width=plant.wide(0.8, 1.25) * {8: 0.36, 14: 0.25, 24: 0.17}[number],
        rise=(plant.rise(0.15, 0.35, 0.25), plant.rise(0.05, 0.85, -0.75)),
        radius=heart * 0.8,
        base_power=0.3,
        cup=0.25,
    )
    return [rays, disc(plant, heart, plant.hairy(0.55, 0.9), 0.02)]


def _pompon(plant: Individual) -> list[Piece]:
    number = plant.number(8, 12, 16)
    heart = plant.large(0.10, 0.24)
    layers = [
        petals(
            plant,
            number,
            length=1.0 - 0.17 * layer,
            width=plant.wide(0.8, 1.2) * {8: 0.40, 12: 0.30, 16: 0.24}[number],
            rise=(0.1 + 0.30 * layer, 0.1 + 0.30 * layer + plant.rise(0.05, 0.5, -0.5)),
            radius=heart * 0.7,
            height=0.05 * layer,
            base_power=0.35,
            cup=0.45,
            offset=0.5 * layer,
        )
        for layer in range(4)
    ]
    return [*layers, disc(plant, heart, 0.7, 0.16)]


def _star(plant: Individual) -> list[Piece]:
    number = plant.number(5, 6, 8)
    star = petals(
        plant,
        number,
        length=1.12,
        width=plant.wide(0.8, 1.2) * {5: 0.40, 6: 0.38, 8: 0.30}[number],
        rise=(0.75, plant.rise(0.0, 0.75, -1.5)),
        base_power=0.75,
        cup=0.2,
        ruffle=plant.hairy(0.0, 0.12),
        radius=0.03,
    )
    reach = plant.large(0.42, 0.72)
    anther = plant.large(0.05, 0.085)
    return [star, *stamens(plant, 6, length=reach, spread=0.42, anther=anther), pistil(plant, reach * 1.2)]


def _poppy(plant: Individual) -> list[Piece]:
    number = plant.number(4, 6, 10)
    start, end = plant.rise(0.25, 0.75, 0.2), plant.rise(0.2, 1.0, -0.6)
    layers = [
        petals(
            plant,
            number // 2,
            length=0.98 - 0.08 * layer,
            width=plant.wide(0.85, 1.12) * {4: 1.05, 6: 0.82, 10: 0.6}[number],
            rise=(start + 0.12 * layer, end + 0.1 * layer),
            base_power=0.62,
            cup=0.22,
            ruffle=plant.hairy(0.08, 0.22),
            offset=0.5 * layer,
            height=0.03 * layer,
        )
        for layer in range(2)
    ]
    heart = plant.large(0.11, 0.2)
    capsule = heart * array([[0.7, 1.0, 1.05, 0.95, 1.15, 0.05], [0, 0.5, 1.1, 1.6, 1.8, 2.0]])
    ink = pigment.plain(pigment.linear("2a1626"), mottle=0.3)
    ring = stamens(
        plant,
        int(plant.large(20, 36)),
        length=plant.large(0.28, 0.42),
        spread=plant.rise(1.15, 0.6, 1.15),
        anther=0.035,
        grains=ink if plant.random.random() < 0.5 else None,
    )
    return [*layers, piece(revolved(*capsule, num_across=13), pigment.seeds(plant.colours, rings=0.6)), *ring]


def _open(plant: Individual) -> list[Piece]:
    number = plant.number(4, 5, 8)
    whorl = petals(
        plant,
        number,
        length=0.95,
        width=plant.wide(0.75, 1.1) * {4: 0.85, 5: 0.75, 8: 0.48}[number],
        rise=(plant.rise(0.2, 0.7, 0.4), plant.rise(0.0, 0.7, -0.8)),
        base_power=0.7,
        cup=0.12,
        radius=0.05,
    )
    return [whorl, disc(plant, plant.large(0.12, 0.22), 0.8, 0.03)]


def _cup(plant: Individual) -> list[Piece]:
    number = plant.number(6, 8, 10)
    layers = [
        petals(
            plant,
            number // 2,
            length=1.35,
            width=plant.wide(0.85, 1.1) * {6: 0.82, 8: 0.68, 10: 0.56}[number],
            rise=(0.35, plant.rise(1.25, 1.95, 0.45) + 0.08 * layer),
            base_power=0.55,
            cup=0.35,
            offset=0.5 * layer,
            height=0.03 * layer,
            jitter=0.03,
        )
        for layer in range(2)
    ]
    return [*layers, *stamens(plant, 6, length=plant.large(0.4, 0.7), spread=0.25, anther=0.06), pistil(plant, 0.6)]


def _trumpet(plant: Individual) -> list[Piece]:
    number = plant.number(5, 6, 8)
    star = petals(
        plant,
        number,
        length=1.0,
        width=plant.wide(0.8, 1.15) * {5: 0.6, 6: 0.55, 8: 0.42}[number],
        rise=(0.1, plant.rise(0.05, 0.6, -0.7)),
        base_power=0.6,
        radius=0.08,
    )
    size, depth = plant.large(0.8, 1.15), plant.large(0.28, 0.75)
    golden = replace(plant.colours, petal=array(plant.colours.centre * 0.6 + plant.colours.throat * 0.4))
    corona = piece(
        revolved(size * array([0.18, 0.24, 0.26, 0.28, 0.32, 0.42]), depth * np.linspace(0, 1, 6), num_across=33,
                 lobes=8, lobing=0.10),
        pigment.petal(golden, plant.traits.pattern, ratio=0.6, amount=plant.amount),
        translucency=0.4,
    )  # fmt: skip
    return [star, corona, *stamens(plant, 6, length=depth * 0.8, spread=0.15, anther=0.05)]


def _bell(plant: Individual) -> list[Piece]:
    """A bell that opens along its axis; the whole of it is about 1.5 long."""
    lobes = plant.number(4, 5, 8)
    flare = plant.rise(0.62, 0.42, 0.88)
    radius = plant.wide(0.75, 1.15) * array([0.05, 0.26, 0.36, 0.38, 0.40, 0.44, flare * 0.8 + 0.06, flare])
    height = plant.length * array([0, 0.10, 0.35, 0.62, 0.9, 1.12, 1.3, 1.3 + plant.rise(0.1, 0.22, -0.02)])
    rims = {
        "round": _rim(lobes, 0.10, 4.0),
        "pointed": _rim(lobes, 0.26, 2.0),
        "notched": _rim(lobes * 2, 0.13, 2.0),
        "fringed": _rim(lobes * 5, 0.16, 2.0),
    }
    wall = piece(
        revolved(radius, height, num_across=25),
        _fluted(plant, lobes),
        cut=rims[plant.traits.tip],
        gloss=0.12,
        translucency=0.45,
    )
    sepal = Outline(length=0.42, width=0.16, base_power=0.3, tip_power=0.9, rise=(0.2, 1.4))
    calyx = piece(
        blade(sepal, num_along=6, num_across=3),
        pigment.plain(plant.colours.stem),
        turn=about_z(np.arange(5) * 2 * np.pi / 5),
    )
    clapper = stamens(plant, 3, length=plant.large(0.9, 1.75), spread=0.08, anther=plant.large(0.05, 0.1))
    return [wall, calyx, *clapper]


def _rim(lobes: int, depth: float, power: float) -> Cut:
    def cut(u: Array, v: Array) -> Mask:
        wave = np.abs((v * 0.5 + 0.5) * lobes % 1.0 - 0.5) * 2
        return np.asarray(u < 1 - depth * wave**power, np.bool_)

    return cut


def _fluted(plant: Individual, lobes: int) -> Material:
    """A bell's wall as so many petals side by side, so that every pattern fits it."""
    one = pigment.petal(plant.colours, plant.traits.pattern, ratio=2.2, amount=plant.amount)

    def material(u: Array, v: Array, copy: NDArray[np.int32]) -> Array:
        turned = (v * 0.5 + 0.5) * lobes
        place = np.floor(turned)
        return one(u, 2 * (turned - place) - 1, copy + place.astype(np.int32))

    return material


def _orchid(plant: Individual) -> list[Piece]:
    """Sepals, two broad petals and a lip, mirror-symmetric about the vertical (+y of the flower's frame)."""
    broad = plant.wide(0.7, 1.05)
    bend = plant.rise(0.0, 0.6, -0.7)
    base_power, tip_power, cut = tip(plant, 0.5)
    up = np.pi / 2

    def part(azimuths: Sequence[float], outline: Outline, height: float, cut: Cut | None, colours: Colours) -> Piece:
        ratio = outline.length / outline.width
        return piece(
            blade(outline),
            pigment.petal(colours, plant.traits.pattern, ratio=ratio, amount=plant.amount),
            turn=about_z(np.array(azimuths) + plant.random.normal(0, 0.03, len(azimuths))),
            shift=(0, 0, height),
            cut=cut,
            gloss=0.08,
            translucency=0.5,
        )

    sepal = Outline(
        length=0.98, width=0.30 + 0.16 * broad, base_power=0.5, tip_power=0.7, rise=(0.05, bend * 0.7), cup=0.2
    )
    wing = Outline(
        length=0.98 * plant.length,
        width=0.82 * broad,
        base_power=base_power,
        tip_power=tip_power,
        rise=(0.15, bend),
        cup=0.1,
        ruffle=0.08,
    )
    size = plant.large(0.50, 0.80)
    lip = Outline(length=size, width=size, base_power=0.7, tip_power=0.25, rise=(0.75, -0.9), cup=0.45, ruffle=0.2)
    own = plant.colours
    inverse = replace(own, petal=own.marking, throat=own.centre, marking=own.petal)
    column = piece(
        dome(0.10, 1.6),
        pigment.plain(own.throat, tip_3=own.centre),
        turn=about_x(0.3),
        shift=(0, 0.05, 0.10),
        gloss=0.3,
    )
    beside: dict[str, tuple[float, ...]] = {"few": (), "several": (2.25,), "many": (0.75, 2.25)}
    azimuths = [up] + [up + side * angle for angle in beside[plant.traits.number] for side in (-1, 1)]
    lip_cut = pigment.notch(0.22) if plant.traits.hair == "smooth" else pigment.fringe(6, 0.2)
    return [
        part(azimuths, sepal, 0.0, None, own),
        part((up - 1.3, up + 1.3), wing, 0.05, cut, own),
        part((-up,), lip, 0.10, lip_cut, inverse),
        column,
    ]


_KINDS: dict[FlowerKind, Callable[[Individual], list[Piece]]] = {
    "rays": _rays,
    "bell": _bell,
    "star": _star,
    "orchid": _orchid,
    "poppy": _poppy,
    "open": _open,
    "cup": _cup,
    "trumpet": _trumpet,
    "pompon": _pompon,
}
