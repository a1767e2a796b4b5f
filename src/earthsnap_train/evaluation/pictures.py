"""Photographs made small enough to travel inside one HTML page."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageOps

from earthsnap_train.data.image_file import ImageRefused, open_rgb
from earthsnap_train.data.manifest import MANIFEST_FILE, read_manifest
from earthsnap_train.data.originals import original_reader
from earthsnap_train.data.preprocess import DECODE_MARGIN
from earthsnap_train.errors import EarthsnapError

MAX_MEGAPIXELS = 200.0

ReadPhoto = Callable[[str], bytes | None]
"""uri of the manifest -> the original bytes, or None where the photograph is gone."""


def photo_reader(manifest: Path, photographs: Path) -> ReadPhoto:
    """``manifest``: folder of the ingest stage; ``photographs``: the root that its ``uri`` column starts from."""
    image_of = {row.uri: row.image_id for row in read_manifest(manifest / MANIFEST_FILE)}
    read_original = original_reader(manifest, photographs)

    def read_photo(uri: str) -> bytes | None:
        try:
            return read_original(image_of[uri])
        except (KeyError, EarthsnapError):
            return None

    return read_photo


def thumbnail(data: bytes, px: int) -> str:
    """The middle square of a photograph as a ``data:`` URI, at most ``px`` wide. Raises ImageRefused."""
    image = open_rgb(data, max_megapixels=MAX_MEGAPIXELS, shorter_px=DECODE_MARGIN * px)
    side = min(px, *image.size)
    square = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    square.save(encoded, "WEBP", quality=72, method=4)
    return "data:image/webp;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


class Album:
    """Hands out thumbnails until the page would grow too heavy; ask for the most telling photographs first."""

    def __init__(self, read_photo: ReadPhoto, *, budget_bytes: int) -> None:
        self._read_photo = read_photo
        self._left_bytes = budget_bytes

    def picture(self, uri: str, px: int) -> str | None:
        """None where the photograph is gone or unreadable, or the page is full."""
        data = self._read_photo(uri)
        if data is None:
            return None
        try:
            uri_of_picture = thumbnail(data, px)
        except ImageRefused:
            return None
        if len(uri_of_picture) > self._left_bytes:
            return None
        self._left_bytes -= len(uri_of_picture)
        return uri_of_picture
