"""What lies in a folder of photographs: every file with its size and time, none of them opened."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from earthsnap_train.data.formats import READABLE, UNREADABLE
from earthsnap_train.data.qa.findings import Finding
from earthsnap_train.errors import DataError

# Folders and files that systems and editors leave behind.
_LITTER = frozenset(("thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "@eadir", "$recycle.bin"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FileStat:
    size: int
    mtime_ns: int


@dataclass(kw_only=True)
class Scan:
    """Paths are POSIX and relative to the root. ``photographs``: by their extension; ``others``: all other files."""

    photographs: dict[str, FileStat] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    empty_folders: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def scan(root: Path) -> Scan:
    """Raises DataError where there is no such folder. Links that lead out of the root are reported, not followed."""
    if not root.is_dir():
        raise DataError(
            f"there is no folder {str(root)!r}" if not root.exists() else f"{str(root)!r} is a file, not a folder",
            where="dataset.source.root",
            remedy="Give the folder that holds the photographs.",
        )
    found = Scan()
    _walk(str(root), "", os.path.realpath(root) + os.sep, found)
    for paths in (found.others, found.empty_folders):
        paths.sort()
    found.photographs = dict(sorted(found.photographs.items()))
    return found


def is_photograph(name: str) -> bool:
    """By its name: an extension of an image format, and no file that a system hides."""
    extension = name.rpartition(".")[2].lower()
    return (extension in READABLE or extension in UNREADABLE) and not name.startswith(".")


def _walk(folder: str, prefix: str, root: str, found: Scan) -> int:
    """Adds what lies under ``folder``; returns the number of photographs. ``prefix`` is its path from the root."""
    num_photographs, is_leaf = 0, True
    for entry in _entries(folder, prefix, found):
        path = prefix + entry.name
        if entry.is_symlink() and not os.path.realpath(entry.path).startswith(root):
            found.findings.append(
                Finding(code="path_outside_root", path=path, detail="a link that leads out of the folder")
            )
        elif entry.is_dir(follow_symlinks=not entry.is_symlink()):
            if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                found.others.append(path)
                continue
            is_leaf = False
            num_photographs += _walk(entry.path, path + "/", root, found)
        elif is_photograph(entry.name):
            try:
                status = entry.stat()
            except OSError:  # a link to nothing
                found.findings.append(
                    Finding(code="missing_file", path=path, detail="a link to a file that is not there")
                )
                continue
            if stat.S_ISREG(status.st_mode):
                found.photographs[path] = FileStat(size=status.st_size, mtime_ns=status.st_mtime_ns)
                num_photographs += 1
        else:
            found.others.append(path)
    if is_leaf and not num_photographs and prefix:
        found.empty_folders.append(prefix[:-1])
    return num_photographs


def _entries(folder: str, prefix: str, found: Scan) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except PermissionError as error:
        raise DataError(
            f"the folder {prefix!r} may not be read",
            where="dataset.source.root",
            remedy="Give yourself the right to read it.",
        ) from error
