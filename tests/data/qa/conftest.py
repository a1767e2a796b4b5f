"""Pictures with the grain of photographs, drawn from a seed."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image


def draw(seed: int, width: int = 200, height: int = 160) -> Image.Image:
    """Soft patches of colour under finer ones: no two seeds alike, in outline or in detail."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        ).astype(float)
        for cells in (5, 80)
    ]
    return Image.fromarray((0.7 * layers[0] + 0.3 * layers[1]).astype(np.uint8))


@pytest.fixture
def photo() -> Callable[..., Image.Image]:
    return draw


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    def encode(image: Image.Image, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **{"quality": 88} | options)
        return buffer.getvalue()

    return encode
