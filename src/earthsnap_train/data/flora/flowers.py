"""One flower of every kind, about 1 in radius, in its own frame (axis +z, base at the origin).

Each kind reads the species' traits in its own way; ``Individual`` adds what differs from plant to plant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from earthsnap_train.data.flora import pigment
from earthsnap_train.data.flora.genera import FlowerKind
from earthsnap_train.data.flora.pigment import Colours
from earthsnap_train.data.flora.species import Traits
from earthsnap_train.data.flora.surface import (
    Array,
    Cut,
    Outline,
    Piece,
    about_x,
    about_y,
    about_z,
    at_origin,
    blade,
    curve,
    dome,
    facing,
    revolved,
    tube,
)

_GOLDEN_ANGLE = 2.39996323


@dataclass(frozen=True, kw_only=True)
class Individual:
    """One plant: the species' traits, its own colours, and small deviations (about 1) in how they are carried out."""

    traits: Traits
    colours: Colours
    length: float
    width: float
    amount: float
    random: np.random.Generator


def flower(kind: FlowerKind, plant: Individual) -> list[Piece]:
    return _KINDS[kind](plant)


def _number(plant: Individual, few: int, several: int, many: int) -> int:
    return {"few": few, "several": several, "many": many}[plant.traits.number]


def _wide(plant: Individual, narrow: float, broad: float) -> float:
    return plant.width * (narrow if plant.traits.width == "narrow" else broad)


def _large(plant: Individual, small: float, large: float) -> float:
    return small if plant.traits.centre == "small" else large


def _rise(plant: Individual, open_: float, cupped: float, reflexed: float) -> float:
    return {"open": open_, "cupped": cupped, "reflexed": reflexed}[plant.traits.bearing]


def _tip(plant: Individual, base_power: float) -> tuple[float, float, Cut | None]:
    """The powers of the outline and what is cut out of its tip."""
    match plant.traits.tip:
        case "pointed":
            return base_power * 1.15, 0.95, None
        case "notched":
            return base_power, 0.20, pigment.notch(0.24)
        case "fringed":
            return base_power, 0.16, pigment.fringe(4, 0.24)
        case _:
            return base_power, 0.36, None


def _petals(
    plant: Individual,
    number: int,
    *,
    length: float,
    width: float,
    rise: tuple[float, float],
    radius: float = 0.0,
    height: float = 0.0,
    base_power: float = 0.5,
    cup: float = 0.1,
    ruffle: float = 0.0,
    offset: float = 0.0,
    jitter: float = 0.05,
    patterned: bool = True,
) -> Piece:
    """A whorl of petals around the axis."""
    draw = plant.random
    p, q, cut = _tip(plant, base_power)
    outline = Outline(
        length=length * plant.length, width=width, base_power=p, tip_power=q, rise=rise, cup=cup, ruffle=ruffle, waves=2.3
    )
    azimuth = 2 * np.pi * (np.arange(number) + offset) / number + draw.normal(0, jitter, number)
    size = 1 + draw.normal(0, jitter * 0.8, number)
    turn = about_z(azimuth) @ about_y(draw.normal(0, jitter * 1.2, number)) @ about_x(draw.normal(0, jitter * 2, number))
    turn = (turn * size[:, None, None]).astype(np.float32)
    # Neighbours overlap like tiles: every petal sits a hair higher than the one before.
    tile = height + 0.012 * (np.arange(number) % 2)
    shift = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), tile], axis=1)
    pattern = plant.traits.pattern if patterned else "plain"
    return Piece(
        mesh_AB3=blade(outline),
        turn_N33=turn,
        shift_N3=shift.astype(np.float32),
        material=pigment.petal(plant.colours, pattern, ratio=length / width, amount=plant.amount),
        cut=cut,
        gloss=0.05,
        translucency=0.55,
    )


def _disc(plant: Individual, radius: float, bulge: float, height: float) -> Piece:
    turn, shift = at_origin()
    return Piece(
        mesh_AB3=dome(radius, bulge),
        turn_N33=turn,
        shift_N3=shift + np.float32([0, 0, height]),
        material=pigment.seeds(plant.colours, rings=1.6 + radius),
    )


