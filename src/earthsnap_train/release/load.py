"""Opens a release for answering; what does not fit together is refused by name."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from earthsnap_train.errors import IntegrityError
from earthsnap_train.models.family import Family
from earthsnap_train.models.naming import Naming
from earthsnap_train.release.bundle_files import model_files, release_digest
from earthsnap_train.serving.engine import Engine, Models
from earthsnap_train.serving.runtimes import Runtime
from earthsnap_train.taxonomy.tree import Taxonomy


@dataclass(frozen=True, kw_only=True)
class Opened:
    engine: Engine
    taxonomy: Taxonomy

    @cached_property
    def naming(self) -> Naming:
        family = self.engine.family
        return Naming(family.named_first, self.taxonomy, family.species)


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


def open_release(
    path: Path,
    *,
    digest: str | None = None,
    threads: int = 1,
    max_mb: float = float("inf"),
    runtime: Runtime | None = None,
) -> Opened:
    """Raises IntegrityError where a file is not what was registered. ``max_mb``, ``runtime``: see ``Models``."""
    family = verify(path, digest=digest)
    models = Models(model_files(family, path), threads=threads, max_mb=max_mb, runtime=runtime)
    return Opened(engine=Engine(family, models), taxonomy=Taxonomy.read(path / "taxonomy.parquet"))


def load_and_try(opened: Opened) -> None:
    """Opens the models that the first answer needs, and lets each see one grey photograph, which also warms it.

    Raises IntegrityError where preprocessing, class list or species do not fit the models that they came with.
    """
    family, models = opened.engine.family, opened.engine.models
    models.load(family)
    px = family.preprocessing.image_px
    grey_1CHW = np.full((1, 3, px, px), 127, dtype=np.uint8)
    for name, node in family.nodes.items():
        if not models.is_open(node.head):
            continue
        try:
            logits_1C = models.logits(node, models.features(node.trunk, grey_1CHW))
        except Exception as error:  # engines have an exception of their own for each kind of misfit
            raise _misfit(f"{name} does not take photographs of {px} px", family) from error
        if logits_1C.shape != (1, len(node.classes)):
            raise _misfit(f"{name} has {logits_1C.shape[-1]} answers for {len(node.classes)} classes", family)
    unknown = sorted(set(family.species) - set(opened.taxonomy.by_id))
    if unknown:
        raise _misfit(f"{unknown[0]} is not in the taxonomy", family)


def _misfit(what: str, family: Family) -> IntegrityError:
    return IntegrityError(
        what, where=f"a {family.architecture} release", remedy="run the training again; the release is made anew"
    )


def _broken(path: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} is not what was registered", where=str(path), remedy="run the training again; the release is made anew"
    )
