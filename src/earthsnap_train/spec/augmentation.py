"""What ``conf/training/`` declares under ``augmentation``: how training alone varies photographs."""

from typing import Annotated

from pydantic import Field

from earthsnap_train.spec.model import SpecModel

Fraction = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, lt=1)]
Alpha = Annotated[float, Field(gt=0)]


class ColourJitter(SpecModel):
    """Brightness, contrast, saturation: multiplied by 1 +- strength. Hue: turned by at most that share of a circle."""

    brightness: Strength
    contrast: Strength
    saturation: Strength
    hue: Annotated[float, Field(ge=0, le=0.5)]


class Augmentation(SpecModel):
    """Applied in this order, the last two to a whole batch.

    ``scale_min``: least share of the area that a random crop keeps. ``ratio_max``: the crop's widest aspect ratio, and
    one over it the narrowest. ``rotation_deg``: turned by at most this much either way. ``colour_jitter``: ``null``
    leaves colours alone. ``random_erasing``: probability that a rectangle is blanked, ``null`` never. ``mixup`` (Zhang et al.,
    ICLR 2018) and ``cutmix`` (Yun et al., ICCV 2019): the alpha of the Beta distribution that a pair's shares are drawn
    from, ``null`` mixes nothing; with both, each batch gets one of them.
    """

    scale_min: Annotated[float, Field(gt=0, le=1)]
    ratio_max: Annotated[float, Field(ge=1, le=4)]
    rotation_deg: Annotated[float, Field(ge=0, le=180)]
    horizontal_flip: bool
    colour_jitter: ColourJitter | None
    random_erasing: Fraction | None
    mixup: Alpha | None
    cutmix: Alpha | None