def _stamens(plant: Individual, number: int, *, length: float, spread: float, anther: float) -> list[Piece]:
    """Filaments that lean out by ``spread`` radians, each with an anther."""
    draw = plant.random
    azimuth = np.arange(number) * (_GOLDEN_ANGLE if number > 8 else 2 * np.pi / number)
    lean = spread * (np.sqrt((np.arange(number) + 0.5) / number) if number > 8 else 1 + draw.normal(0, 0.08, number))
    size = 1 + draw.normal(0, 0.06, number)
    path = curve([(0, 0, 0), (0.05, 0, 0.5 * length), (0.02, 0, length)], 6)
    turn = (about_z(azimuth) @ about_y(-lean) * size[:, None, None]).astype(np.float32)
    pale = plant.colours.throat * np.float32(0.9)
    filaments = Piece(
        mesh_AB3=tube(path, np.full(6, 0.016, np.float32), num_across=5),
        turn_N33=turn,
        shift_N3=np.zeros((number, 3), np.float32),
        material=pigment.plain(pale),
        translucency=0.3,
    )
    tips = np.einsum("nij,j->ni", turn, path[-1]).astype(np.float32)
    grains = Piece(
        mesh_AB3=revolved(anther * np.float32([0.1, 0.55, 0.7, 0.55, 0.1]), anther * np.float32([-1.7, -1.0, 0, 1.0, 1.7]), num_across=9),
        turn_N33=turn @ about_y(np.full(number, 1.2, np.float32)),
        shift_N3=tips,
        material=pigment.plain(plant.colours.centre, mottle=0.3),
    )
    return [filaments, grains]


def _rays(plant: Individual) -> list[Piece]:
    number = _number(plant, 8, 14, 24)
    width = _wide(plant, 0.8, 1.25) * {8: 0.36, 14: 0.25, 24: 0.17}[number]
    heart = _large(plant, 0.20, 0.38)
    end = _rise(plant, 0.05, 0.85, -0.75)
    start = _rise(plant, 0.15, 0.35, 0.25)
    layers = [
        _petals(
            plant, number, length=1.02 - heart * 0.75, width=width, rise=(start, end), radius=heart * 0.8, base_power=0.3, cup=0.25
        )
    ]
    return [*layers, _disc(plant, heart, 0.55 if plant.traits.hair == "smooth" else 0.9, 0.02)]


def _pompon(plant: Individual) -> list[Piece]:
    number = _number(plant, 8, 12, 16)
    width = _wide(plant, 0.8, 1.2) * {8: 0.40, 12: 0.30, 16: 0.24}[number]
    heart = _large(plant, 0.10, 0.24)
    layers = []
    for layer in range(4):
        start = 0.1 + 0.30 * layer
        rise = (start, start + _rise(plant, 0.05, 0.5, -0.5))
        layers.append(
            _petals(plant, number, length=1.0 - 0.17 * layer, width=width, rise=rise, radius=heart * 0.7, height=0.05 * layer,
                    base_power=0.35, cup=0.45, offset=0.5 * layer)
        )  # fmt: skip
    return [*layers, _disc(plant, heart, 0.7, 0.16)]


def _star(plant: Individual) -> list[Piece]:
    number = _number(plant, 5, 6, 8)
    width = _wide(plant, 0.8, 1.2) * {5: 0.40, 6: 0.38, 8: 0.30}[number]
    rise = (0.75, _rise(plant, 0.0, 0.75, -1.5))
    ruffle = 0.12 if plant.traits.hair == "hairy" else 0.0
    petals = _petals(plant, number, length=1.12, width=width, rise=rise, base_power=0.75, cup=0.2, ruffle=ruffle, radius=0.03)
    reach = _large(plant, 0.42, 0.72)
    return [petals, *_stamens(plant, 6, length=reach, spread=0.42, anther=_large(plant, 0.05, 0.085)), *_pistil(plant, reach * 1.2)]


def _pistil(plant: Individual, length: float) -> list[Piece]:
    turn, shift = at_origin()
    path = curve([(0, 0, 0), (0.03, 0.02, length * 0.5), (0, 0, length)], 6)
    green = plant.colours.leaf * 0.5 + plant.colours.throat * 0.5
    radius = np.float32([0.045, 0.03, 0.025, 0.025, 0.03, 0.06])
    return [Piece(mesh_AB3=tube(path, radius, num_across=7), turn_N33=turn, shift_N3=shift, material=pigment.plain(green))]


def _poppy(plant: Individual) -> list[Piece]:
    number = _number(plant, 4, 6, 10)
    width = _wide(plant, 0.85, 1.12) * {4: 1.05, 6: 0.82, 10: 0.6}[number]
    start, end = _rise(plant, 0.25, 0.75, 0.2), _rise(plant, 0.2, 1.0, -0.6)
    ruffle = 0.22 if plant.traits.hair == "hairy" else 0.08
    petals = [
        _petals(plant, number // 2, length=0.98 - 0.08 * layer, width=width, rise=(start + 0.12 * layer, end + 0.1 * layer),
                base_power=0.62, cup=0.22, ruffle=ruffle, offset=0.5 * layer, height=0.03 * layer)
        for layer in range(2)
    ]  # fmt: skip
    heart = _large(plant, 0.11, 0.2)
    turn, shift = at_origin()
    capsule = Piece(
        mesh_AB3=revolved(heart * np.float32([0.7, 1.0, 1.05, 0.95, 1.15, 0.05]), heart * np.float32([0, 0.5, 1.1, 1.6, 1.8, 2.0]), num_across=13),
        turn_N33=turn,
        shift_N3=shift,
        material=pigment.seeds(plant.colours, rings=0.6),
    )
    dark = plant.random.random() < 0.5
    stamens = _stamens(plant, 36 if plant.traits.centre == "large" else 20, length=_large(plant, 0.28, 0.42), spread=_rise(plant, 1.15, 0.6, 1.15), anther=0.035)
    if dark:
        ink = pigment.linear("2a1626")
        stamens = [_recoloured(piece, ink) for piece in stamens]
    return [*petals, capsule, *stamens]


