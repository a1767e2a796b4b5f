"""Photographs in a bucket. The service is moto's, inside this process."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.data.source import list_source
from earthsnap_train.data.source_s3 import BucketListing, Object, list_bucket, listed, read_listing, write_listing
from earthsnap_train.data.source_s3 import fetch as fetch_listed
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


def fetch(source: S3Source, mirror: Path) -> int:
    """As a run does it: what there is, then what of it is lacking."""
    write_listing(mirror, list_bucket(source))
    listing = read_listing(mirror)
    assert listing is not None
    return fetch_listed(listing, mirror)


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


def test_the_listing_says_what_is_there_and_fetches_nothing(bucket: Any, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    write_listing(mirror, list_bucket(_source()))

    listing = list_source(_source(), mirror)

    versions = {
        row.path: bucket.head_object(Bucket=BUCKET, Key=f"flora/{row.path}")["VersionId"] for row in listing.rows
    }
    assert [(row.species, row.ranks) for row in listing.rows] == [("rose", {"order": "rosales"})] * 2
    assert listing.version_ids == versions
    assert [file.size for file in listing.files.values()] == [len("bytes of flora/rosales/rose/1.jpg")] * 2
    assert not mirror.exists()


def test_of_an_object_that_was_written_over_or_removed_the_listing_has_the_last(bucket: Any) -> None:
    first = list_bucket(_source()).objects
    bucket.put_object(Bucket=BUCKET, Key="flora/rosales/rose/1.jpg", Body=RETOUCHED)
    bucket.delete_object(Bucket=BUCKET, Key="flora/rosales/rose/2.jpg")

    now = list_bucket(_source()).objects

    assert list(now) == ["rosales/rose/1.jpg"]
    assert now["rosales/rose/1.jpg"].version_id != first["rosales/rose/1.jpg"].version_id
    assert now["rosales/rose/1.jpg"].etag != first["rosales/rose/1.jpg"].etag


def test_what_was_written_over_since_it_was_listed_is_fetched_as_it_was(bucket: Any, tmp_path: Path) -> None:
    listing = list_bucket(_source())
    bucket.put_object(Bucket=BUCKET, Key="flora/rosales/rose/2.jpg", Body=RETOUCHED)

    fetch_listed(listing, tmp_path / "mirror")

    assert (tmp_path / "mirror/rosales/rose/2.jpg").read_bytes() == b"bytes of flora/rosales/rose/2.jpg"


def test_without_versions_an_object_that_was_written_over_since_it_was_listed_is_refused(
    bucket: Any, tmp_path: Path
) -> None:
    bucket.create_bucket(Bucket="plain")
    bucket.put_object(Bucket="plain", Key="flora/rosales/rose/1.jpg", Body=b"first")
    listing = list_bucket(_source(bucket="plain"))
    bucket.put_object(Bucket="plain", Key="flora/rosales/rose/1.jpg", Body=b"second")

    assert listing.objects["rosales/rose/1.jpg"].version_id is None
    with pytest.raises(DataError, match=r"'rosales/rose/1\.jpg' was changed in the bucket"):
        fetch_listed(listing, tmp_path / "mirror")


def test_a_service_that_lists_no_versions_is_asked_for_objects() -> None:
    boto3 = pytest.importorskip("boto3")
    stub = pytest.importorskip("botocore.stub")
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    listing = BucketListing(bucket=BUCKET, prefix="flora/", region=None, endpoint_url="http://minio", objects={})
    entry = {"Key": "flora/rose/1.jpg", "ETag": '"a"', "Size": 3, "LastModified": datetime(2026, 1, 1, tzinfo=UTC)}
    with stub.Stubber(s3) as answers:
        answers.add_client_error("list_object_versions", "NotImplemented")
        answers.add_response("list_objects_v2", {"Contents": [entry]}, {"Bucket": BUCKET, "Prefix": "flora/"})
        found = dict(listed(s3, listing))

    assert found == {"rose/1.jpg": Object('"a"', 3, None, 1767225600_000_000_000)}


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
