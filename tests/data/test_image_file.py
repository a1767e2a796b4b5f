"""Opening bytes that come from outside."""

import io
import pickle
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from earthsnap_train.data.formats import named_like
from earthsnap_train.data.image_file import ImageRefused, lacks_only_end_marker, open_header, open_rgb


def _photo(width: int = 96, height: int = 64) -> Image.Image:
    """Smooth colours, dark on the left and bright on the right."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    wave = 0.5 + 0.5 * np.sin(9 * x + 5 * y)
    return Image.fromarray((255 * np.stack([x, 0.6 * y + 0.2, wave * x], axis=2)).astype(np.uint8))


def _bytes(image: Image.Image, image_format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _open(data: bytes, shorter_px: int | None = None) -> Image.Image:
    return open_rgb(data, max_megapixels=100, shorter_px=shorter_px)


def _difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b.convert("RGB"), np.float64)).mean())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_every_allowed_format_opens_as_the_same_picture(image_format: str) -> None:
    opened = _open(_bytes(_photo(), image_format))
    assert opened.mode == "RGB"
    assert opened.size == (96, 64)
    assert _difference(opened, _photo()) < 8


def test_heic_opens_upright() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    pillow_heif.from_pillow(_photo()).save(buffer, exif=exif.tobytes())
    opened = _open(buffer.getvalue())
    assert opened.size == (64, 96)
    assert _difference(opened, _photo().transpose(Image.Transpose.ROTATE_270)) < 12


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "undo"), [(6, Image.Transpose.ROTATE_90), (2, Image.Transpose.FLIP_LEFT_RIGHT)]
)
def test_a_turned_photograph_is_put_upright(image_format: str, orientation: int, undo: Image.Transpose) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = _open(_bytes(_photo().transpose(undo), image_format, exif=exif))
    assert opened.size == (96, 64)
    assert _difference(opened, _photo()) < 8


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1", "LA"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    photo = _photo().convert(mode)
    image_format = "JPEG" if mode in ("L", "CMYK") else "PNG"
    assert _difference(_open(_bytes(photo, image_format)), photo) < 8


def test_16_bits_a_sample_keep_their_range_of_greys() -> None:
    grey = np.asarray(_photo().convert("L"))
    opened = _open(_bytes(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"))
    np.testing.assert_array_equal(np.asarray(opened)[..., 0], grey)


def test_transparency_is_laid_on_white() -> None:
    photo = _photo().convert("RGBA")
    photo.putalpha(0)
    assert np.asarray(_open(_bytes(photo, "PNG"))).min() == 255


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    opened = _open(_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert opened.getpixel((5, 5)) == (255, 0, 0)


def test_reduced_decoding_never_goes_below_the_size_asked_for() -> None:
    data = _bytes(_photo(1200, 900))
    assert _open(data, shorter_px=160).size == (300, 225)
    assert _open(data, shorter_px=500).size == (1200, 900)
    assert _difference(_open(data, shorter_px=160), _photo(300, 225)) < 4


def test_a_jpeg_that_lacks_only_its_end_marker_is_read_in_full() -> None:
    whole = _bytes(_photo())
    assert _difference(_open(whole[:-2]), _open(whole)) == 0
    assert _difference(_open(whole[:-1]), _open(whole)) == 0


@pytest.mark.parametrize("lost", [6, 12, 40, 400])
def test_a_jpeg_that_lacks_pixels_is_refused(lost: int) -> None:
    data = _bytes(_photo())[:-lost]
    assert not lacks_only_end_marker(data)
    with pytest.raises(ImageRefused) as refused:
        _open(data)
    assert refused.value.code == "truncated"


def _png_that_claims(width: int, height: int) -> bytes:
    """A header alone: 57 bytes that a careless reader would meet with gigabytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "empty_file", "no bytes"),
        (b"<!DOCTYPE html><html>404</html>", "not_an_image", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not_an_image", "git lfs pull"),
        (random.Random(0).randbytes(500), "not_an_image", "no known image format"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_format", "SVG"),
        (b"%PDF-1.7 ...", "unsupported_format", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_format", "PostScript"),
        (_png_that_claims(20_000, 10_000), "too_many_pixels", "200"),
        (_png_that_claims(50_000, 50_000), "too_many_pixels", "2500000000"),
        (_png_that_claims(64, 64), "undecodable", "cannot load"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(data: bytes, code: str, words: str) -> None:
    with pytest.raises(ImageRefused, match=words) as refused:
        _open(data)
    assert refused.value.code == code


def test_the_limit_of_megapixels_is_checked_before_decoding() -> None:
    with pytest.raises(ImageRefused, match=r"more than the 0\.001 allowed"):
        open_header(_bytes(_photo()), max_megapixels=0.001)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damaged_bytes_give_a_picture_or_a_refusal_and_nothing_else(image_format: str) -> None:
    rng = random.Random(1)
    whole = _bytes(_photo(48, 32), image_format)
    outcomes = set()
    for trial in range(80):
        broken = bytearray(whole[: rng.randrange(1, len(whole))] if trial % 4 == 0 else whole)
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        try:
            with warnings.catch_warnings(action="ignore"):
                outcomes.add(_open(bytes(broken), shorter_px=16).mode)
        except ImageRefused as refused:
            outcomes.add(refused.code)
    assert "RGB" in outcomes
    assert outcomes <= {"RGB", "not_an_image", "unsupported_format", "too_many_pixels", "truncated", "undecodable"}


def test_a_refusal_survives_the_way_between_processes() -> None:
    refused = pickle.loads(pickle.dumps(ImageRefused("truncated", "half of it")))
    assert (refused.code, str(refused)) == ("truncated", "half of it")


def test_extensions_are_compared_with_the_content() -> None:
    assert named_like("JPEG", "JPG")
    assert named_like("MPO", "jpeg")
    assert not named_like("PNG", "jpg")
