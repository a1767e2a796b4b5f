"""Which photographs a job is given, and where they lie.

Those in a bucket of the user's own are read there and never pass over this machine: the channel is a manifest of exactly
the objects that the plan was made of, and a listing beside it says what they were then. A node's job is given those that
its node was taught or is judged on.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from earthsnap_train.data.limit import limited
from earthsnap_train.data.scan import FileStat
from earthsnap_train.data.source import list_source
from earthsnap_train.data.source_s3 import BucketListing, fetch, list_again, read_listing, write_listing
from earthsnap_train.errors import ConfigError, DataError
from earthsnap_train.pipeline.plan import Plan, Stage
from earthsnap_train.pipeline.store import Artifact
from launchers.sagemaker import places
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.shelf import Shelf
from launchers.sagemaker.steps import Job


def photographs_of(stage: Stage, inputs: Mapping[str, Path]) -> Mapping[str, FileStat]:
    """Path -> size and time, of all that a stage ``ingest`` will look at. ``inputs``: where what it reads lies here."""
    from earthsnap_train.data.ingest import Settings  # and with it numpy and Pillow, which no desk needs for listing

    s = Settings.model_validate(stage.settings)
    tables = (inputs.get("table"), inputs.get("species_table"))
    return limited(list_source(s.source, inputs["photographs"], *tables), s.limit).files


# ---- when a plan is submitted


def point_at_photographs(plan: Plan, here: Mapping[str, Path], bucket: Bucket, *, prefix: str, region: str) -> None:
    """Writes which objects the jobs' channel is. Raises ConfigError for what jobs in ``region`` cannot read."""
    listing = _readable(here["photographs"], region)
    paths = sorted(photographs_of(plan.stage("ingest"), here))
    place = f"{prefix}/{places.external('photographs', plan.externals['photographs'])}"
    bucket.write(f"{place}/{places.LISTING}", listing.model_dump_json().encode())
    manifest = [{"prefix": f"s3://{listing.bucket}/{listing.prefix}"}, *paths]
    bucket.write(f"{place}/{places.LISTED}", json.dumps(manifest, indent=0).encode())


def fetch_into_stand_in(photographs: Path, s3: Path, *, region: str) -> None:
    """Makes the folder that stands for S3 hold what is listed for ``photographs``, as the bucket itself does on AWS.

    Raises ConfigError as ``point_at_photographs``, and as ``fetch`` does.
    """
    listing = _readable(photographs, region)
    fetch(listing, s3 / listing.bucket / listing.prefix)


def _readable(photographs: Path, region: str) -> BucketListing:
    listing = read_listing(photographs)
    assert listing is not None, "the plan was made of it"
    if listing.region not in (None, region):
        raise ConfigError(
            f"the service gives jobs in {region} no photographs of a bucket in {listing.region}",
            where="dataset.source.region",
            allowed=f"{region}, as aws.region, or null",
            remedy="run where the photographs are (aws.region), or copy them into a bucket there",
        )
    if listing.endpoint_url is not None:
        raise ConfigError(
            "jobs on SageMaker read photographs from AWS's own S3 alone",
            where="dataset.source.endpoint_url",
            allowed="null",
            remedy="copy the photographs into a bucket of AWS, or fetch them into a folder and use dataset=folder",
        )
    return listing


# ---- when a node's pipeline is started


def chosen_by(job: Job) -> tuple[str, ...]:
    """Earlier selections that together name every photograph which a job reads; empty where it may read any."""
    chosen = [s.inputs.get("examples", "") for s in job.stages if "@photographs" in dict(s.references()).values()]
    return tuple(dict.fromkeys(chosen)) if all(name in job.earlier for name in chosen) else ()


def chosen_photographs(selected: Iterable[Artifact], ingested: Artifact, shelf: Shelf) -> set[str]:
    """Paths below the photographs' root."""
    from earthsnap_train.data.examples import Examples
    from earthsnap_train.data.manifest import MANIFEST_FILE, read_manifest

    with TemporaryDirectory() as folder:
        shelf.fetch(ingested, Path(folder, "ingested"), only=[MANIFEST_FILE])
        uri_of = {row.image_id: row.uri for row in read_manifest(Path(folder, "ingested", MANIFEST_FILE))}
        uris: set[str] = set()
        for one in selected:
            shelf.fetch(one, Path(folder, one.key))
            uris |= {uri_of[image_id] for image_id in Examples.read(Path(folder, one.key)).image_ids}
    return uris


def photographs_digest(ingested: Artifact) -> str:
    inputs: Any = ingested.ingredients["inputs"]
    return str(inputs["photographs"])


# ---- in a container


def root_of_own(channel: Path, key: str) -> Path:
    """``key``: of their folder in the bucket. They lie in the channel, or where a manifest's whole keys lead to."""
    return channel / key if (channel / key).is_dir() else channel


def root_of_listed(channel: Path, listing: BucketListing, link: Path) -> Path:
    """Makes ``link`` the photographs' root, with the listing beside it, wherever below the channel they lie.

    Whole keys or only what follows the manifest's prefix: which of them the service shows is not documented.
    """
    whole = channel / listing.prefix
    root = whole if any((whole / path).is_file() for path in listing.objects) else channel
    link.symlink_to(root, target_is_directory=True)
    write_listing(link, listing)
    return link


def require_unchanged(listing: BucketListing) -> None:
    """That what was listed for the plan is what a job has been given: the service takes what is there when the job starts.

    Raises DataError for an object that was changed or removed since.
    """
    now = list_again(listing).objects
    changed = next((path for path, one in listing.objects.items() if now.get(path) != one), None)
    if changed is not None:
        raise DataError(
            f"{changed!r} was {'changed' if changed in now else 'removed'} after the plan was made",
            where=f"s3://{listing.bucket}/{listing.prefix}",
            remedy="run again: the new plan is made of what is there now",
        )
