"""What ``conf/training/`` declares under ``augmentation``: how training alone varies photographs."""

from typing import Annotated

from pydantic import Field

from earthsnap_train.spec.model import SpecModel

Fraction = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, lt=1)]


class ColourJitter(SpecModel):
    """Brightness, contrast and saturation are multiplied by 1 +- strength, hue is turned by at most ``hue`` of the circle."""

    brightness: Strength
    contrast: Strength
    saturation: Strength
    hue: Annotated[float, Field(ge=0, le=0.5)]


class Augmentation(SpecModel):
    """Applied in this order.

    ``scale_min``: least share of the area that a random crop keeps (1 keeps all); ``ratio_max``: its widest aspect ratio, and
    one over it the narrowest (1 for squares alone). ``rotation_deg``: turned by at most this much either way; 0 never.
    ``random_erasing``: probability that a rectangle is blanked; ``null`` never, and ``colour_jitter: null`` leaves colours.
    """

    scale_min: Annotated[float, Field(gt=0, le=1)]
    ratio_max: Annotated[float, Field(ge=1, le=4)]
    rotation_deg: Annotated[float, Field(ge=0, le=180)]
    horizontal_flip: bool
    colour_jitter: ColourJitter | None
    random_erasing: Fraction | None
