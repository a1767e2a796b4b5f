"""What a launcher's bucket has of a photograph that is to be forgotten, and how it goes.

Artifacts made of it go as they do from a store, and so do the copy that was sent, homes of the entry pipeline's runs that may
show it, and what is made anew in any case; then no earlier version of any of that is left. The order is such that whoever
is killed finds the rest the next time. Photographs that a source reads in a bucket of the user's own are never touched.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from earthsnap_train.data.manifest import (
    HEADER_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    ManifestRow,
    read_header,
    read_manifest,
    read_quarantine,
)
from earthsnap_train.pipeline.forget import Traces, keep_base, touched
from earthsnap_train.pipeline.store import Artifact, Store
from launchers.sagemaker import places
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.home import bring_home
from launchers.sagemaker.shelf import ARTIFACT_FILE, Done, Shelf

SENT = "externals/photographs/"
MADE_ANEW = ("shards/", "checkpoints/")  # as a store's scratch


@dataclass(frozen=True, kw_only=True)
class Copies:
    """``artifacts``: what was made of a photograph, each after what it was made of. ``objects``: keys of all else."""

    image_id: str
    artifacts: tuple[Artifact, ...]
    objects: tuple[str, ...]


class Holdings:
    """Everything that a bucket has below a prefix. ``folder``: for what has to be read of it."""

    def __init__(self, bucket: Bucket, *, name: str, prefix: str, folder: Path) -> None:
        self._bucket, self._prefix, self._folder = bucket, prefix, folder
        self._shelf = Shelf(bucket, name=name, prefix=prefix)
        self._keys = dict.fromkeys(sorted(bucket.listed(f"{prefix}/")))
        described = [key.split("/")[-2] for key in self._below("store/") if key.endswith(f"/{ARTIFACT_FILE}")]
        self.artifacts = [one for key in described if (one := self._shelf.find(key)) is not None]

    def rows(self) -> Iterator[ManifestRow]:
        """Of every manifest."""
        for artifact in self._manifests(self.artifacts):
            if (file := self._file(artifact, MANIFEST_FILE)) is not None:
                yield from read_manifest(file)

    def copies(self, traces: Traces) -> Copies:
        """``traces``: found with these ``rows``."""
        artifacts = tuple(touched(traces.image_id, self.artifacts, self._file))
        objects = [*self._sent(traces), *self._homes(artifacts, traces.datasets)]
        objects += [key for folder in MADE_ANEW for key in self._below(folder)]
        return Copies(image_id=traces.image_id, artifacts=artifacts, objects=tuple(dict.fromkeys(objects)))

    def forget(self, copies: Copies) -> None:
        for key in copies.objects:
            self._bucket.remove(key)
        for artifact in self._manifests(copies.artifacts):
            self._keep_base(artifact, copies.image_id)
        manifests = [f"{self._prefix}/{places.artifact(one.key)}/" for one in self._manifests(copies.artifacts)]
        last = [place + name for place in manifests for name in (ARTIFACT_FILE, MANIFEST_FILE)]
        for artifact in reversed(copies.artifacts):  # by what it was made of, an artifact is found again
            keys = self._below(f"{places.artifact(artifact.key)}/")
            for key in sorted(keys, key=lambda key: key.endswith(f"/{ARTIFACT_FILE}")):
                if key not in last:
                    self._bucket.remove(key)
        self._purge()
        for key in last:  # nothing else may know the photograph by its name
            self._bucket.remove(key)
        self._purge()

    def _purge(self) -> None:
        for folder in ("store/", SENT, "runs/", *MADE_ANEW):
            self._bucket.purge(f"{self._prefix}/{folder}")

    def _below(self, folder: str) -> list[str]:
        return [key for key in self._keys if key.startswith(f"{self._prefix}/{folder}")]

    def _manifests(self, artifacts: Collection[Artifact]) -> list[Artifact]:
        return [one for one in artifacts if one.kind == "ingest"]

    def _file(self, artifact: Artifact, name: str) -> Path | None:
        """None where it is gone: somebody was killed while it was removed."""
        file = self._folder / artifact.key / name
        if not file.exists():
            key = f"{self._prefix}/{places.artifact(artifact.key)}/{name}"
            if key not in self._keys:
                return None
            self._bucket.download(key, file)
        return file

    def _sent(self, traces: Traces) -> Iterator[str]:
        """Copies of it by whatever name, each with what says that its folder is whole."""
        names = set(traces.uris)
        for artifact in self._manifests(self.artifacts):
            if (file := self._file(artifact, QUARANTINE_FILE)) is not None:  # where its duplicates are
                names |= {row.path for row in read_quarantine(file) if row.related in traces.uris}
        place = f"{self._prefix}/{SENT}"
        for key in self._below(SENT):
            digest, _, name = key.removeprefix(place).partition("/")
            if name in names and hashlib.sha256(self._bucket.read(key) or b"").hexdigest() == traces.image_id:
                yield f"{place}{digest}.whole"  # before the copy, by which it is found
                yield key

    def _homes(self, artifacts: Collection[Artifact], datasets: Collection[str]) -> Iterator[str]:
        """All of a run's home, unless all that it says of itself is that it knew other datasets."""
        headers = [self._file(one, HEADER_FILE) for one in self._manifests(artifacts)]
        held = {*datasets, *(read_header(file).dataset_version for file in headers if file is not None)}
        for run in sorted({key.removeprefix(f"{self._prefix}/runs/").split("/")[0] for key in self._below("runs/")}):
            keys = self._below(f"runs/{run}/home/")
            told = [json.loads(self._bucket.read(key) or b"{}") for key in keys if key.endswith("/summary.json")]
            if not told or held & {one.get("lineage", {}).get("dataset") for one in told}:
                yield from keys

    def _keep_base(self, manifest: Artifact, image_id: str) -> None:
        """As a store does, so that no split moves."""
        place = f"{self._prefix}/heads/"
        heads = {key: Done.model_validate_json(self._bucket.read(key) or b"") for key in self._below("heads/")}
        families = [key.removeprefix(place).split("/")[0] for key, head in heads.items() if head.key == manifest.key]
        if not families or self._file(manifest, MANIFEST_FILE) is None:
            return
        with TemporaryDirectory() as folder:
            store = Store(Path(folder))
            store.set_head(families[0], "ingest", bring_home(manifest, self._shelf, store).key)
            keep_base(manifest, image_id, store)
            base = store.head(families[0], "ingest")
            assert base is not None
            self._shelf.put(store.path(base.key), base)
        for family in families:
            head = Done(stage="ingest", key=base.key, cached=True)
            self._bucket.write(f"{self._prefix}/{places.head(family)}", head.model_dump_json().encode())
