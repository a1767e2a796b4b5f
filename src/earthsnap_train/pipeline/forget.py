"""Removes one photograph from everything that the program made, and finds the releases that learnt from it.

What a stage made of the photograph goes with it, down to the weights; the next run makes it anew without it. Splits do
not move: the last manifest stays as the base of the next, less its row. Releases are not changed in what they answer:
they are named, so that a person decides about them, and lose their copies of the picture.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from earthsnap_train.data.manifest import (
    HEADER_FILE,
    MANIFEST_FILE,
    TAXONOMY_FILE,
    ManifestRow,
    header_of,
    read_header,
    read_manifest,
    write_header,
    write_manifest,
    write_quarantine,
)
from earthsnap_train.errors import NotFoundError
from earthsnap_train.pipeline.advised import pages_of
from earthsnap_train.pipeline.resolve import key_of
from earthsnap_train.pipeline.store import Artifact, Store, write_atomically
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.tracking.links import Links

PAGES = ("report.html", "qa.html", "comparison.html", "comparison.json")
TRACKED = ("wandb", "tensorboard")  # with pictures, pages and manifests; tables under csv/ name no photograph


@dataclass(frozen=True, kw_only=True)
class Traces:
    """Where a photograph is. ``uris``: as sources name it. ``taught``, ``judged``: releases that learnt from it, or not.

    ``reports``, ``tracked``: pages of runs and of advice, and folders of runs, that may show it. ``uploads``: what W&B may
    have of it, in words. ``datasets``: versions that list it.
    """

    image_id: str
    uris: tuple[str, ...]
    artifacts: tuple[Artifact, ...]
    taught: tuple[Release, ...]
    judged: tuple[Release, ...]
    reports: tuple[Path, ...]
    tracked: tuple[Path, ...]
    uploads: tuple[str, ...]
    datasets: tuple[str, ...]


def find_traces(
    image: str, store: Store, registry: Registry, outputs: Path, *, elsewhere: Iterable[ManifestRow] = ()
) -> Traces:
    """``image``: an image id, or a path as a dataset names it. ``elsewhere``: rows of manifests that the store lacks.

    Raises NotFoundError where nothing knows it.
    """
    manifests = [artifact for artifact in store.all() if artifact.kind == "ingest"]
    rows = [*elsewhere, *(row for one in manifests for row in read_manifest(store.path(one.key) / MANIFEST_FILE))]
    image_ids = {row.image_id for row in rows if image in (row.image_id, row.uri)}
    if len(image_ids) > 1:
        raise NotFoundError(
            f"{len(image_ids)} photographs were called {image!r} in turn", where="image", remedy="give the image id"
        )
    image_id = next(iter(image_ids), image)
    taught: list[Release] = []
    judged: list[Release] = []
    for release in registry.releases():
        table = pq.read_table(release.path / "lineage" / "images.parquet")
        splits = dict(zip(table["image_id"].to_pylist(), table["split"].to_pylist(), strict=True))
        if image_id in splits:
            learnt = json.loads((release.path / "lineage" / "dataset.json").read_text())["taught_on"]
            (taught if splits[image_id] in learnt else judged).append(release)
    if not image_ids and not taught and not judged:
        raise NotFoundError("no manifest and no release knows this photograph", where=f"image={image}")
    artifacts = tuple(touched(image_id, store.all(), lambda artifact, name: store.path(artifact.key) / name))
    headers = [store.path(one.key) / HEADER_FILE for one in artifacts if one.kind == "ingest"]
    datasets = {read_header(header).dataset_version for header in headers}
    runs = list(_runs(datasets, {one.name for one in (*taught, *judged)}, outputs))
    uris = {row.uri for row in rows if row.image_id == image_id}
    pages = [page for run in runs for name in PAGES if (page := run / name).exists()]
    return Traces(
        image_id=image_id,
        uris=tuple(sorted(uris)),
        artifacts=artifacts,
        taught=tuple(taught),
        judged=tuple(judged),
        reports=(*pages, *pages_of(store, image_id, uris)),
        tracked=tuple(folder for run in runs for name in TRACKED if (folder := run / name).is_dir()),
        uploads=tuple(_upload(run) for run in runs if (run / "wandb").is_dir()),
        datasets=tuple(sorted(datasets)),
    )


def forget(traces: Traces, store: Store, registry: Registry) -> None:
    """Removes every trace that ``find_traces`` found; done again after an interruption, it does the rest."""
    known = store.forgotten.read_text().split() if store.forgotten.exists() else []
    store.root.mkdir(parents=True, exist_ok=True)
    write_atomically(store.forgotten, "".join(f"{one}\n" for one in sorted({*known, traces.image_id})).encode())
    # Before the artifacts, by which a run is found again after an interruption.
    for report in traces.reports:
        report.unlink(missing_ok=True)
    for folder in traces.tracked:
        shutil.rmtree(folder)
    for artifact in traces.artifacts:
        if artifact.kind == "ingest":
            keep_base(artifact, traces.image_id, store)
        store.remove(artifact.key)
    for copies in ("scratch", "sagemaker"):  # whatever is made anew from what is left
        shutil.rmtree(store.root / copies, ignore_errors=True)
    for release in (*traces.taught, *traces.judged):
        _strip_release(release.folder, traces.image_id)
        registry.erase(release)


def touched(
    image_id: str, artifacts: Iterable[Artifact], file: Callable[[Artifact, str], Path | None]
) -> Iterator[Artifact]:
    """Artifacts made of the photograph: a chain from the manifests, cut where a stage's own list does not have it.

    ``file``: where an artifact's file of a name lies; None where it is gone, which leaves the artifact good for nothing.
    """
    found: set[str] = set()
    remaining = {artifact.key: artifact for artifact in artifacts}
    grown = True
    while grown:
        grown = False
        for key, artifact in list(remaining.items()):
            inputs = artifact.ingredients.get("inputs")
            given = {str(value).partition(":")[0] for value in inputs.values()} if isinstance(inputs, dict) else set()
            if artifact.kind in _LISTS:
                listed = file(artifact, _LISTS[artifact.kind])
                concerned = listed is None or image_id in _ids(listed)
            else:
                concerned = bool(given & found)
            if concerned:
                found.add(artifact.digest)
                del remaining[key]
                grown = True
                yield artifact


def _ids(file: Path) -> set[str]:
    return set(pq.read_table(file, columns=["image_id"])["image_id"].to_pylist())


# Kinds that list their photographs, and where; every other kind is made of the photographs of its inputs.
_LISTS: Mapping[str, str] = {
    "ingest": MANIFEST_FILE,
    "select": "examples.parquet",
    "evaluate": "predictions.parquet",
    "bundle": "lineage/images.parquet",
}


def keep_base(manifest: Artifact, image_id: str, store: Store) -> None:
    """Where this was a family's last manifest, the same less one row takes its place, so that no split moves."""
    families = store.families_of(manifest.key)
    if not families:
        return
    old = store.path(manifest.key)
    rows = [row for row in read_manifest(old / MANIFEST_FILE) if row.image_id != image_id]
    made_of = manifest.ingredients | {"inputs": {"without a forgotten photograph": manifest.digest}}
    key = key_of(made_of)
    with store.lock(key), store.building(key) as folder:
        write_manifest(rows, folder / MANIFEST_FILE)
        write_quarantine([], folder / "quarantine.parquet")
        shutil.copyfile(old / TAXONOMY_FILE, folder / TAXONOMY_FILE)
        write_header(header_of(rows, [], read_header(old / HEADER_FILE).qa), folder / HEADER_FILE)
        if store.find(key) is None:
            store.publish(
                folder, key=key, kind="ingest", stage="ingest", made_of=made_of,
                seconds=manifest.seconds, num_images=manifest.num_images,
            )  # fmt: skip
    for family in families:
        store.set_head(family, "ingest", key)


