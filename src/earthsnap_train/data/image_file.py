"""The one place where bytes from outside become an image: checked from the header first, decoded second, always RGB.

Everything that opens a photograph (QA, records, evaluation, serving) opens it here, so that all of them refuse the same
files for the same reasons and see the same pixels: turned upright, first frame, transparency laid on white.
"""

import functools
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from earthsnap_train.data.formats import READ
from earthsnap_train.data.formats import extension_of as extension_of
from earthsnap_train.data.structure import MAX_EXIF_ENTRIES, absurdity, num_exif_entries
from earthsnap_train.errors import DataError
from earthsnap_train.spec.dataset import FindingCode

_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))
_KNOWN_OTHERS = {
    b"8bps": "Photoshop", b"%pdf": "PDF", b"%!ps": "PostScript", b"\0\0\0\x0cjp": "JPEG 2000",
    b"gif8": "GIF", b"ii*\0": "TIFF", b"mm\0*": "TIFF", b"bm": "BMP",
}  # fmt: skip
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEG_END = b"\xff\xd9"
_JPEG_NOISE = b"\xa5\x3c" * 64

# What Pillow warns of (many pixels, odd metadata) is refused here or is a finding of QA, not a line on a terminal.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageRefused(DataError):  # it is the photograph that is refused
    """These bytes cannot be used as a photograph.

    ``code``: ``empty_file``, ``not_an_image``, ``unsupported_format``, ``too_many_pixels``, ``truncated``,
    ``undecodable``.
    """

    def __init__(self, code: FindingCode, what: str) -> None:
        super().__init__(what)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.code, self.what))


def open_rgb(
    data: bytes, *, max_megapixels: float, shorter_px: int | None = None, formats: Sequence[str] = READ
) -> Image.Image:
    """The photograph in ``data``, upright and RGB; raises ``ImageRefused``.

    With ``shorter_px`` a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as its shorter side
    keeps that many pixels: several times faster on photographs from cameras.
    """
    return decode_rgb(open_header(data, max_megapixels=max_megapixels, formats=formats), data, shorter_px=shorter_px)


def open_header(data: bytes, *, max_megapixels: float, formats: Sequence[str] = READ) -> Image.Image:
    """Format, mode and size, without decoding a pixel; raises ``ImageRefused``, also above ``max_megapixels``."""
    if not data:
        raise ImageRefused("empty_file", "the file has no bytes")
    if absurd := absurdity(data):
        raise ImageRefused("undecodable", absurd)
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_formats_for(data, formats))
    except Image.DecompressionBombError as error:
        raise ImageRefused("too_many_pixels", str(error)) from error
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:  # readers meet hostile bytes with whatever exception comes first
        raise ImageRefused("undecodable", f"{type(error).__name__}: {error}") from error
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        raise ImageRefused("too_many_pixels", f"{megapixels:.0f} megapixels, more than the {max_megapixels:g} allowed")
    return image


def decode_rgb(image: Image.Image, data: bytes, *, shorter_px: int | None = None) -> Image.Image:
    """Decode what ``open_header`` opened; ``data`` are the same bytes. Raises ``ImageRefused``."""
    image = _loaded(image, data, shorter_px)
    orientation = exif_orientation(image)  # only now: a PNG may carry its metadata behind its pixels
    rgb = _as_rgb(image)
    return rgb.transpose(_TURNS[orientation]) if orientation in _TURNS else rgb


class Cost(NamedTuple):
    """What decoding a photograph takes at its peak, about: MB of memory, and milliseconds of one core."""

    mb: float
    ms: float


# Bytes and milliseconds a megapixel, measured on 12 megapixels with Pillow 13 and pillow-heif 1.8.
_COSTS: Mapping[str, Cost] = {
    "JPEG": Cost(0.4, 3.0), "PNG": Cost(5.0, 50.0), "WEBP": Cost(17.0, 50.0), "HEIF": Cost(8.0, 80.0),
}  # fmt: skip
_LAYING_ON_WHITE = Cost(16.0, 40.0)
_COEFFICIENT_BYTES = 2


