"""``groupings/<family>.lock.yaml``: the grouping that a user commits."""

import json
import os
import re
import tempfile
from pathlib import Path

from earthsnap_train.errors import ConfigError, DataError
from earthsnap_train.taxonomy.grouping import Grouping
from earthsnap_train.taxonomy.names import slug
from earthsnap_train.taxonomy.strict_yaml import load_yaml

FORMAT_VERSION = 1
_KEYS = {"version", "family", "made_by", "species"}
_HEADER = """\
# Which species share a child network. Commit this file.
# Runs only append species to it, and its order is the order of classes. `earthsnap regroup` shows what a new
# grouping would retrain. You may move a species to another group by hand: the nodes of both groups retrain.
"""
# What YAML 1.1 reads as a truth value or as nothing; numbers and dates begin with a digit.
_PLAIN = re.compile(r"(?!(?:y|yes|n|no|on|off|true|false|null)$)[a-z][a-z0-9-]*")


def lock_path(folder: Path, family: str) -> Path:
    return folder / f"{family}.lock.yaml"


def read_lock(path: Path, *, family: str) -> Grouping | None:
    """None where there is no lock yet. Raises ConfigError for one that is malformed or another family's."""
    if not path.exists():
        return None
    lock = load_yaml(path)
    lock = lock if isinstance(lock, dict) else {}
    version, species = lock.get("version"), lock.get("species")
    if not isinstance(version, int) or not isinstance(species, dict):
        raise _malformed(
            path, "this is not a lock of groups", "version, family, made_by, species: {SPECIES: GROUP, ...}"
        )
    if version > FORMAT_VERSION:
        raise DataError(
            f"the lock is of format {version}",
            where=str(path),
            allowed=f"This program reads formats up to {FORMAT_VERSION}.",
            remedy="Use the version of earthsnap_train that wrote it, or a later one.",
        )
    unknown = sorted(str(key) for key in lock.keys() - _KEYS)
    if unknown:
        raise _malformed(path, f"unknown key {unknown[0]!r}", ", ".join(sorted(_KEYS)))
    if lock.get("family") != family:
        raise _malformed(path, f"the lock is of the family {lock.get('family')!r}", f"family: {family}")
    for species_id, group in species.items():
        for name in (species_id, group):
            if not isinstance(name, str) or not name or name != slug(name):
                what = f"species.{species_id}: {name!r} is not an identifier"
                raise _malformed(
                    path, what, "Lower-case letters, digits and single hyphens, in quotes if they look like a number."
                )
    return Grouping(group_of=species, made_by=str(lock.get("made_by") or ""))


def write_lock(path: Path, grouping: Grouping, *, family: str) -> None:
    """Replaces the file at once or not at all; equal groupings give equal bytes."""
    lines = [
        f"version: {FORMAT_VERSION}",
        f"family: {_scalar(family)}",
        f"made_by: {json.dumps(grouping.made_by)}",
        "species:",
        *(f"  {_scalar(species_id)}: {_scalar(group)}" for species_id, group in grouping.group_of.items()),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_HEADER + "\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # mkstemp keeps the file from others; a file to commit is as readable as any.
        Path(temporary).chmod(0o644)
        os.replace(temporary, path)  # noqa: PTH105 -- replaces on Windows too
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _scalar(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else json.dumps(name)


def _malformed(path: Path, what: str, allowed: str) -> ConfigError:
    remedy = "Mend it, or take the last committed version of the file."
    return ConfigError(what, where=str(path), allowed=allowed, remedy=remedy)
