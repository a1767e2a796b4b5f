"""Photographs in a bucket. The service is moto's, inside this process."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.data.source import list_source
from earthsnap_train.data.source_s3 import fetch, read_versions
from earthsnap_train.errors import DataError, EnvironmentProblem
from earthsnap_train.spec.dataset import S3Source

BUCKET = "plants"
RETOUCHED = b"BYTES of flora/rosales/rose/2.jpg"  # no longer than before: only the ETag tells


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for key in ("flora/rosales/rose/1.jpg", "flora/rosales/rose/2.jpg", "flora/notes.txt", "fauna/cat/1.jpg"):
            client.put_object(Bucket=BUCKET, Key=key, Body=f"bytes of {key}".encode())
        yield client


def _source(**changes: object) -> S3Source:
    declared = {
        "kind": "s3", "bucket": BUCKET, "prefix": "flora", "region": "us-east-1", "endpoint_url": None, "mirror": "",
        "ranks": ["order"], "species_table": None,
    }  # fmt: skip
    return S3Source.model_validate(declared | changes)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_mirror_holds_the_photographs_below_the_prefix(bucket: Any, tmp_path: Path) -> None:
    assert fetch(_source(), tmp_path / "mirror") == 2
    assert _files(tmp_path / "mirror") == ["rosales/rose/1.jpg", "rosales/rose/2.jpg"]
    assert (tmp_path / "mirror/rosales/rose/1.jpg").read_bytes() == b"bytes of flora/rosales/rose/1.jpg"


def test_a_second_fetch_brings_only_what_is_new_or_changed(bucket: Any, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    fetch(_source(), mirror)
    assert fetch(_source(), mirror) == 0
    bucket.put_object(Bucket=BUCKET, Key="flora/rosales/rose/2.jpg", Body=RETOUCHED)
    bucket.put_object(Bucket=BUCKET, Key="flora/rosales/rose/3.jpg", Body=b"new")
    assert fetch(_source(), mirror) == 2
    assert (mirror / "rosales/rose/2.jpg").read_bytes() == RETOUCHED


def test_what_left_the_bucket_leaves_the_mirror_and_nothing_else_does(bucket: Any, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    fetch(_source(), mirror)
    (mirror / "rosales/rose/mine.jpg").write_bytes(b"not from the bucket")
    bucket.delete_object(Bucket=BUCKET, Key="flora/rosales/rose/1.jpg")
    fetch(_source(), mirror)
    assert _files(mirror) == ["rosales/rose/2.jpg", "rosales/rose/mine.jpg"]


def test_a_file_that_was_lost_from_the_mirror_is_fetched_again(bucket: Any, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    fetch(_source(), mirror)
    (mirror / "rosales/rose/1.jpg").unlink()
    assert fetch(_source(), mirror) == 1


def test_the_listing_carries_the_versions_of_the_objects(bucket: Any, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    fetch(_source(), mirror)
    versions = {path: bucket.head_object(Bucket=BUCKET, Key=f"flora/{path}")["VersionId"] for path in _files(mirror)}
    listing = list_source(_source(), mirror)
    assert listing.version_ids == versions == read_versions(mirror)
    assert [(row.species, row.ranks) for row in listing.rows] == [("rose", {"order": "rosales"})] * 2


def test_a_key_that_climbs_out_of_the_mirror_is_refused(bucket: Any, tmp_path: Path) -> None:
    bucket.put_object(Bucket=BUCKET, Key="flora/../../evil.jpg", Body=b"x")
    with pytest.raises(DataError, match=r"evil\.jpg"):
        fetch(_source(), tmp_path / "mirror")
    assert not (tmp_path / "evil.jpg").exists()


def test_a_bucket_that_is_not_there_is_named(bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="s3://no-such-bucket/flora cannot be read"):
        fetch(_source(bucket="no-such-bucket"), tmp_path / "mirror")


def test_without_boto3_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(EnvironmentProblem, match=r'pip install "earthsnap_train\[s3\]"'):
        fetch(_source(), tmp_path / "mirror")
