"""What flowers are made of: whorls of petals, discs, stamens and pistils, as a species' traits shape them."""

from dataclasses import dataclass

import numpy as np

from earthsnap_train.data.flora import pigment
from earthsnap_train.data.flora.pigment import Colours
from earthsnap_train.data.flora.species import Traits
from earthsnap_train.data.flora.surface import (
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
    dome,
    piece,
    revolved,
    sized,
    tube,
)

GOLDEN_ANGLE = 2.39996323


@dataclass(frozen=True, kw_only=True)
class Individual:
    """One plant: the species' traits, its own colours, and small deviations (about 1) in how they are carried out."""

    traits: Traits
    colours: Colours
    length: float
    width: float
    amount: float
    random: np.random.Generator

    def number(self, few: int, several: int, many: int) -> int:
        return {"few": few, "several": several, "many": many}[self.traits.number]

    def wide(self, narrow: float, broad: float) -> float:
        return self.width * (narrow if self.traits.width == "narrow" else broad)

    def large(self, small: float, large: float) -> float:
        return small if self.traits.centre == "small" else large

    def rise(self, open_: float, cupped: float, reflexed: float) -> float:
        return {"open": open_, "cupped": cupped, "reflexed": reflexed}[self.traits.bearing]

    def hairy(self, smooth: float, hairy: float) -> float:
        return smooth if self.traits.hair == "smooth" else hairy


def tip(plant: Individual, base_power: float) -> tuple[float, float, Cut | None]:
    """The powers of a petal's outline, and what is cut out of its tip."""
    match plant.traits.tip:
        case "pointed":
            return base_power * 1.15, 0.95, None
        case "notched":
            return base_power, 0.20, pigment.notch(0.24)
        case "fringed":
            return base_power, 0.16, pigment.fringe(4, 0.24)
        case "round":
            return base_power, 0.36, None


def petals(
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
) -> Piece:
    """A whorl around the axis, no petal quite like the next. ``offset``: of the first petal, in petals."""
    draw = plant.random
    base_power, tip_power, cut = tip(plant, base_power)
    outline = Outline(
        length=length * plant.length,
        width=width,
        base_power=base_power,
        tip_power=tip_power,
        rise=rise,
        cup=cup,
        ruffle=ruffle,
        waves=2.3,
    )
    azimuth = 2 * np.pi * (np.arange(number) + offset) / number + draw.normal(0, jitter, number)
    raised, rolled = draw.normal(0, 1.2 * jitter, number), draw.normal(0, 2 * jitter, number)
    # Neighbours overlap like tiles: every other petal sits a hair higher.
    level = height + 0.012 * (np.arange(number) % 2)
    return piece(
        blade(outline),
        pigment.petal(plant.colours, plant.traits.pattern, ratio=length / width, amount=plant.amount),
        turn=sized(about_z(azimuth) @ about_y(raised) @ about_x(rolled), 1 + draw.normal(0, 0.8 * jitter, number)),
        shift=np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), level], axis=1),
        cut=cut,
        gloss=0.05,
        translucency=0.55,
    )


def disc(plant: Individual, radius: float, bulge: float, height: float) -> Piece:
    return piece(dome(radius, bulge), pigment.seeds(plant.colours, rings=1.6 + radius), shift=(0, 0, height))


def stamens(
    plant: Individual, number: int, *, length: float, spread: float, anther: float, grains: Material | None = None
) -> list[Piece]:
    """Filaments that lean out by up to ``spread`` radians, each with an anther of the centre's colour."""
    draw = plant.random
    if number > 8:
        azimuth = np.arange(number) * GOLDEN_ANGLE
        lean = spread * np.sqrt((np.arange(number) + 0.5) / number)
    else:
        azimuth = np.arange(number) * 2 * np.pi / number
        lean = spread * (1 + draw.normal(0, 0.08, number))
    turn = sized(about_z(azimuth) @ about_y(-lean), 1 + draw.normal(0, 0.06, number))
    path = curve([(0, 0, 0), (0.05, 0, 0.5 * length), (0.02, 0, length)], 6)
    pale = plant.colours.throat * np.float32(0.9)
    grain = anther * array([[0.1, 0.55, 0.7, 0.55, 0.1], [-1.7, -1.0, 0, 1.0, 1.7]])
    return [
        piece(tube(path, 0.016, num_across=5), pigment.plain(pale), turn=turn, translucency=0.3),
        piece(
            revolved(grain[0], grain[1], num_across=9),
            grains or pigment.plain(plant.colours.centre, mottle=0.3),
            turn=turn @ about_y(1.2),
            shift=turn @ path[-1],
        ),
    ]


def pistil(plant: Individual, length: float) -> Piece:
    path = curve([(0, 0, 0), (0.03, 0.02, length * 0.5), (0, 0, length)], 6)
    green = plant.colours.leaf * 0.5 + plant.colours.throat * 0.5
    return piece(tube(path, [0.045, 0.03, 0.025, 0.025, 0.03, 0.06], num_across=7), pigment.plain(array(green)))