def decoding_cost(image: Image.Image, shorter_px: int | None) -> Cost:
    """Of what ``open_header`` opened, from its header alone; formats that nobody measured cost as much as the dearest."""
    megapixels = image.width * image.height / 1e6
    mb, ms = _COSTS.get("JPEG" if image.format == "MPO" else image.format or "", _COSTS["WEBP"])
    if image.format in ("JPEG", "MPO"):
        reduction = 1 if shorter_px is None else min(8, max(1, min(image.size) // shorter_px))
        mb += 4 / (1 << (reduction.bit_length() - 1)) ** 2
        if image.info.get("progressive"):
            layers = [(h, v) for _, h, v, _ in getattr(image, "layer", ())] or [(1, 1)] * 3
            largest = max(h for h, _ in layers) * max(v for _, v in layers)
            mb += _COEFFICIENT_BYTES * sum(h * v for h, v in layers) / max(1, largest)
            ms += 30.0
    elif image.has_transparency_data:
        mb, ms = mb + _LAYING_ON_WHITE.mb, ms + _LAYING_ON_WHITE.ms
    elif image.mode.startswith("I"):
        mb, ms = mb + 18.0, ms + 30.0
    return Cost(mb * megapixels, ms * megapixels)


def exif_orientation(image: Image.Image) -> int:
    """1 is upright, 2 to 8 are the turns and mirrorings of the EXIF standard. Broken metadata counts as upright."""
    exif = image.info.get("exif")
    if not isinstance(exif, bytes) or num_exif_entries(exif) > MAX_EXIF_ENTRIES:
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as above; the pixels are still good
        return 1


def _formats_for(data: bytes, formats: Sequence[str]) -> list[str]:
    is_heif = data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS
    return [one for one in formats if one != "HEIF" or (is_heif and _register_heif())]


@functools.cache
def _register_heif() -> bool:
    """Whether HEIF can be read here: pillow-heif is left out of small serving images."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _unidentified(data: bytes) -> ImageRefused:
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml")) and b"<svg" in data[:4096].lower():
        return ImageRefused("unsupported_format", "an SVG drawing, not a photograph")
    if head.startswith((b"<!doctype html", b"<html")):
        return ImageRefused("not_an_image", "an HTML page, perhaps a download error")
    if head.startswith(b"version https://git-lfs"):
        return ImageRefused("not_an_image", "a Git LFS pointer: `git lfs pull` fetches the photograph itself")
    if data[4:8] == b"ftyp":
        return ImageRefused("unsupported_format", f"a {data[8:12].decode('latin-1')!r} file (HEIC needs pillow-heif)")
    for magic, name in _KNOWN_OTHERS.items():
        if head.startswith(magic):
            return ImageRefused("unsupported_format", f"a {name} file, not a photograph that can be read here")
    return ImageRefused("not_an_image", "the bytes are of no known image format")


def _loaded(image: Image.Image, data: bytes, shorter_px: int | None) -> Image.Image:
    if shorter_px is not None and image.format in ("JPEG", "MPO"):
        image.draft(None, (shorter_px, shorter_px))  # None leaves the mode as it is
    try:
        image.load()
    except Exception as error:  # as above
        truncated = isinstance(error, EOFError) or "truncated" in str(error)
        refusal = ImageRefused("truncated" if truncated else "undecodable", str(error) or type(error).__name__)
        if truncated and image.format in ("JPEG", "MPO") and lacks_only_end_marker(data, shorter_px):
            return _loaded(Image.open(io.BytesIO(data + _JPEG_END), formats=("JPEG",)), data, shorter_px)
        raise refusal from error
    return image


def lacks_only_end_marker(data: bytes, shorter_px: int | None = None) -> bool:
    """Whether this JPEG, which ends too early, holds every pixel all the same, decoded as ``open_rgb`` would.

    Where pixels are missing the decoder takes whatever follows for pixels, so that noise changes the picture; where
    none is missing it skips the noise.
    """
    data = data.rstrip(b"\xff")
    try:
        plain, noisy = (_pixels(data + end, shorter_px) for end in (_JPEG_END, _JPEG_NOISE + _JPEG_END))
    except Exception:  # as above
        return False
    return plain == noisy


def _pixels(jpeg: bytes, shorter_px: int | None) -> bytes:
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    if shorter_px is not None:
        image.draft(None, (shorter_px, shorter_px))
    return image.convert("RGB").tobytes()


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy() if getattr(image, "is_animated", False) else image
    if image.mode.startswith("I"):  # 16 bits a sample: a plain convert would clip all but the darkest to white
        samples = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((samples * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    if image.mode not in ("1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX"):
        raise ImageRefused("unsupported_format", f"pixels of mode {image.mode}, whose range is not known")
    return image.convert("RGB")
