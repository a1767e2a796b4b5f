"""The files of releases in the bucket, and the folder of this machine that mirrors those that were needed here."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from filelock import FileLock

from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.store import write_atomically
from earthsnap_train.release.registry import Release
from launchers.sagemaker import places
from launchers.sagemaker.bucket import NUM_CONNECTIONS, Bucket

FRESH_S = 5.0  # a folder that was compared with the bucket is not compared again so soon
RELEASE_FILE = "release.json"

# Name -> (ETag, SHA-256) of every file that was brought.
Index = Mapping[str, tuple[str, str]]


class ReleaseFiles:
    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._compared: dict[str, float] = {}

    def key(self, family: str, digest: str) -> str:
        return f"{self._prefix}/{places.release_folder(family, digest)}"

    def upload(self, family: str, digest: str, folder: Path, names: Sequence[str] | None = None) -> None:
        """``names``: None for all but ``release.json``, without which nobody takes the rest for a release."""
        key = self.key(family, digest)
        names = [name for name in _names(folder) if name != RELEASE_FILE] if names is None else names
        with ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
            list(pool.map(lambda name: self._bucket.upload(f"{key}/{name}", folder / name), names))

    def complete(self, family: str, digest: str, folder: Path, number: int, description: bytes) -> None:
        """``folder``, which becomes that of release ``number``, need not be brought again: it is what was uploaded."""
        key = self.key(family, digest)
        self._bucket.write(f"{key}/{RELEASE_FILE}", description)
        (folder / RELEASE_FILE).write_bytes(description)
        there = self._listed(key)
        _write_index(
            _index_file(folder.with_name(str(number))),
            {name: (there[name], _sha256(folder / name)) for name in _names(folder) if name in there},
        )

    def bring(self, release: Release) -> None:
        """Raises IntegrityError where what came is not what was registered."""
        if time.monotonic() - self._compared.get(release.name, float("-inf")) < FRESH_S:
            return
        release.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(release.folder.with_name(f"{release.number}.lock")):
            self._mirror(release)
        self._compared[release.name] = time.monotonic()

    def _mirror(self, release: Release) -> None:
        key, index = self.key(release.family, release.digest), _index_file(release.folder)
        there, here = self._listed(key), _read_index(index)
        if RELEASE_FILE not in there:
            raise IntegrityError(
                f"{release.name} is not in the bucket, or not whole",
                where=f"{key}/{RELEASE_FILE}",
                remedy="run the training again; the release is put there anew",
            )
        present = set(_names(release.folder))
        wanted = [name for name in there if name not in present or here.get(name, ("", ""))[0] != there[name]]
        for name in present - set(there):  # a photograph was forgotten on another machine
            (release.folder / name).unlink()
        if not wanted:
            return
        with ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
            list(pool.map(lambda name: self._download(f"{key}/{name}", release.folder / name), wanted))
        self._verify(release)
        fresh = {name: (there[name], _sha256(release.folder / name)) for name in wanted}
        _write_index(index, {name: one for name, one in here.items() if name in there} | fresh)

    def _download(self, key: str, file: Path) -> None:
        incoming = file.with_name(f"{file.name}.part")
        self._bucket.download(key, incoming)
        incoming.replace(file)

    def _verify(self, release: Release) -> None:
        from earthsnap_train.release.load import verify  # the engine takes its time

        verify(release.folder, digest=release.digest)

    def erase(self, release: Release) -> None:
        """Makes the bucket's folder what this machine's is by now, with no earlier version of anything."""
        key, here = self.key(release.family, release.digest), _read_index(_index_file(release.folder))
        present = set(_names(release.folder))
        for name in self._listed(key):
            if name not in present:
                self._bucket.remove(f"{key}/{name}")
        for name in present:
            if here.get(name, ("", ""))[1] != _sha256(release.folder / name):
                self._bucket.upload(f"{key}/{name}", release.folder / name)
        self._bucket.purge(f"{key}/")
        self._compared.pop(release.name, None)

    def _listed(self, key: str) -> dict[str, str]:
        """Name -> ETag. No name leads out of the folder; what S3's console shows as a folder is none."""
        listed = self._bucket.listed(f"{key}/")
        there = {name.removeprefix(f"{key}/"): etag for name, etag in listed.items() if not name.endswith("/")}
        for name in there:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise IntegrityError(f"{name!r} is no file of a release", where=key)
        return there


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _index_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.objects.json")


def _read_index(file: Path) -> Index:
    try:
        return {name: (etag, sha256) for name, (etag, sha256) in json.loads(file.read_bytes()).items()}
    except (FileNotFoundError, ValueError):
        return {}


def _write_index(file: Path, index: Index) -> None:
    write_atomically(file, json.dumps(index).encode())
