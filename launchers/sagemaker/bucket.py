"""The port to S3: a bucket's objects by key. ``FolderBucket`` is a folder that stands in for one."""

import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import get_ident
from typing import Any, Protocol

from filelock import FileLock

from earthsnap_train.pipeline.store import write_atomically
from launchers.sagemaker import places
from launchers.sagemaker.clients import client, code_of, in_our_words

NUM_CONNECTIONS = 8  # for many objects at once
_ABSENT = ("NoSuchKey", "404")
_THERE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_UNCHANGED = ("NotModified", "304")


@dataclass(frozen=True, kw_only=True)
class Found:
    """An object as it was found. ``age_s``: since it was written, by the bucket's own clock."""

    content: bytes
    etag: str
    age_s: float


class Bucket(Protocol):
    def read(self, key: str) -> bytes | None:
        """None where there is no such object."""

    def write(self, key: str, content: bytes) -> None: ...

    def write_new(self, key: str, content: bytes) -> bool:
        """False, with nothing written, where there is such an object already."""

    def upload(self, key: str, file: Path) -> None: ...

    def download(self, key: str, file: Path) -> None: ...

    def fetch(self, key: str, *, known: Found | None = None) -> Found | None:
        """None where there is no such object; ``known`` itself, its content not sent again, where it is that still."""

    def put(self, key: str, content: bytes, *, over: Found | None) -> Found | None:
        """Writes in place of ``over``, None: of nothing. None, with nothing written, where something else is there."""

    def listed(self, prefix: str) -> Mapping[str, str]:
        """Key -> ETag, of every object whose key begins so."""

    def remove(self, key: str) -> None:
        """Whether or not there is such an object. A versioned bucket still has it, until ``purge``."""

    def purge(self, prefix: str) -> None:
        """Leaves no version of objects whose keys begin so but those that ``read`` gives."""


class FolderBucket:
    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes | None:
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        write_atomically(self._made(key), content)

    def write_new(self, key: str, content: bytes) -> bool:
        place = self._made(key)
        temporary = place.with_name(f"{place.name}.{os.getpid()}.{get_ident()}.new")
        temporary.write_bytes(content)
        try:
            place.hardlink_to(temporary)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def upload(self, key: str, file: Path) -> None:
        place = self._made(key)
        temporary = place.with_name(f"{place.name}.{os.getpid()}.{get_ident()}.new")
        shutil.copyfile(file, temporary)
        temporary.replace(place)

    def download(self, key: str, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.root / key, file)

    def fetch(self, key: str, *, known: Found | None = None) -> Found | None:
        try:
            content, written = (self.root / key).read_bytes(), (self.root / key).stat().st_mtime
        except FileNotFoundError:
            return None
        found = Found(content=content, etag=_digest(content), age_s=time.time() - written)
        return known if known is not None and known.etag == found.etag else found

    def put(self, key: str, content: bytes, *, over: Found | None) -> Found | None:
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / _digest(key.encode())):
            there = self.fetch(key)
            if (there and there.etag) != (over and over.etag):
                return None
            write_atomically(self._made(key), content)
        return Found(content=content, etag=_digest(content), age_s=0.0)

    def listed(self, prefix: str) -> Mapping[str, str]:
        keys = (path.relative_to(self.root).as_posix() for path in sorted(self.root.rglob("*")) if path.is_file())
        return {key: _digest((self.root / key).read_bytes()) for key in keys if key.startswith(prefix)}

    def remove(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def purge(self, prefix: str) -> None:
        """A folder has no other versions."""

    def _made(self, key: str) -> Path:
        place = self.root / key
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def bucket_here() -> Bucket:
    """The one that a container is told of."""
    name = os.environ[places.BUCKET_VARIABLE]
    folder = os.environ.get(places.S3_VARIABLE)
    if folder is not None:
        return FolderBucket(Path(folder) / name)
    return S3Bucket(name, kms_key=os.environ.get(places.KMS_VARIABLE))


class S3Bucket:
    """Raises EnvironmentProblem where boto3 is missing, and for what S3 refuses. ``region`` None: as the environment has it."""

    def __init__(self, name: str, *, kms_key: str | None, region: str | None = None) -> None:
        self._client: Any = client("s3", region=region)
        self._name = name
        self._where = f"s3://{name}"
        self._extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}

    def read(self, key: str) -> bytes | None:
        found = self.fetch(key)
        return None if found is None else found.content

    def write(self, key: str, content: bytes) -> None:
        with in_our_words(self._where):
            self._client.put_object(Bucket=self._name, Key=key, Body=content, **self._extra)

    def write_new(self, key: str, content: bytes) -> bool:
        return self.put(key, content, over=None) is not None

    def upload(self, key: str, file: Path) -> None:
        from boto3.exceptions import S3UploadFailedError

        with in_our_words(self._where):
            try:
                self._client.upload_file(str(file), self._name, key, ExtraArgs=self._extra)
            except S3UploadFailedError as error:  # around botocore's own, which says more
                raise error.__context__ or error from None

    def download(self, key: str, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with in_our_words(self._where):
            self._client.download_file(self._name, key, str(file))

    def fetch(self, key: str, *, known: Found | None = None) -> Found | None:
        condition = {"IfNoneMatch": known.etag} if known is not None else {}
        with in_our_words(self._where):
            try:
                answer = self._client.get_object(Bucket=self._name, Key=key, **condition)
            except self._client.exceptions.ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                if code_of(error) in _UNCHANGED:
                    return known
                raise
            content: bytes = answer["Body"].read()
        return Found(content=content, etag=answer["ETag"], age_s=_age_s(answer))

    def put(self, key: str, content: bytes, *, over: Found | None) -> Found | None:
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over.etag}
        with in_our_words(self._where):
            try:
                answer = self._client.put_object(Bucket=self._name, Key=key, Body=content, **condition, **self._extra)
            except self._client.exceptions.ClientError as error:
                if code_of(error) in _THERE or (over is not None and code_of(error) in _ABSENT):
                    return None
                raise
        return Found(content=content, etag=answer["ETag"], age_s=0.0)

    def listed(self, prefix: str) -> Mapping[str, str]:
        with in_our_words(self._where):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", [])}

    def remove(self, key: str) -> None:
        with in_our_words(self._where):
            self._client.delete_object(Bucket=self._name, Key=key)

    def purge(self, prefix: str) -> None:
        with in_our_words(self._where):
            pages = list(self._client.get_paginator("list_object_versions").paginate(Bucket=self._name, Prefix=prefix))
            earlier = [one for page in pages for one in page.get("Versions", []) if not one["IsLatest"]]
            markers = [one for page in pages for one in page.get("DeleteMarkers", [])]
            for one in (*earlier, *markers):  # in this order: a marker that went first would bring something back
                self._client.delete_object(Bucket=self._name, Key=one["Key"], VersionId=one["VersionId"])


def _age_s(answer: Mapping[str, Any]) -> float:
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")  # S3 always says it, what stands in for it may not
    now = parsedate_to_datetime(said) if said else datetime.now(UTC)
    age_s: float = (now - answer["LastModified"]).total_seconds()
    return age_s


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
