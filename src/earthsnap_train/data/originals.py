"""Where the original of an image lies, whether it still is what ingest saw, and copies that outlive their source."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from earthsnap_train.data.formats import extension_of
from earthsnap_train.data.manifest import ManifestRow
from earthsnap_train.errors import IntegrityError, NotFoundError


def original_reader(manifest: Path, photographs: Path) -> Callable[[str], bytes]:
    """Image id -> the original's bytes, checked against the id, which is their sha256.

    ``manifest``: folder of the ingest stage; ``photographs``: the root that its ``uri`` column starts from. Where the
    photograph is gone or changed, the version's own copy is read, if it has one. The function raises ``NotFoundError``
    for a photograph that is gone and ``IntegrityError`` for one that was changed.
    """
    table = pq.read_table(manifest / "manifest.parquet", columns=["image_id", "uri", "format"])
    names = (table[name].to_pylist() for name in ("image_id", "uri", "format"))
    known: dict[str, tuple[str, str]] = {image_id: (uri, kind) for image_id, uri, kind in zip(*names, strict=True)}

    def read(image_id: str) -> bytes:
        if image_id not in known:
            raise NotFoundError(f"image {image_id} is not in the manifest", where=str(manifest))
        uri, image_format = known[image_id]
        seen = None
        for path in (photographs / uri, manifest / _kept(image_id, image_format)):
            try:
                seen = path.read_bytes()
            except OSError:
                continue
            if hashlib.sha256(seen).hexdigest() == image_id:
                return seen
        if seen is None:
            raise NotFoundError(
                "the photograph is gone",
                where=str(photographs / uri),
                remedy="Put it back, or run again without it; dataset.keep_originals=hardlink guards against this.",
            )
        raise IntegrityError(
            "the photograph was changed after it had been checked",
            where=str(photographs / uri),
            remedy="Run again: ingest will look at it anew.",
        )

    return read


def keep_originals(
    how: Literal["none", "hardlink", "copy"], rows: Iterable[ManifestRow], photographs: Path, manifest: Path
) -> None:
    """Puts every original under ``manifest``, named by its id; a link becomes a copy where the disk has none.

    A hard link keeps the bytes when the source is deleted or replaced, not when a program writes into the file itself.
    """
    if how == "none":
        return
    for row in rows:
        source, kept = photographs / row.uri, manifest / _kept(row.image_id, row.format)
        kept.parent.mkdir(parents=True, exist_ok=True)
        if how == "hardlink":
            try:
                os.link(source.resolve(), kept)
                continue
            except OSError:  # another disk, or none that links
                pass
        shutil.copyfile(source, kept)


def _kept(image_id: str, image_format: str) -> str:
    return f"notes/originals/{image_id[:2]}/{image_id}{extension_of(image_format)}"
