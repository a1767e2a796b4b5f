"""Files that would keep a reader busy before their first pixel are known by their parts."""

import struct
import time

import pytest

from earthsnap_train.data.image_file import ImageRefused, decoding_cost, open_header, open_rgb
from earthsnap_train.data.structure import MAX_PARTS, absurdity, num_exif_entries
from tests.serving.hostile import chunk, encoded, jpeg, picture, png, segment, with_segments, zeros

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "GIF", "TIFF", "BMP", "AVIF")


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_photograph_is_not_absurd(image_format: str) -> None:
    whole = encoded(image_format)
    assert absurdity(whole) == ""
    for cut in range(0, len(whole), 7):
        assert absurdity(whole[:cut]) == ""


def test_as_many_parts_as_a_camera_may_write_are_allowed_and_more_are_not() -> None:
    assert absurdity(with_segments(segment(0xE5, b"x") * (MAX_PARTS - 10))) == ""
    assert "segments" in absurdity(with_segments(segment(0xE5, b"x") * MAX_PARTS))
    assert absurdity(png(8, 8, pixels=zeros(200), before=chunk(b"teSt", b"") * (MAX_PARTS - 10))) == ""
    assert "chunks" in absurdity(png(8, 8, pixels=zeros(200), before=chunk(b"teSt", b"") * MAX_PARTS))


@pytest.mark.parametrize(("order", "sign"), [(b"II*\0", "<"), (b"MM\0*", ">")])
def test_entries_of_exif_are_counted_without_reading_them(order: bytes, sign: str) -> None:
    assert num_exif_entries(b"Exif\0\0" + order + struct.pack(f"{sign}IH", 8, 4_321)) == 4_321


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"II*\0", b"II*\0\xff\xff\xff\xff", b"XX*\0\x08\0\0\0\1\0"])
def test_exif_that_cannot_be_read_has_no_count(exif: bytes) -> None:
    assert num_exif_entries(exif) == -1


def test_looking_at_parts_takes_no_longer_for_a_file_of_nothing_else() -> None:
    worst = with_segments(segment(0xEF, b"") * 1_000_000)
    small = with_segments(segment(0xEF, b"") * MAX_PARTS)

    def seconds(data: bytes) -> float:
        begun = time.perf_counter()
        for _ in range(20):
            absurdity(data)
        return time.perf_counter() - begun

    assert seconds(worst) < 20 * seconds(small)


def _absurd() -> dict[str, bytes]:
    entries = b"II*\0" + struct.pack("<IH", 8, 4_000) + struct.pack("<HHII", 0x0110, 2, 4, 0) * 4_000
    scans = jpeg(progressive=True)
    at = scans.rindex(b"\xff\xda")
    return {
        "segments": with_segments(segment(0xEF, b"") * 100_000),
        "filling": b"\xff\xd8" + b"\xff" * 100_000 + jpeg()[2:],
        "entries": with_segments(segment(0xE1, b"Exif\0\0" + entries)),
        "exif segments": with_segments(segment(0xE1, b"Exif\0\0" + bytes(1_000)) * 200),
        "scans": scans[:-2] + scans[at:-2] * 500 + b"\xff\xd9",
        "chunks": png(8, 8, pixels=zeros(200), before=chunk(b"teSt", b"") * 100_000),
        "chunks of pixels": png(8, 8, pixels=zeros(200), before=chunk(b"IDAT", b"") * 100_000),
    }


@pytest.mark.parametrize("name", _absurd())
def test_what_is_absurd_is_refused_wherever_photographs_are_opened(name: str) -> None:
    with pytest.raises(ImageRefused) as refused:
        open_rgb(_absurd()[name], max_megapixels=60)
    assert refused.value.code == "undecodable"


# ---- what decoding costs


def test_a_baseline_jpeg_costs_little_and_what_must_be_held_whole_costs_much() -> None:
    large = picture(3_000, 2_000)
    costs = {
        name: decoding_cost(open_header(data, max_megapixels=60), 448)
        for name, data in {
            "jpeg": jpeg_of(large), "progressive": jpeg_of(large, progressive=True), "png": encoded("PNG", large),
            "rgba": encoded("PNG", large.convert("RGBA")), "webp": encoded("WEBP", large), "heic": encoded("HEIF", large),
        }.items()
    }  # fmt: skip
    assert costs["jpeg"].mb < 12
    assert costs["jpeg"].ms < 25
    assert costs["jpeg"].mb < costs["progressive"].mb < costs["heic"].mb
    assert costs["png"].mb < costs["heic"].mb < costs["webp"].mb
    assert costs["rgba"].mb > 3 * costs["png"].mb
    assert min(cost.ms for name, cost in costs.items() if name != "jpeg") > 100


def jpeg_of(image: object, **options: object) -> bytes:
    return encoded("JPEG", image, **options)  # type: ignore[arg-type]


def test_a_jpeg_that_is_not_reduced_costs_all_of_its_pixels() -> None:
    flat = jpeg_of(picture(6_000, 300))
    assert decoding_cost(open_header(flat, max_megapixels=60), 448).mb > 4 * 1.8
    assert decoding_cost(open_header(jpeg(), max_megapixels=60), None).mb < 1
