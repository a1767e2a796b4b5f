"""Digests of files, kept for the next time."""

import hashlib
import os
from pathlib import Path

from earthsnap_train.data.file_hashes import hash_files
from earthsnap_train.data.source import Listing, list_source
from earthsnap_train.spec.dataset import FolderSource


def _listing(root: Path) -> Listing:
    return list_source(FolderSource(kind="folder", root="", ranks=[], species_table=None), root)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_every_listed_file_has_its_sha256(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        _write(tmp_path / "photos/rose" / name, name.encode())
    digests = hash_files(tmp_path / "photos", _listing(tmp_path / "photos"), tmp_path / "cache.sqlite")
    assert digests == {f"rose/{name}": hashlib.sha256(name.encode()).hexdigest() for name in ("a.jpg", "b.jpg")}


def test_a_file_of_unchanged_size_and_time_is_not_read_again_and_a_changed_one_is(tmp_path: Path) -> None:
    photo, cache = tmp_path / "photos/rose/a.jpg", tmp_path / "cache.sqlite"
    _write(photo, b"first")
    before = hash_files(tmp_path / "photos", _listing(tmp_path / "photos"), cache)
    status = photo.stat()
    photo.write_bytes(b"other")
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_files(tmp_path / "photos", _listing(tmp_path / "photos"), cache) == before
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = hash_files(tmp_path / "photos", _listing(tmp_path / "photos"), cache)
    assert after == {"rose/a.jpg": hashlib.sha256(b"other").hexdigest()}


def test_two_folders_share_a_cache_without_mixing(tmp_path: Path) -> None:
    for root in ("one", "two"):
        _write(tmp_path / root / "rose/a.jpg", root.encode())
    cache = tmp_path / "cache.sqlite"
    for _ in range(2):
        for root in ("one", "two"):
            digests = hash_files(tmp_path / root, _listing(tmp_path / root), cache)
            assert digests == {"rose/a.jpg": hashlib.sha256(root.encode()).hexdigest()}
