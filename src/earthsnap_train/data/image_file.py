"""The one place where bytes from outside become an image: checked from the header first, decoded second, always RGB.

Everything that opens a photograph (QA, records, evaluation, serving) opens it here, so that all of them refuse the same
files for the same reasons and see the same pixels: turned upright, first frame, transparency laid on white.
"""

import functools
import io
import warnings
from collections.abc import Sequence

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from earthsnap_train.data.formats import READ
from earthsnap_train.data.formats import extension_of as extension_of
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


def exif_orientation(image: Image.Image) -> int:
    """1 is upright, 2 to 8 are the turns and mirrorings of the EXIF standard. Broken metadata counts as upright."""
    if "exif" not in image.info:
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
        if truncated and image.format in ("JPEG", "MPO") and lacks_only_end_marker(data):
            return _loaded(Image.open(io.BytesIO(data + _JPEG_END), formats=("JPEG",)), data, shorter_px)
        raise refusal from error
    return image


def lacks_only_end_marker(data: bytes) -> bool:
    """Whether this JPEG, which ends too early, holds every pixel all the same.

    Where pixels are missing the decoder takes whatever follows for pixels, so that noise changes the picture; where
    none is missing it skips the noise.
    """
    data = data.rstrip(b"\xff")
    try:
        plain, noisy = (
            Image.open(io.BytesIO(data + end), formats=("JPEG",)).convert("RGB").tobytes()
            for end in (_JPEG_END, _JPEG_NOISE + _JPEG_END)
        )
    except Exception:  # as above
        return False
    return plain == noisy


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