def _strip_release(release: Path, image_id: str) -> None:
    """Its own copy of the picture goes, and the list of its files no longer has it: it can be opened as before."""
    answers = release / "golden" / "answers.json"
    shutil.rmtree(release / "report", ignore_errors=True)  # its galleries may show the photograph
    _strip_predictions(release / "evaluation" / "predictions.parquet", image_id)
    listed = json.loads(answers.read_text())
    gone = {one["file"] for one in listed if image_id.startswith(Path(one["file"]).stem)}
    if not gone:
        return
    for name in gone:
        (release / "golden" / name).unlink(missing_ok=True)
    kept = json.dumps([one for one in listed if one["file"] not in gone], indent=1).encode()
    description = release / "release.json"
    described = json.loads(description.read_text())
    files = {name: sha256 for name, sha256 in described["files"].items() if name.removeprefix("golden/") not in gone}
    described["files"] = files | {"golden/answers.json": hashlib.sha256(kept).hexdigest()}
    write_atomically(description, json.dumps(described, indent=1, sort_keys=True).encode())
    write_atomically(answers, kept)  # last, so that what was interrupted is found here and done again


def _strip_predictions(path: Path, image_id: str) -> None:
    """What the release said of the photograph; later comparisons do without it."""
    if not path.is_file():
        return
    table = pq.read_table(path)
    kept = table.filter(pc.field("image_id") != image_id)
    if len(kept) < len(table):
        incoming = path.with_name(f"{path.name}.tmp")
        pq.write_table(kept, incoming, compression="zstd", version="2.6")
        incoming.replace(path)


def _runs(datasets: set[str], releases: set[str], outputs: Path) -> Iterator[Path]:
    """Folders of runs that ended in one of these releases, or had one of these datasets."""
    for summary in sorted(outputs.glob("*/*/summary.json")):
        said = json.loads(summary.read_text())
        if said.get("release", {}).get("name") in releases or said.get("lineage", {}).get("dataset") in datasets:
            yield summary.parent


def _upload(run: Path) -> str:
    links = Links.read(run)
    return f"group {links.group} of project {links.project}" if links is not None else f"the runs of {run}"
