"""Photographs measured by several machines, a share each, for one that then makes a version of them all.

What a machine measured is one Parquet file, a shard. Whoever makes the version finds it as facts that were kept before,
which make its work faster and never different.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from earthsnap_train.context import Context
from earthsnap_train.data.qa.facts import Facts
from earthsnap_train.data.qa.facts_table import made_with, read_facts, write_facts
from earthsnap_train.data.qa.look import look_at
from earthsnap_train.data.scan import FileStat, scan
from earthsnap_train.errors import IntegrityError

KEPT = "facts-00000.parquet"  # as the stage itself keeps what it has measured so far


def share_of(paths: Sequence[str], *, number: int, count: int) -> list[str]:
    """What the machine of this ``number``, from 1, looks at where all of ``count`` were given everything."""
    return [path for path in paths if zlib.crc32(path.encode()) % count == number - 1]


def measure_share(
    root: Path, *, key: str, number: int, count: int, is_dealt_out: bool, max_megapixels: float, context: Context
) -> bytes:
    """The shard of one machine. ``is_dealt_out``: each was given a share already, so that all that lies here is its own."""
    files = scan(root).photographs
    paths = list(files) if is_dealt_out else share_of(list(files), number=number, count=count)
    facts = look_at(root, paths, files, max_megapixels=max_megapixels, context=context)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "shard.parquet"
        write_facts(place, facts, files, made_with=_label(key, max_megapixels))
        return place.read_bytes()


def keep_shards(
    shards: Mapping[str, bytes | None], files: Mapping[str, FileStat], scratch: Path, *, key: str, max_megapixels: float
) -> int:
    """Puts all that was measured where the stage looks for it; returns of how many photographs.

    ``shards``: by their places in the bucket. ``files``: the photographs as they lie here, for times of files are another
    machine's own. Raises IntegrityError for a shard that is not there, cannot be read, or was made for something else.
    """
    facts: dict[str, Facts] = {}
    for name, content in shards.items():
        if content is None:
            raise _refusal(name, "is not there", remedy="a machine that looks at photographs has failed: run again")
        facts |= {
            path: fact
            for (path, size, _), fact in _read(name, content, _label(key, max_megapixels)).items()
            if path in files and files[path].size == size
        }
    write_facts(scratch / KEPT, facts, files, made_with=made_with(max_megapixels))
    return len(facts)


def _read(name: str, content: bytes, label: str) -> dict[tuple[str, int, int], Facts]:
    try:
        table = pq.ParquetFile(pa.BufferReader(content))
        found = (table.schema_arrow.metadata or {}).get(b"earthsnap.facts", b"").decode()
        if found != label:
            raise _refusal(name, f"is not of this plan: it was made for {found or 'something else'}, not for {label}")
        with TemporaryDirectory() as folder:
            place = Path(folder) / "shard.parquet"
            place.write_bytes(content)
            facts = read_facts(place, made_with=label)
        if len(facts) == table.metadata.num_rows:
            return facts
    except (OSError, pa.ArrowException):
        pass
    raise _refusal(name, "cannot be read")


def _label(key: str, max_megapixels: float) -> str:
    return f"{made_with(max_megapixels)}, stage {key}"


def _refusal(name: str, what: str, remedy: str = "") -> IntegrityError:
    return IntegrityError(
        f"what a machine measured of the photographs {what}",
        where=name,
        remedy=remedy or "remove it from the bucket and run again: those photographs will be measured anew",
    )
