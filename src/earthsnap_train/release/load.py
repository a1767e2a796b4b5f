"""Opens a release for answering; what does not fit together is refused by name."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from earthsnap_train.errors import IntegrityError
from earthsnap_train.models.family import Family
from earthsnap_train.release.bundle_files import model_files, release_digest
from earthsnap_train.serving.engine import Engine, Models
from earthsnap_train.taxonomy.tree import Taxonomy


@dataclass(frozen=True, kw_only=True)
class Opened:
    engine: Engine
    taxonomy: Taxonomy


def verify(path: Path, *, digest: str | None = None) -> Family:
    """The family of a release whose every file is what ``release.json`` says, for they speak of one another.

    ``digest``: what the registry calls it. Raises IntegrityError naming the file that does not fit.
    """
    try:
        described: dict[str, str] = json.loads((path / "release.json").read_bytes())["files"]
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise _broken(path, "release.json") from error
    for name, sha256 in described.items():
        file = path / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise _broken(path, name)
    family = Family.model_validate_json((path / "family.json").read_bytes())
    files = model_files(family, path)
    for file in (path / "taxonomy.parquet", *files.values()):
        if (name := file.relative_to(path).as_posix()) not in described:
            raise _broken(path, name)
    for sha256, file in files.items():
        if described[file.relative_to(path).as_posix()] != sha256:
            raise _broken(path, file.relative_to(path).as_posix())
    if digest is not None and release_digest(path) != digest:
        raise _broken(path, "family.json")
    return family


def open_release(path: Path, *, threads: int = 1) -> Opened:
    """Raises IntegrityError where a file is not what was registered."""
    family = verify(path)
    return Opened(
        engine=Engine(family, Models(model_files(family, path), threads=threads)),
        taxonomy=Taxonomy.read(path / "taxonomy.parquet"),
    )


def _broken(path: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is not what was registered", where=str(path), remedy="run the training again; the release is made anew"
    )
