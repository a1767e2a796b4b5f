"""The port to S3: a bucket's objects by key. ``FolderBucket`` is a folder that stands in for one."""

import os
import shutil
from pathlib import Path
from threading import get_ident
from typing import Any, Protocol

from earthsnap_train.pipeline.store import write_atomically
from launchers.sagemaker import places
from launchers.sagemaker.clients import client, code_of

_ABSENT = ("NoSuchKey", "404")
_THERE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")


class Bucket(Protocol):
    def read(self, key: str) -> bytes | None:
        """None where there is no such object."""

    def write(self, key: str, content: bytes) -> None: ...

    def write_new(self, key: str, content: bytes) -> bool:
        """False, with nothing written, where there is such an object already."""

    def upload(self, key: str, file: Path) -> None: ...

    def download(self, key: str, file: Path) -> None: ...


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
    """Raises EnvironmentProblem where boto3 is missing; what S3 itself refuses comes as botocore's own error.

    ``region`` None: as the environment has it.
    """

    def __init__(self, name: str, *, kms_key: str | None, region: str | None = None) -> None:
        self._client: Any = client("s3", region=region)
        self._refused: type[Exception] = self._client.exceptions.ClientError
        self._name = name
        self._extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}

    def read(self, key: str) -> bytes | None:
        try:
            answer = self._client.get_object(Bucket=self._name, Key=key)
        except self._refused as error:
            if code_of(error) in _ABSENT:
                return None
            raise
        content: bytes = answer["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=key, Body=content, **self._extra)

    def write_new(self, key: str, content: bytes) -> bool:
        try:
            self._client.put_object(Bucket=self._name, Key=key, Body=content, IfNoneMatch="*", **self._extra)
        except self._refused as error:
            if code_of(error) in _THERE:
                return False
            raise
        return True

    def upload(self, key: str, file: Path) -> None:
        self._client.upload_file(str(file), self._name, key, ExtraArgs=self._extra)

    def download(self, key: str, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._client.download_file(self._name, key, str(file))
