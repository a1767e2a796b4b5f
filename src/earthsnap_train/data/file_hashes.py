"""sha256 of every listed file; a file whose size and time are unchanged is not read again."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from earthsnap_train.data.source import Listing

_SCHEMA = """
create table if not exists files (
  path text primary key, size integer not null, mtime_ns integer not null, sha256 blob not null
) without rowid
"""


def hash_files(root: Path, listing: Listing, cache: Path) -> dict[str, str]:
    """Path -> sha256 in hexadecimal, of every file that a row of the listing names.

    ``cache``: an SQLite file, made where there is none and safe to delete; shared by all sources of this machine.
    A file that cannot be read is left out: ingest reports it.
    """
    paths = sorted({row.path for row in listing.rows})
    prefix = os.path.realpath(root) + os.sep
    cache.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(cache, timeout=60)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute(_SCHEMA)
        known = {
            path: (size, mtime_ns, digest)
            for path, size, mtime_ns, digest in connection.execute(
                "select path, size, mtime_ns, sha256 from files where path >= ? and path < ?",
                (prefix, prefix[:-1] + "0"),
            )
        }
        digests: dict[str, str] = {}
        unknown = []
        for path in paths:
            file = listing.files[path]
            entry = known.get(prefix + path)
            if entry is not None and entry[:2] == (file.size, file.mtime_ns):
                digests[path] = entry[2].hex()
            else:
                unknown.append(path)
        fresh = dict(_read(prefix, unknown))
        with connection:
            connection.executemany(
                "insert or replace into files values (?, ?, ?, ?)",
                [
                    (prefix + path, listing.files[path].size, listing.files[path].mtime_ns, digest)
                    for path, digest in fresh.items()
                ],
            )
    return digests | {path: digest.hex() for path, digest in fresh.items()}


def _read(prefix: str, paths: Iterable[str]) -> Iterable[tuple[str, bytes]]:
    # Threads: reading waits for the disk, and hashlib lets go of the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for path, digest in pool.map(lambda path: (path, _digest(prefix + path)), paths):
            if digest is not None:
                yield path, digest


def _digest(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # a Path for each of 100,000 files takes longer than the cache
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None
