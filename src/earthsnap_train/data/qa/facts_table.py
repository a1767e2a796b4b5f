"""Facts as Parquet, so that a later run and a run that was killed need not look at the same bytes again."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import __version__ as pillow_version

from earthsnap_train.data.qa.facts import REVISION, Facts
from earthsnap_train.data.scan import FileStat

_SCHEMA = pa.schema(
    [
        ("path", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64()),
        ("sha256", pa.string()), ("num_bytes", pa.int64()), ("refused", pa.string()), ("detail", pa.string()),
        ("format", pa.string()), ("mode", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
        ("notes", pa.list_(pa.list_(pa.string()))), ("brightness", pa.float64()), ("contrast", pa.float64()),
        ("sharpness", pa.float64()), ("phash", pa.uint64()), ("phash_mirrored", pa.uint64()), ("outline", pa.binary()),
    ]
)  # fmt: skip
_OF_FACTS = _SCHEMA.names[3:]


def made_with(max_megapixels: float) -> str:
    """What facts depend on besides the bytes; facts made with something else are measured again."""
    return f"{REVISION}, Pillow {pillow_version}, {max_megapixels:g} megapixels"


def write_facts(path: Path, facts: Mapping[str, Facts], files: Mapping[str, FileStat], *, made_with: str) -> None:
    """``facts`` and ``files``: by the path of the photograph. Replaces the file at once or not at all."""
    paths = sorted(facts)
    columns: list[Sequence[object]] = [paths]
    columns += [[files[p].size for p in paths], [files[p].mtime_ns for p in paths]]
    columns += [[getattr(facts[p], name) for p in paths] for name in _OF_FACTS]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    schema = _SCHEMA.with_metadata({"earthsnap.facts": made_with})
    pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd", compression_level=1)
    temporary.replace(path)


def read_facts(path: Path, *, made_with: str) -> dict[tuple[str, int, int], Facts]:
    """By path, size and time of the file. Empty where there is nothing to be used: facts only ever save time."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        return {}
    if (table.schema.metadata or {}).get(b"earthsnap.facts", b"").decode() != made_with:
        return {}
    keys = zip(*(table[name].to_pylist() for name in ("path", "size", "mtime_ns")), strict=True)
    return dict(zip(keys, _facts(table), strict=True))


def _facts(table: pa.Table) -> Iterable[Facts]:
    columns = [table[name].to_pylist() for name in _OF_FACTS]
    at = _OF_FACTS.index("notes")
    columns[at] = [tuple((code, detail) for code, detail in notes) for notes in columns[at]]
    return (Facts(**dict(zip(_OF_FACTS, values, strict=True))) for values in zip(*columns, strict=True))
