import numpy as np
import pytest
from PIL import Image, ImageDraw

from earthsnap_train.data.preprocess import Interpolation, Preprocessing, prepare

HALF = Preprocessing(image_px=64, crop_fraction=0.5, interpolation="bicubic")


def drawing(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), (40, 90, 30))
    draw = ImageDraw.Draw(image)
    for step in range(0, max(width, height), 16):
        draw.ellipse((step, step / 2, step + 40, step / 2 + 25), fill=(step % 255, 200, (3 * step) % 255))
    return image


def test_the_array_is_channels_first_bytes() -> None:
    array = prepare(Image.new("RGB", (300, 200), (255, 128, 0)), HALF)
    assert (array.shape, array.dtype, array.flags.c_contiguous) == ((3, 64, 64), np.uint8, True)
    assert [int(channel.mean()) for channel in array] == [255, 128, 0]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("width", "height"), [(301, 200), (200, 301), (97, 97), (1500, 1200)])
def test_it_shows_what_resizing_and_then_cropping_the_centre_shows(
    width: int, height: int, interpolation: Interpolation
) -> None:
    preprocessing = Preprocessing(image_px=112, crop_fraction=0.875, interpolation=interpolation)
    image = drawing(width, height)
    scale = 128 / min(width, height)
    resampling = Image.Resampling[interpolation.upper()]
    resized = image.resize((round(width * scale), round(height * scale)), resampling)
    left, top = (resized.width - 112) // 2, (resized.height - 112) // 2
    expected = np.asarray(resized.crop((left, top, left + 112, top + 112))).transpose(2, 0, 1)
    assert np.abs(prepare(image, preprocessing).astype(float) - expected).mean() < 4


def test_the_crop_keeps_the_centre() -> None:
    image = Image.new("RGB", (400, 200))
    image.paste((255, 255, 255), (150, 50, 250, 150))
    assert prepare(image, HALF).min() > 220  # the filter reaches a pixel beyond the crop


def test_a_whole_crop_reaches_both_ends_of_the_shorter_side() -> None:
    image = Image.new("RGB", (100, 50))
    image.paste((255, 0, 0), (25, 0, 75, 50))
    array = prepare(image, Preprocessing(image_px=50, crop_fraction=1.0, interpolation="bilinear"))
    assert array[0].min() == 255


def test_a_photograph_that_is_too_small_is_enlarged() -> None:
    assert prepare(drawing(20, 30), HALF).shape == (3, 64, 64)
