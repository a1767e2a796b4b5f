"""The one preparation that validation, evaluation and serving share: resize the shorter side, crop the centre."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from earthsnap_train.data.formats import READ
from earthsnap_train.data.image_file import decode_rgb, open_header

Interpolation = Literal["bilinear", "bicubic", "lanczos"]

RESAMPLING: Final[dict[Interpolation, Image.Resampling]] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Shrinking by a whole factor first, down to this many times the goal, is indistinguishable and several times faster.
_REDUCING_GAP: Final = 3.0
# A JPEG is decoded at no less than this many times the size wanted: at once the size, libjpeg's scaling costs up to
# 10 dB; at twice it costs less than storing the result as JPEG again (``benchmarks/records``).
DECODE_MARGIN: Final = 2


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


def prepare_file(
    data: bytes, preprocessing: Preprocessing, *, max_megapixels: float, formats: Sequence[str] = READ
) -> npt.NDArray[np.uint8]:
    """A photograph as it was taken, [3, image_px, image_px]: what evaluation and serving do with every one.

    Raises ``ImageRefused``.
    """
    return prepare_opened(open_header(data, max_megapixels=max_megapixels, formats=formats), data, preprocessing)


def prepare_opened(image: Image.Image, data: bytes, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """As ``prepare_file``, of what ``open_header`` opened; ``data`` are the same bytes."""
    return prepare(decode_rgb(image, data, shorter_px=decoded_px(preprocessing)), preprocessing)


def decoded_px(preprocessing: Preprocessing) -> int:
    """The least shorter side at which a photograph is decoded."""
    return DECODE_MARGIN * preprocessing.shorter_px