def _recoloured(piece: Piece, rgb_3: Array) -> Piece:
    return Piece(
        mesh_AB3=piece.mesh_AB3, turn_N33=piece.turn_N33, shift_N3=piece.shift_N3, material=pigment.plain(rgb_3, mottle=0.3)
    )


def _open(plant: Individual) -> list[Piece]:
    number = _number(plant, 4, 5, 8)
    width = _wide(plant, 0.75, 1.1) * {4: 0.85, 5: 0.75, 8: 0.48}[number]
    rise = (_rise(plant, 0.2, 0.7, 0.4), _rise(plant, 0.0, 0.7, -0.8))
    petals = _petals(plant, number, length=0.95, width=width, rise=rise, base_power=0.7, cup=0.12, radius=0.05)
    heart = _large(plant, 0.12, 0.22)
    return [petals, _disc(plant, heart, 0.8, 0.03)]


def _cup(plant: Individual) -> list[Piece]:
    number = _number(plant, 5, 6, 8)
    width = _wide(plant, 0.85, 1.1) * {5: 0.85, 6: 0.78, 8: 0.6}[number]
    end = _rise(plant, 1.25, 1.95, 0.45)
    petals = [
        _petals(plant, max(3, number // 2), length=1.35, width=width, rise=(0.35, end + 0.08 * layer), base_power=0.55,
                cup=0.35, offset=0.5 * layer, height=0.03 * layer, jitter=0.03)
        for layer in range(2)
    ]  # fmt: skip
    return [*petals, *_stamens(plant, 6, length=_large(plant, 0.4, 0.7), spread=0.25, anther=0.06), *_pistil(plant, 0.6)]


def _trumpet(plant: Individual) -> list[Piece]:
    number = _number(plant, 5, 6, 8)
    width = _wide(plant, 0.8, 1.15) * {5: 0.6, 6: 0.55, 8: 0.42}[number]
    petals = _petals(plant, number, length=1.0, width=width, rise=(0.1, _rise(plant, 0.05, 0.6, -0.7)), base_power=0.6, radius=0.08,
                     patterned=plant.traits.pattern not in ("stripe", "band"))  # fmt: skip
    size = _large(plant, 0.8, 1.15)
    depth = _large(plant, 0.28, 0.75)
    turn, shift = at_origin()
    corona = Piece(
        mesh_AB3=revolved(size * np.float32([0.18, 0.24, 0.26, 0.28, 0.32, 0.42]), depth * np.linspace(0, 1, 6, dtype=np.float32),
                          num_across=33, lobes=8, lobing=0.10),
        turn_N33=turn,
        shift_N3=shift,
        material=_tinted(plant),
        translucency=0.4,
    )  # fmt: skip
    return [petals, corona, *_stamens(plant, 6, length=depth * 0.8, spread=0.15, anther=0.05)]


def _tinted(plant: Individual) -> pigment.Material:
    inner = Colours(petal=plant.colours.centre * 0.6 + plant.colours.throat * 0.4, throat=plant.colours.centre,
                    marking=plant.colours.marking, centre=plant.colours.centre, leaf=plant.colours.leaf,
                    stem=plant.colours.stem)  # fmt: skip
    return pigment.petal(inner, plant.traits.pattern, ratio=0.6, amount=plant.amount)


def _bell(plant: Individual) -> list[Piece]:
    """A bell that opens along its axis; the whole of it is about 1.5 long."""
    lobes = _number(plant, 4, 5, 8)
    girth = _wide(plant, 0.75, 1.15)
    flare = _rise(plant, 0.62, 0.42, 0.88)
    radius = girth * np.float32([0.05, 0.26, 0.36, 0.38, 0.40, 0.44, flare * 0.8 + 0.06, flare])
    height = np.float32([0, 0.10, 0.35, 0.62, 0.9, 1.12, 1.3, 1.3 + _rise(plant, 0.1, 0.22, -0.02)]) * plant.length
    cut: Cut | None = {
        "round": _rim(lobes, 0.10, 0.5), "pointed": _rim(lobes, 0.26, 1.0), "notched": _rim(lobes * 2, 0.13, 1.0),
        "fringed": _rim(lobes * 5, 0.16, 1.0),
    }[plant.traits.tip]  # fmt: skip
    turn, shift = at_origin()
    body = Piece(
        mesh_AB3=revolved(radius, height, num_across=25),
        turn_N33=turn,
        shift_N3=shift,
        material=_fluted(plant, lobes),
        cut=cut,
        gloss=0.12,
        translucency=0.45,
    )
    calyx = Piece(
        mesh_AB3=blade(Outline(length=0.42, width=0.16, base_power=0.3, tip_power=0.9, rise=(0.2, 1.4)), num_along=6, num_across=3),
        turn_N33=about_z(np.linspace(0, 2 * np.pi, 6)[:5]),
        shift_N3=np.zeros((5, 3), np.float32),
        material=pigment.plain(plant.colours.stem),
    )
    tongue = _stamens(plant, 3, length=_large(plant, 0.9, 1.75), spread=0.08, anther=_large(plant, 0.05, 0.1))
    return [body, calyx, *tongue]


def _rim(lobes: int, depth: float, sharpness: float) -> Cut:
    def cut(u: Array, v: Array) -> pigment.Mask:
        wave = np.abs((v * 0.5 + 0.5) * lobes % 1.0 - 0.5) * 2
        return np.asarray(u < 1 - depth * wave ** (2 / sharpness), np.bool_)

    return cut


def _fluted(plant: Individual, lobes: int) -> pigment.Material:
    """A bell's wall as so many petals side by side, so that every pattern fits it."""
    one = pigment.petal(plant.colours, plant.traits.pattern, ratio=2.2, amount=plant.amount)

    def material(u: Array, v: Array, copy: pigment.NDArray[np.int32]) -> Array:
        turned = (v * 0.5 + 0.5) * lobes
        place = np.floor(turned)
        return one(u, 2 * (turned - place) - 1, copy + place.astype(np.int32))

    return material


def _orchid(plant: Individual) -> list[Piece]:
    """Three sepals, two broad petals and a lip, mirror-symmetric about the vertical (+y of the flower's frame)."""
    broad = _wide(plant, 0.7, 1.05)
    bend = _rise(plant, 0.0, 0.6, -0.7)
    p, q, cut = _tip(plant, 0.5)
    up = np.pi / 2

    def part(azimuths: Sequence[float], outline: Outline, height: float, cut: Cut | None, colours: Colours) -> Piece:
        angle = np.array(azimuths) + plant.random.normal(0, 0.03, len(azimuths))
        ratio = outline.length / outline.width
        return Piece(
            mesh_AB3=blade(outline),
            turn_N33=about_z(angle),
            shift_N3=np.tile(np.float32([0, 0, height]), (len(azimuths), 1)),
            material=pigment.petal(colours, plant.traits.pattern, ratio=ratio, amount=plant.amount),
            cut=cut,
            gloss=0.08,
            translucency=0.5,
        )

    sides = {"few": (), "several": (up - 2.25, up + 2.25), "many": (up - 0.75, up + 0.75, up - 2.25, up + 2.25)}
    sepal = Outline(length=0.98, width=0.30 + 0.16 * broad, base_power=0.5, tip_power=0.7, rise=(0.05, bend * 0.7), cup=0.2)
    wing = Outline(length=0.98 * plant.length, width=0.82 * broad, base_power=p, tip_power=q, rise=(0.15, bend), cup=0.1, ruffle=0.08)
    size = _large(plant, 0.50, 0.80)
    lip = Outline(length=size, width=size, base_power=0.7, tip_power=0.25, rise=(0.75, -0.9), cup=0.45, ruffle=0.2)
    lip_colours = replace(plant.colours, petal=plant.colours.marking, throat=plant.colours.centre, marking=plant.colours.petal)
    lip_cut = pigment.notch(0.22) if plant.traits.hair == "smooth" else pigment.fringe(6, 0.2)
    column = Piece(
        mesh_AB3=dome(0.10, 1.6),
        turn_N33=about_x(np.array([0.3], np.float32)),
        shift_N3=np.float32([[0, 0.05, 0.10]]),
        material=pigment.plain(plant.colours.throat, tip_3=plant.colours.centre),
        gloss=0.3,
    )
    return [
        part((up, *sides[plant.traits.number]), sepal, 0.0, None, plant.colours),
        part((up - 1.3, up + 1.3), wing, 0.05, cut, plant.colours),
        part((-up,), lip, 0.10, lip_cut, lip_colours),
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
