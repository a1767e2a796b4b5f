"""A folder that stands in for a bucket keeps a bucket's promises; both are tried, the other against moto's S3."""

import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from earthsnap_train.errors import EnvironmentProblem
from launchers.sagemaker.bucket import Bucket, FolderBucket, S3Bucket


@pytest.fixture(params=["folder", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    if request.param == "folder":
        yield FolderBucket(tmp_path / "bucket")
        return
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        boto3.client("s3").create_bucket(
            Bucket="photographs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield S3Bucket("photographs", kms_key=None)


def test_what_was_written_is_read_and_what_was_not_is_none(bucket: Bucket) -> None:
    bucket.write("deep/below/one", b"1")
    bucket.write("deep/below/one", b"2")

    assert bucket.read("deep/below/one") == b"2"
    assert bucket.read("deep/below/two") is None


def test_only_the_first_writes_what_must_be_new(bucket: Bucket) -> None:
    assert bucket.write_new("artifact.json", b"first")
    assert not bucket.write_new("artifact.json", b"second")
    assert bucket.read("artifact.json") == b"first"


def test_a_file_goes_there_and_comes_back(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"\x00\x01" * 1000)

    bucket.upload("folder/there", tmp_path / "here")
    bucket.download("folder/there", tmp_path / "new" / "back")

    assert (tmp_path / "new" / "back").read_bytes() == b"\x00\x01" * 1000


def test_a_declared_key_encrypts_every_object(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    (tmp_path / "file").write_bytes(b"3")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="photographs")
        key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
        bucket = S3Bucket("photographs", kms_key=key)
        bucket.write("a", b"1")
        bucket.write_new("b", b"2")
        bucket.upload("c", tmp_path / "file")

        used = [client.head_object(Bucket="photographs", Key=name)["SSEKMSKeyId"] for name in "abc"]
    assert all(one.endswith(key) for one in used)


def test_without_boto3_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(EnvironmentProblem) as caught:
        S3Bucket("photographs", kms_key=None)
    assert caught.value.remedy == 'pip install "earthsnap_train[sagemaker]"'
