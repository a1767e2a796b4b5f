"""The one preparation that validation, evaluation and serving share: resize the shorter side, crop the centre."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Interpolation = Literal["bilinear", "bicubic", "lanczos"]

RESAMPLING: Final[dict[Interpolation, Image.Resampling]] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Shrinking by a whole factor first, down to this many times the goal, is indistinguishable and several times faster.
_REDUCING_GAP: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """``image_px``: what the network sees; ``crop_fraction``: the share of the shorter side that the crop keeps."""

    image_px: int
    crop_fraction: float
    interpolation: Interpolation

    @property
    def shorter_px(self) -> int:
        """The shorter side just before the crop."""
        return round(self.image_px / self.crop_fraction)

    @property
    def decode_px(self) -> int:
        """How small ``open_rgb`` may decode a JPEG: below twice the goal, sharpness is lost that one can see."""
        return 2 * self.shorter_px


def prepare(image: Image.Image, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """An RGB photograph as [3, image_px, image_px]; values stay 0 to 255, for the network normalises them itself.

    Only the square that the crop keeps is resampled, so the whole resized photograph never exists.
    """
    side = min(image.size) * preprocessing.image_px / preprocessing.shorter_px
    left, top = (image.width - side) / 2, (image.height - side) / 2
    square = image.resize(
        (preprocessing.image_px, preprocessing.image_px),
        resample=RESAMPLING[preprocessing.interpolation],
        box=(left, top, left + side, top + side),
        reducing_gap=_REDUCING_GAP,
    )
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
