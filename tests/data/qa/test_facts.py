"""What is measured about one file."""

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter

from earthsnap_train.data.qa.facts import Facts, measure

Photo = Callable[..., Image.Image]
Encode = Callable[..., bytes]


def _measure(data: bytes) -> Facts:
    return measure(data, max_megapixels=178)


def _codes(facts: Facts) -> set[str]:
    return {code for code, _ in facts.notes}


def test_a_good_photograph_has_its_size_and_nothing_to_note(photo: Photo, jpeg: Encode) -> None:
    facts = _measure(jpeg(photo(1)))
    assert (facts.refused, facts.notes) == (None, ())
    assert (facts.format, facts.mode, facts.width, facts.height) == ("JPEG", "RGB", 200, 160)


def test_size_is_that_of_the_whole_upright_picture_even_where_less_is_decoded(photo: Photo, jpeg: Encode) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = _measure(jpeg(photo(1, 1600, 1200), exif=exif))
    assert (facts.width, facts.height) == (1200, 1600)
    assert _codes(facts) == {"exif_orientation"}


def test_brightness_and_contrast_are_shares_of_the_range(jpeg: Encode) -> None:
    grey = _measure(jpeg(Image.new("RGB", (64, 64), (51, 51, 51))))
    assert grey.brightness == pytest.approx(0.2, abs=0.01)
    assert (grey.contrast, grey.sharpness) == (0, 0)


def test_blurring_takes_sharpness_away(photo: Photo, jpeg: Encode) -> None:
    sharp, soft = (
        _measure(jpeg(image)).sharpness for image in (photo(1), photo(1).filter(ImageFilter.GaussianBlur(4)))
    )
    assert soft < 0.3 * sharp


def test_sharpness_hardly_depends_on_the_size_of_the_file(photo: Photo, jpeg: Encode) -> None:
    small = photo(1)
    large = small.resize((small.width * 6, small.height * 6), Image.Resampling.BICUBIC)
    assert _measure(jpeg(large)).sharpness > 0.5 * _measure(jpeg(small)).sharpness


def test_the_hash_survives_scaling_and_the_mirrored_hash_is_that_of_the_mirror_image(
    photo: Photo, jpeg: Encode
) -> None:
    facts = _measure(jpeg(photo(3)))
    scaled = _measure(jpeg(photo(3).resize((320, 256)), quality=60))
    mirrored = _measure(jpeg(photo(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    other = _measure(jpeg(photo(4)))
    assert (facts.phash ^ scaled.phash).bit_count() <= 4
    assert (facts.phash ^ mirrored.phash_mirrored).bit_count() <= 2
    assert (facts.phash ^ other.phash).bit_count() > 16


@pytest.mark.parametrize(
    ("mode", "image_format", "code"),
    [
        ("L", "JPEG", "color_mode"),
        ("CMYK", "JPEG", "color_mode"),
        ("P", "PNG", "color_mode"),
        ("RGBA", "PNG", "alpha_channel"),
    ],
)
def test_other_colour_modes_are_noted(photo: Photo, mode: str, image_format: str, code: str) -> None:
    buffer = io.BytesIO()
    photo(1).convert(mode).save(buffer, image_format)
    assert _codes(_measure(buffer.getvalue())) == {code}


def test_16_bits_and_several_frames_are_noted(photo: Photo) -> None:
    deep, moving = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.asarray(photo(1).convert("L")).astype(np.uint16) * 257).save(deep, "PNG")
    photo(1).save(moving, "WEBP", save_all=True, append_images=[photo(2)])
    assert _codes(_measure(deep.getvalue())) == {"bit_depth"}
    assert _codes(_measure(moving.getvalue())) == {"multi_frame"}


def test_coordinates_and_broken_metadata_are_noted(photo: Photo, jpeg: Encode) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    assert _codes(_measure(jpeg(photo(1), exif=exif))) == {"private_metadata"}
    broken = b"Exif\0\0II*\0\xff\xff\xff\x7f"
    assert _codes(_measure(jpeg(photo(1), exif=broken))) == {"bad_metadata"}


def test_a_lost_end_marker_is_noted_and_the_picture_is_whole(photo: Photo, jpeg: Encode) -> None:
    whole = jpeg(photo(1))
    facts = _measure(whole[:-2])
    assert _codes(facts) == {"truncated"}
    assert facts.outline == _measure(whole).outline


def test_bytes_behind_the_picture_are_noted_but_not_those_of_a_camera(photo: Photo, jpeg: Encode) -> None:
    data = jpeg(photo(1))
    assert _codes(_measure(data + b"PK\x05\x06" + bytes(18))) == {"trailing_bytes"}
    for from_a_camera in (bytes(100), jpeg(photo(2)), b"\0\0\0\x18ftypmp42", b"....SEFT"):
        assert _codes(_measure(data + from_a_camera)) == set()


def test_an_overwritten_scan_is_noticed_more_often_than_not_and_a_whole_one_never(photo: Photo, jpeg: Encode) -> None:
    rng = random.Random(0)
    num_noticed = 0
    for seed in range(30):
        data = jpeg(photo(seed))
        middle = len(data) // 2
        broken = data[:middle] + bytes(rng.randrange(255) for _ in range(400)) + data[middle + 400 :]
        num_noticed += "corrupt_data" in _codes(_measure(broken))
        assert not _codes(_measure(data))
    assert num_noticed > 15


def test_a_painted_frame_is_no_damage(photo: Photo, jpeg: Encode) -> None:
    framed = Image.new("RGB", (216, 192), "black")
    framed.paste(photo(1), (8, 16))
    assert not _codes(_measure(jpeg(framed)))
