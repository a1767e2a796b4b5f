"""A bucket's photographs: listed, which a plan needs, and mirrored into a folder, which work on this machine needs.

What an object is, its ETag, its size and its version say. So a plan downloads nothing, and it is the same plan for jobs
that read the bucket themselves.
"""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from earthsnap_train.data.scan import is_photograph
from earthsnap_train.errors import DataError, EnvironmentProblem
from earthsnap_train.spec.dataset import S3Source

_NUM_CONNECTIONS = 16
_BUCKET = "dataset.source.bucket"
_WITHOUT_VERSIONS = ("NotImplemented", "501", "MethodNotAllowed")  # of services that speak S3, and not all of it


class Object(NamedTuple):
    """``version_id``: None in a bucket without versions. ``modified_ns``: when it was put there."""

    etag: str
    size: int
    version_id: str | None
    modified_ns: int


class BucketListing(BaseModel):
    """A bucket's photographs at one moment. ``prefix``: empty, or with a slash at its end. ``objects``: by path below it."""

    model_config = ConfigDict(frozen=True)

    bucket: str
    prefix: str
    region: str | None
    endpoint_url: str | None
    objects: dict[str, Object]


def list_bucket(source: S3Source) -> BucketListing:
    """Raises EnvironmentProblem without boto3 or credentials, DataError for a bucket that cannot be listed."""
    prefix = source.prefix.rstrip("/") + "/" if source.prefix else ""
    empty = BucketListing(
        bucket=source.bucket, prefix=prefix, region=source.region, endpoint_url=source.endpoint_url, objects={}
    )
    return list_again(empty)


def list_again(listing: BucketListing) -> BucketListing:
    """What is there now. Raises as ``list_bucket`` does."""
    with _Client(listing) as client:
        return listing.model_copy(update={"objects": dict(sorted(listed(client.s3, listing)))})


def fetch(listing: BucketListing, mirror: Path) -> int:
    """Makes ``mirror`` hold what is listed; returns how many were fetched. May be killed at any moment.

    What was mirrored and is not listed is removed; other files in the folder are left alone. Raises as ``list_bucket``
    does, and DataError for an object that is not what was listed any more.
    """
    mirrored = _read_mirrored(mirror)
    missing = [
        path for path, one in listing.objects.items() if not _is_mirrored(mirror / path, one, mirrored.get(path))
    ]
    if missing:
        with _Client(listing) as client, ThreadPoolExecutor(_NUM_CONNECTIONS) as pool:
            list(pool.map(lambda path: _download(client.s3, listing, path, mirror / path), missing))
    for path in mirrored.keys() - listing.objects.keys():
        (mirror / path).unlink(missing_ok=True)
    if missing or mirrored != listing.objects:
        _write(_mirrored(mirror), json.dumps(listing.objects, ensure_ascii=False))
    return len(missing)


def read_listing(root: Path) -> BucketListing | None:
    """What was listed for this root, or None."""
    try:
        return BucketListing.model_validate_json(_listing(root).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_listing(root: Path, listing: BucketListing) -> None:
    """Beside ``root``, so that it is no stray file in it; all that reads the root's photographs takes it from there."""
    _write(_listing(root), listing.model_dump_json())


class _Client:
    """boto3's, whose errors are turned into ours."""

    def __init__(self, listing: BucketListing) -> None:
        try:
            import boto3
            import botocore.exceptions
            from botocore.config import Config
        except ImportError as error:
            raise EnvironmentProblem(
                "photographs in S3 need boto3, which is not installed",
                where="dataset=s3",
                remedy='pip install "earthsnap_train[s3]"',
            ) from error
        config = Config(max_pool_connections=_NUM_CONNECTIONS, retries={"mode": "standard", "max_attempts": 5})
        self._errors: Any = botocore.exceptions
        self._listing = listing
        self.s3: Any = boto3.client("s3", region_name=listing.region, endpoint_url=listing.endpoint_url, config=config)

    def __enter__(self) -> "_Client":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._errors.NoCredentialsError):
            raise EnvironmentProblem(
                "no AWS credentials were found",
                where=_BUCKET,
                remedy="Set AWS_PROFILE, or run `aws configure` or `aws sso login`.",
            ) from error
        if isinstance(error, (self._errors.ClientError, self._errors.BotoCoreError)):
            place = f"s3://{self._listing.bucket}/{self._listing.prefix}".rstrip("/")
            raise DataError(f"{place} cannot be read: {error}", where=_BUCKET) from error


def listed(s3: Any, listing: BucketListing) -> Iterator[tuple[str, Object]]:
    """(path below the prefix, what is there now) of every photograph."""
    for entry, version_id in _entries(s3, listing):
        path = entry["Key"].removeprefix(listing.prefix)
        folders = path.split("/")
        if not is_photograph(folders[-1]):
            continue
        if not all(folders) or ".." in folders or "." in folders:
            raise DataError(
                f"the key {entry['Key']!r} does not name a file in a folder",
                where=_BUCKET,
                remedy="Rename the object.",
            )
        modified_ms = round(entry["LastModified"].timestamp() * 1000)
        yield path, Object(entry["ETag"], entry["Size"], version_id, modified_ms * 1_000_000)


def _entries(s3: Any, listing: BucketListing) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    where = {"Bucket": listing.bucket, "Prefix": listing.prefix}
    try:
        for page in s3.get_paginator("list_object_versions").paginate(**where):
            for entry in page.get("Versions", ()):
                if entry["IsLatest"]:
                    yield entry, None if entry["VersionId"] == "null" else entry["VersionId"]
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _WITHOUT_VERSIONS:
            raise
        for page in s3.get_paginator("list_objects_v2").paginate(**where):
            yield from ((entry, None) for entry in page.get("Contents", ()))


def _is_mirrored(file: Path, there: Object, here: Object | None) -> bool:
    return here == there and file.is_file() and file.stat().st_size == there.size


def _download(s3: Any, listing: BucketListing, path: str, target: Path) -> None:
    wanted = listing.objects[path]
    version = {"VersionId": wanted.version_id} if wanted.version_id is not None else {}
    answer = s3.get_object(Bucket=listing.bucket, Key=listing.prefix + path, **version)
    if answer["ETag"] != wanted.etag:
        raise DataError(f"{path!r} was changed in the bucket while this went on", where=_BUCKET, remedy="Run again.")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    unfinished.write_bytes(answer["Body"].read())
    unfinished.replace(target)


def _listing(root: Path) -> Path:
    return root.with_name(f".{root.name}.s3.json")


def _mirrored(mirror: Path) -> Path:
    return mirror.with_name(f".{mirror.name}.mirrored.json")


def _read_mirrored(mirror: Path) -> dict[str, Object]:
    try:
        return {path: Object(*entry) for path, entry in json.loads(_mirrored(mirror).read_text("utf-8")).items()}
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(text, "utf-8")
    unfinished.replace(place)
