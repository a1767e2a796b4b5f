"""A bucket's photographs, mirrored into a folder; only what is new or changed is fetched."""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from earthsnap_train.data.scan import is_photograph
from earthsnap_train.errors import DataError, EnvironmentProblem
from earthsnap_train.spec.dataset import S3Source

_NUM_CONNECTIONS = 16
_BUCKET = "dataset.source.bucket"


class _Object(NamedTuple):
    """``version_id``: None in a bucket without versions."""

    etag: str
    size: int
    version_id: str | None


def fetch(source: S3Source, mirror: Path) -> int:
    """Makes ``mirror`` hold the photographs that the bucket holds now; returns how many were fetched.

    What was mirrored and is no longer in the bucket is removed; other files in the folder are left alone. May be killed
    at any moment. Raises EnvironmentProblem without boto3 or credentials, DataError for a bucket that cannot be read.
    """
    client, errors = _client(source)
    mirrored = _read_index(mirror)
    try:
        there = dict(_list(client, source))
        changed = [
            path for path, one in sorted(there.items()) if not _is_mirrored(mirror, path, one, mirrored.get(path))
        ]
        with ThreadPoolExecutor(_NUM_CONNECTIONS) as pool:
            fetched = dict(pool.map(lambda path: (path, _download(client, source, mirror, path)), changed))
    except errors.NoCredentialsError as error:
        raise EnvironmentProblem(
            "no AWS credentials were found",
            where=_BUCKET,
            remedy="Set AWS_PROFILE, or run `aws configure` or `aws sso login`.",
        ) from error
    except (errors.ClientError, errors.BotoCoreError) as error:
        raise DataError(f"s3://{source.bucket}/{source.prefix} cannot be read: {error}", where=_BUCKET) from error
    for path in mirrored.keys() - there.keys():
        (mirror / path).unlink(missing_ok=True)
    _write_index(mirror, {path: fetched.get(path) or mirrored[path] for path in sorted(there)})
    return len(fetched)


def read_versions(mirror: Path) -> dict[str, str]:
    """Path -> VersionId of every photograph that was fetched with one."""
    return {path: one.version_id for path, one in _read_index(mirror).items() if one.version_id is not None}


def _client(source: S3Source) -> tuple[Any, Any]:
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
    client = boto3.client("s3", region_name=source.region, endpoint_url=source.endpoint_url, config=config)
    return client, botocore.exceptions


def _list(client: Any, source: S3Source) -> Iterator[tuple[str, _Object]]:
    prefix = _prefix(source)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            path = entry["Key"].removeprefix(prefix)
            folders = path.split("/")
            if not is_photograph(folders[-1]):
                continue
            if not all(folders) or ".." in folders or "." in folders:
                raise DataError(
                    f"the key {entry['Key']!r} does not name a file in a folder",
                    where=_BUCKET,
                    remedy="Rename the object.",
                )
            yield path, _Object(entry["ETag"], entry["Size"], None)


def _is_mirrored(mirror: Path, path: str, there: _Object, here: _Object | None) -> bool:
    if here is None or (here.etag, here.size) != (there.etag, there.size):
        return False
    file = mirror / path
    return file.is_file() and file.stat().st_size == there.size


def _download(client: Any, source: S3Source, mirror: Path, path: str) -> _Object:
    answer = client.get_object(Bucket=source.bucket, Key=_prefix(source) + path)
    data = answer["Body"].read()
    target = mirror / path
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    unfinished.write_bytes(data)
    unfinished.replace(target)
    return _Object(answer["ETag"], len(data), answer.get("VersionId"))


def _prefix(source: S3Source) -> str:
    return source.prefix.rstrip("/") + "/" if source.prefix else ""


def _index(mirror: Path) -> Path:
    return mirror.with_name(f".{mirror.name}.s3.json")  # beside the folder, so that it is no stray file in it


def _read_index(mirror: Path) -> dict[str, _Object]:
    try:
        return {path: _Object(*entry) for path, entry in json.loads(_index(mirror).read_text("utf-8")).items()}
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _write_index(mirror: Path, objects: Mapping[str, _Object]) -> None:
    mirror.mkdir(parents=True, exist_ok=True)
    unfinished = _index(mirror).with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(json.dumps(objects, ensure_ascii=False), "utf-8")
    unfinished.replace(_index(mirror))
