"""The store: immutable artifacts, each a directory named by its stage's key.

Writing goes ``building/<key>.<pid>`` -> files synced -> ``artifact.json`` last -> one rename to ``artifacts/<key>``. A
directory under ``artifacts/`` is therefore whole, whenever the writer was killed. ``heads/`` names each family's last
artifact per stage: it explains the next plan, keeps those artifacts from ``gc``, and says which split the next one grows from.
"""

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.plan import digest_of

FORMAT = 1
NOTES = "notes/"  # what lies under it is no part of an artifact's content


def stays_inside(name: str) -> str:
    """``name``, a path below some folder. Raises ValueError for one that may lead out of it."""
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"{name!r} is no path below a folder")
    return name


Key = Annotated[str, Field(pattern=r"^\w+$")]  # one word, as a folder is named
Inside = Annotated[str, AfterValidator(stays_inside)]


class StoredFile(BaseModel):
    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Artifact(BaseModel):
    """What ``artifact.json`` says. ``digest`` covers the files outside ``notes/``, nothing about how they came to be."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    key: Key
    kind: str
    stage: str
    digest: str
    files: dict[Inside, StoredFile]
    ingredients: dict[str, JsonValue]
    seconds: float
    num_images: int
    created: float


def read_artifact(content: bytes, *, key: str) -> Artifact:
    """What an ``artifact.json`` from elsewhere says.

    Raises IntegrityError for one that is not of ``key``, or names files that would lie outside of its folder.
    """
    where, remedy = f"store/{key}/artifact.json", "remove that folder and run again: the stage will be done anew"
    try:
        artifact = Artifact.model_validate_json(content)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise IntegrityError(f"this describes no artifact: {said}", where=where, remedy=remedy) from None
    if artifact.key != key:
        raise IntegrityError(f"this describes the artifact {artifact.key!r}", where=where, remedy=remedy)
    return artifact


class Store:
    """A folder of artifacts. ``passing`` is called at each named point of the commit path; tests kill there."""

    def __init__(self, root: Path, *, passing: Callable[[str], None] = lambda point: None) -> None:
        self.root = root
        self._passing = passing

    @property
    def forgotten(self) -> Path:
        """Image ids, one a line, that no manifest may hold again."""
        return self.root / "forgotten.txt"

    @property
    def advised(self) -> Path:
        """Folders into which ``advise`` wrote, one a line, as they are reached from here."""
        return self.root / "advised.txt"

    # ---- reading

    def path(self, key: str) -> Path:
        return self.root / "artifacts" / key

    def find(self, key: str) -> Artifact | None:
        """The artifact of ``key`` if it is there and whole; one whose files are gone or cut is set aside."""
        artifact: Artifact | None = None
        with suppress(FileNotFoundError, ValueError):
            artifact = Artifact.model_validate_json((self.path(key) / "artifact.json").read_bytes())
        if artifact is not None and all(self._has(key, name, f.size) for name, f in artifact.files.items()):
            return artifact
        if self.path(key).exists():
            broken = self.root / "broken" / f"{key}.{time.time_ns()}"
            broken.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # somebody else has set it aside, or removed it
                self.path(key).rename(broken)
        return None

    def used(self, key: str) -> None:
        """Marks an artifact as needed today; ``gc`` keeps what was needed lately."""
        with suppress(FileNotFoundError):
            os.utime(self.path(key) / "artifact.json")

    def last_used(self, key: str) -> float:
        try:
            return (self.path(key) / "artifact.json").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _has(self, key: str, name: str, size: int) -> bool:
        try:
            return (self.path(key) / name).stat().st_size == size
        except FileNotFoundError:
            return False

    def all(self) -> Iterator[Artifact]:
        folder = self.root / "artifacts"
        for key in sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []:
            if (artifact := self.find(key)) is not None:
                yield artifact

    def verify(self, key: str) -> None:
        """Reads every file again; raises IntegrityError naming the first that is not what was written."""
        artifact = self.find(key)
        for name, stored in artifact.files.items() if artifact else ():
            if _sha256(self.path(key) / name) != stored.sha256:
                raise IntegrityError(
                    f"{name} is not what {artifact.stage if artifact else key} wrote",
                    where=str(self.path(key)),
                    remedy="remove that folder and run again: the stage will be done anew",
                )

    # ---- writing

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """One writer per key: whoever comes second waits, and then finds the artifact."""
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{key}.lock"):
            yield

    def scratch(self, key: str) -> Path:
        """A folder that survives a kill and goes when the artifact is published."""
        folder = self.root / "scratch" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def building(self, key: str) -> Iterator[Path]:
        """An empty folder on the store's own disk; left-overs of killed writers of this key are removed first."""
        parent = self.root / "building"
        parent.mkdir(parents=True, exist_ok=True)
        for left_over in parent.glob(f"{key}.*"):
            shutil.rmtree(left_over, ignore_errors=True)
        folder = parent / f"{key}.{os.getpid()}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self,
        folder: Path,
        *,
        key: str,
        kind: str,
        stage: str,
        made_of: dict[str, JsonValue],
        seconds: float,
        num_images: int,
    ) -> Artifact:
        """Makes ``folder`` the artifact of ``key`` in one rename; whoever looks sees nothing or the whole."""
        self._passing("written")
        files = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            files[path.relative_to(folder).as_posix()] = StoredFile(
                size=path.stat().st_size, sha256=_sha256(path, sync=True)
            )
        content = {name: f.sha256 for name, f in files.items() if not name.startswith(NOTES)}
        artifact = Artifact(
            key=key, kind=kind, stage=stage, digest=digest_of(content), files=files, ingredients=made_of,
            seconds=round(seconds, 3), num_images=num_images, created=round(time.time(), 3),
        )  # fmt: skip
        self._passing("hashed")
        write_atomically(folder / "artifact.json", artifact.model_dump_json(indent=1).encode())
        self._passing("described")
        final = self.path(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(final)
        _sync_folder(final.parent)
        self._passing("published")
        shutil.rmtree(self.root / "scratch" / key, ignore_errors=True)
        self._passing("cleaned")
        return artifact

    def remove(self, key: str) -> None:
        """Takes an artifact away in one rename, so that nobody ever sees half of it. Raises FileNotFoundError."""
        going = self.root / "building" / f"{key}.removed"
        going.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(going, ignore_errors=True)
        self.path(key).rename(going)
        shutil.rmtree(going, ignore_errors=True)

    # ---- heads

    def _head(self, family: str, stage: str) -> Path:
        return self.root / "heads" / family / f"{stage.replace('/', '--')}.json"

    def head(self, family: str, stage: str) -> Artifact | None:
        """The last artifact of this family's stage, whatever its key."""
        try:
            key = json.loads(self._head(family, stage).read_bytes())["key"]
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return self.find(key)

    def set_head(self, family: str, stage: str, key: str) -> None:
        path = self._head(family, stage)
        content = json.dumps({"key": key, "stage": stage}).encode()
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)

    def families_of(self, key: str) -> list[str]:
        """Families that name this artifact as the last of one of their stages."""
        heads = (self.root / "heads").glob("*/*.json")
        return sorted({p.parent.name for p in heads if json.loads(p.read_bytes())["key"] == key})

    def heads(self) -> set[str]:
        """Keys that some family's stage names as its last."""
        return {json.loads(p.read_bytes())["key"] for p in (self.root / "heads").glob("*/*.json")}


def write_atomically(path: Path, content: bytes) -> None:
    """Readers of ``path`` see the old bytes or the new ones, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with temporary.open("wb") as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)


def _sha256(path: Path, *, sync: bool = False) -> str:
    with path.open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
        if sync:
            os.fsync(f.fileno())
    return digest


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
