"""Small pictures of findings, as data URIs, until the page is as large as it may be."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from earthsnap_train.data.image_file import ImageRefused, open_rgb
from earthsnap_train.data.qa.facts import Facts

LONGER_PX = 168
LARGEST_PAGE = 1_600_000  # characters


class Thumbnails:
    """Nothing of a photograph's metadata comes along."""

    def __init__(self, root: Path, max_megapixels: float) -> None:
        self._root = root
        self._max_megapixels = max_megapixels
        self._made: dict[str, str | None] = {}
        self._size = 0

    def of(self, path: str | None, facts: Mapping[str, Facts]) -> str | None:
        """None where there is no picture, or no more room for one. ``facts``: of the files that may be opened."""
        if path is None or path not in facts or facts[path].refused is not None:
            return None
        if path not in self._made:
            self._made[path] = self._make(path) if self._size < LARGEST_PAGE else None
        uri = self._made[path]
        self._size += len(uri or "")
        return uri

    def _make(self, path: str) -> str | None:
        try:
            data = (self._root / path).read_bytes()
            picture = open_rgb(data, max_megapixels=self._max_megapixels, shorter_px=LONGER_PX)
        except (OSError, ImageRefused):  # it has changed since it was looked at
            return None
        picture.thumbnail((LONGER_PX, LONGER_PX), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=72, optimize=True)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
