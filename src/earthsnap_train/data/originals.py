"""Where the original of an image lies, and whether it still is what ingest saw."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from earthsnap_train.errors import DataError, NotFoundError


def original_reader(manifest: Path, photographs: Path) -> Callable[[str], bytes]:
    """Image id -> the original's bytes, checked against the id, which is their sha256.

    ``manifest``: folder of the ingest stage; ``photographs``: the root that its ``uri`` column starts from.
    The function raises ``NotFoundError`` for a photograph that is gone and ``DataError`` for one that was changed.
    """
    table = pq.read_table(manifest / "manifest.parquet", columns=["image_id", "uri"])
    uris: dict[str, str] = dict(zip(table["image_id"].to_pylist(), table["uri"].to_pylist(), strict=True))

    def read(image_id: str) -> bytes:
        if image_id not in uris:
            raise NotFoundError(f"image {image_id} is not in the manifest", where=str(manifest))
        path = photographs / uris[image_id]
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFoundError(
                "the photograph is gone",
                where=str(path),
                remedy="Put it back, or run again without it; dataset.keep_originals=hardlink guards against this.",
            ) from None
        if hashlib.sha256(data).hexdigest() != image_id:
            raise DataError(
                "the photograph was changed after it had been checked",
                where=str(path),
                remedy="Run again: ingest will look at it anew.",
            )
        return data

    return read
