"""Artifacts in a bucket: the store's layout and rules, over objects instead of files.

An artifact's files go first and its ``artifact.json`` last, only if there is none yet: whoever finds it finds the whole,
and of two jobs that make the same thing at once the first has made it.
"""

import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from earthsnap_train.data.source_s3 import BucketListing
from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.plan import digest_of
from earthsnap_train.pipeline.store import NOTES, Artifact, Key, read_artifact
from launchers.sagemaker import places
from launchers.sagemaker.bucket import NUM_CONNECTIONS, Bucket

ARTIFACT_FILE = "artifact.json"
INDEX_SUFFIX = ".channel.json"
_INDEX = TypeAdapter(dict[str, Key])


class Done(BaseModel):
    """What a run says of one of its stages. ``cached``: the artifact was there before."""

    model_config = ConfigDict(frozen=True)

    stage: str
    key: Key
    cached: bool


class Shelf:
    """``root``: the URI of ``prefix`` in the bucket, as manifests name it."""

    def __init__(self, bucket: Bucket, *, name: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self.root = f"s3://{name}/{prefix}/"

    # ---- artifacts

    def find(self, key: str) -> Artifact | None:
        """Raises IntegrityError for one that is not of this key, or whose files would lie outside of its folder."""
        content = self._bucket.read(self._key(f"{places.artifact(key)}/{ARTIFACT_FILE}"))
        return read_artifact(content, key=key) if content is not None else None

    def put(self, folder: Path, artifact: Artifact) -> Artifact:
        """Returns the artifact that is there now: this one, or that of somebody who was faster."""
        place = places.artifact(artifact.key)
        with ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
            list(pool.map(lambda n: self._bucket.upload(self._key(f"{place}/{n}"), folder / n), artifact.files))
        content = artifact.model_dump_json(indent=1).encode()
        if self._bucket.write_new(self._key(f"{place}/{ARTIFACT_FILE}"), content):
            return artifact
        faster = self.find(artifact.key)
        assert faster is not None
        return faster

    def fetch(self, artifact: Artifact, folder: Path, *, only: Collection[str] | None = None) -> None:
        """Brings an artifact's files into ``folder``, or ``only`` some of them, and its ``artifact.json``."""
        place = places.artifact(artifact.key)
        names = artifact.files if only is None else only
        with ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
            list(pool.map(lambda n: self._bucket.download(self._key(f"{place}/{n}"), folder / n), names))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ARTIFACT_FILE).write_text(artifact.model_dump_json(indent=1))

    # ---- runs

    def tell(self, run: str, done: Done) -> None:
        self._bucket.write(self._key(places.stage_pointer(run, done.stage)), done.model_dump_json().encode())

    def told(self, run: str, stage: str) -> Done | None:
        content = self._bucket.read(self._key(places.stage_pointer(run, stage)))
        return Done.model_validate_json(content) if content is not None else None

    def tell_trial(self, run: str, pipeline: str, training_job: str, content: str) -> None:
        self._bucket.write(self._key(places.trial(run, pipeline, training_job)), content.encode())

    def write_channel(self, run: str, name: str, made: Mapping[str, Artifact]) -> None:
        """A manifest of all objects of ``made`` (stage -> artifact), with an index that says which artifact is whose."""
        index = f"runs/{run}/{name}{INDEX_SUFFIX}"
        keys = {stage: artifact.key for stage, artifact in made.items()}
        self._bucket.write(self._key(index), json.dumps(keys, indent=1, sort_keys=True).encode())
        artifacts = {artifact.key: artifact for artifact in made.values()}
        objects = [
            f"{places.artifact(key)}/{name}"
            for key, artifact in sorted(artifacts.items())
            for name in [*sorted(artifact.files), ARTIFACT_FILE]
        ]
        manifest = [{"prefix": self.root}, index, *objects]
        self._bucket.write(self._key(f"runs/{run}/{name}.manifest"), json.dumps(manifest, indent=0).encode())

    def join_channels(self, run: str, pipeline: str, follower: str, before: Collection[str]) -> None:
        """One list of what all of ``before`` made, once they have all ended; until then there is nothing to do.

        Each of them calls it when it has written its own list, so that the last one finds them all.
        """
        lists = [self._bucket.read(self._key(f"runs/{run}/{pipeline}/{one}.manifest")) for one in before]
        if any(one is None for one in lists):
            return
        objects = [name for one in lists for name in json.loads(one or b"")[1:]]
        content = json.dumps([{"prefix": self.root}, *dict.fromkeys(objects)], indent=0).encode()
        self._bucket.write(self._key(f"runs/{run}/{pipeline}/{follower}.{places.BEFORE_CHANNEL}.manifest"), content)

    # ---- shards

    def shard(self, key: str, number: int, count: int) -> bytes | None:
        return self._bucket.read(self._key(places.shard(key, number, count)))

    def put_shard(self, key: str, number: int, count: int, content: bytes) -> None:
        """Whoever measured the same share before is not written over."""
        self._bucket.write_new(self._key(places.shard(key, number, count)), content)

    # ---- photographs in another bucket

    def listing(self, digest: str) -> BucketListing | None:
        """What the plan was made of; None where photographs were brought into this bucket."""
        content = self._bucket.read(self._key(f"{places.external('photographs', digest)}/{places.LISTING}"))
        return BucketListing.model_validate_json(content) if content is not None else None

    def write_photographs(self, run: str, name: str, digest: str, uris: Collection[str]) -> None:
        """A manifest of some of the photographs, wherever they lie."""
        there = self.listing(digest)
        own = f"{self.root}{places.external('photographs', digest)}/"
        prefix = own if there is None else f"s3://{there.bucket}/{there.prefix}"
        content = json.dumps([{"prefix": prefix}, *sorted(uris)], indent=0).encode()
        self._bucket.write(self._key(f"runs/{run}/{name}.photographs.manifest"), content)

    def _key(self, below: str) -> str:
        return f"{self._prefix}/{below}"


# ---- a channel, as it lies in a container


def read_channel(folder: Path) -> dict[str, tuple[Artifact, Path]]:
    """Stage -> its artifact and where it lies. Raises IntegrityError for one that is not what was written.

    Whether objects of a manifest lie below a channel by their whole keys or by what follows the manifest's prefix is not
    documented: the index shows it.
    """
    found: dict[str, tuple[Artifact, Path]] = {}
    for index in sorted(folder.rglob(f"runs/*/*/*{INDEX_SUFFIX}")):
        root = index.parents[3]
        for stage, key in _read_index(index).items():
            place = root / places.artifact(key)
            artifact = read_artifact((place / ARTIFACT_FILE).read_bytes(), key=key)
            _require_whole(artifact, place)
            found[stage] = (artifact, place)
    return found


def _read_index(file: Path) -> dict[str, str]:
    try:
        return _INDEX.validate_json(file.read_bytes())
    except ValidationError as error:
        said = error.errors()[0]
        raise IntegrityError(f"{said['input']!r} is no artifact's key", where=file.name) from None


def _require_whole(artifact: Artifact, place: Path) -> None:
    """By sizes and by the digest of digests: reading every byte again would take as long as many stages do."""
    content = {name: file.sha256 for name, file in artifact.files.items() if not name.startswith(NOTES)}
    broken = next((n for n, f in artifact.files.items() if not _has(place / n, f.size)), None)
    if broken is not None or digest_of(content) != artifact.digest:
        raise IntegrityError(
            f"{broken or ARTIFACT_FILE} is not what {artifact.stage} wrote",
            where=f"store/{artifact.key}",
            remedy="remove that folder from the bucket and run again: the stage will be done anew",
        )


def _has(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size
