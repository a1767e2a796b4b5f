"""The manifest: the immutable list of a dataset version's valid images, and what lies beside it."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from earthsnap_train.errors import DataError, IntegrityError, NotFoundError
from earthsnap_train.spec.model import SpecModel

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.parquet"
QUARANTINE_FILE = "quarantine.parquet"
TAXONOMY_FILE = "taxonomy.parquet"
HEADER_FILE = "manifest.json"

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

# Where a photograph lies says nothing about what it is.
_NOT_IN_VERSION = frozenset({"uri", "source", "version_id"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRow:
    """``image_id``: sha256 of the file's bytes, in hexadecimal. ``uri``: POSIX path below the source's root.

    ``width``, ``height``: pixels as a viewer shows them, the EXIF orientation applied. ``version_id``: S3's, else None.
    """

    image_id: str
    uri: str
    species_id: str
    observation_id: str | None
    cluster_id: str
    split: SplitName
    width: int
    height: int
    format: str
    phash: str
    source: str
    licence: str | None
    attribution: str | None
    version_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantineRow:
    """A file that is not in the manifest, or waits for a person. ``related``: the other file of a pair."""

    path: str
    code: str
    severity: str
    action: str
    related: str | None
    detail: str | None


class ManifestHeader(SpecModel):
    """``manifest.json``: what a dataset version is, in a few figures. ``qa``: the settings that made it."""

    format_version: int
    dataset_version: str
    num_images: int
    num_species: int
    num_images_by_split: dict[str, int]
    num_quarantined_by_code: dict[str, int]
    qa: dict[str, object]


_Row = TypeVar("_Row", ManifestRow, QuarantineRow)

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("species_id", pa.string(), nullable=False),
        pa.field("observation_id", pa.string()),
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("phash", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("licence", pa.string()),
        pa.field("attribution", pa.string()),
        pa.field("version_id", pa.string()),
    ],
    metadata={"earthsnap.format": str(FORMAT_VERSION)},
)
QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("related", pa.string()),
        pa.field("detail", pa.string()),
    ],
    metadata={"earthsnap.format": str(FORMAT_VERSION)},
)


def write_manifest(rows: Iterable[ManifestRow], path: Path) -> None:
    """Sorted by image_id; equal rows in any order give equal bytes."""
    _write(sorted(rows, key=lambda row: row.image_id), MANIFEST_SCHEMA, path)


def read_manifest(path: Path) -> tuple[ManifestRow, ...]:
    """Raises NotFoundError, IntegrityError where the file is none of ours, DataError where a newer program wrote it."""
    return _read(ManifestRow, MANIFEST_SCHEMA, path)


def write_quarantine(rows: Iterable[QuarantineRow], path: Path) -> None:
    """Sorted by path and code."""
    _write(sorted(rows, key=lambda row: (row.path, row.code, row.related or "")), QUARANTINE_SCHEMA, path)


def read_quarantine(path: Path) -> tuple[QuarantineRow, ...]:
    """Raises as ``read_manifest`` does."""
    return _read(QuarantineRow, QUARANTINE_SCHEMA, path)


def dataset_version(rows: Iterable[ManifestRow]) -> str:
    """sha256, in hexadecimal, of the rows sorted by image_id as JSON lines, without where the images lie."""
    names = [name for name in MANIFEST_SCHEMA.names if name not in _NOT_IN_VERSION]
    digest = hashlib.sha256(_json_line(names))
    for row in sorted(rows, key=lambda row: row.image_id):
        digest.update(_json_line([getattr(row, name) for name in names]))
    return digest.hexdigest()


def header_of(
    rows: Sequence[ManifestRow], quarantine: Iterable[QuarantineRow], qa: Mapping[str, object]
) -> ManifestHeader:
    by_split = Counter(row.split for row in rows)
    return ManifestHeader(
        format_version=FORMAT_VERSION,
        dataset_version=dataset_version(rows),
        num_images=len(rows),
        num_species=len({row.species_id for row in rows}),
        num_images_by_split={split: by_split[split] for split in SPLITS},
        num_quarantined_by_code=dict(sorted(Counter(row.code for row in quarantine).items())),
        qa=dict(qa),
    )


def write_header(header: ManifestHeader, path: Path) -> None:
    path.write_text(json.dumps(header.model_dump(), indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def read_header(path: Path) -> ManifestHeader:
    """Raises as ``read_manifest`` does."""
    try:
        content = json.loads(path.read_text("utf-8"))
        _require_known_format(int(content["format_version"]), path)
        return ManifestHeader.model_validate(content)
    except FileNotFoundError:
        raise NotFoundError("there is no such file", where=str(path)) from None
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise IntegrityError("this is not a manifest.json that earthsnap_train wrote", where=str(path)) from error


def _json_line(values: Sequence[object]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _write(rows: Sequence[_Row], schema: pa.Schema, path: Path) -> None:
    columns = [[getattr(row, name) for row in rows] for name in schema.names]
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def _read(kind: type[_Row], schema: pa.Schema, path: Path) -> tuple[_Row, ...]:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise NotFoundError("there is no such file", where=str(path)) from None
    except pa.ArrowInvalid as error:
        raise IntegrityError("this is not a Parquet file, or a damaged one", where=str(path)) from error
    written_as = (table.schema.metadata or {}).get(b"earthsnap.format", b"")
    if not written_as.isdigit():
        raise IntegrityError("earthsnap_train did not write this file", where=str(path))
    _require_known_format(int(written_as), path)
    missing = [name for name in schema.names if name not in table.schema.names]
    if missing:
        raise IntegrityError(f"the column {missing[0]!r} is missing", where=str(path))
    columns = [table[field.name].to_pylist() for field in schema]
    names = [field.name for field in fields(kind)]
    return tuple(kind(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True))


def _require_known_format(version: int, path: Path) -> None:
    if version > FORMAT_VERSION:
        raise DataError(
            f"the file is of format {version}",
            where=str(path),
            allowed=f"This program reads formats up to {FORMAT_VERSION}.",
            remedy="Use the version of earthsnap_train that wrote it, or a later one.",
        )
