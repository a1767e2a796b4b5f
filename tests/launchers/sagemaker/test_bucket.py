"""A folder that stands in for a bucket keeps a bucket's promises; both are tried, the other against moto's S3."""

import sys
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from earthsnap_train.errors import EnvironmentProblem
from launchers.sagemaker.bucket import Bucket, FolderBucket, S3Bucket
from tests.launchers.sagemaker.account import BUCKET, REGION, Account


@pytest.fixture(params=["folder", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    if request.param == "folder":
        return FolderBucket(tmp_path / "bucket")
    request.getfixturevalue("account")
    return S3Bucket(BUCKET, kms_key=None, region=REGION)


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


def test_only_who_has_seen_what_is_there_writes_over_it(bucket: Bucket) -> None:
    first = bucket.put("ledger", b"1", over=None)
    assert first is not None
    assert bucket.put("ledger", b"2", over=None) is None

    second = bucket.put("ledger", b"2", over=first)

    assert second is not None
    assert bucket.put("ledger", b"3", over=first) is None
    assert bucket.read("ledger") == b"2"
    assert bucket.put("elsewhere", b"3", over=second) is None
    assert bucket.read("elsewhere") is None


def test_what_is_known_already_is_not_sent_again(bucket: Bucket) -> None:
    written = bucket.put("ledger", b"1", over=None)
    found = bucket.fetch("ledger")

    assert bucket.fetch("nothing") is None
    assert found is not None
    assert written is not None
    assert (found.content, found.etag) == (b"1", written.etag)
    assert 0 <= found.age_s < 60
    assert bucket.fetch("ledger", known=found) is found
    bucket.write("ledger", b"2")
    changed = bucket.fetch("ledger", known=found)
    assert changed is not None
    assert changed.content == b"2"


def test_objects_are_listed_by_how_their_keys_begin_and_removed_ones_are_not(bucket: Bucket) -> None:
    for key in ("a/1", "a/deep/2", "ab/3"):
        bucket.write(key, key.encode())
    bucket.remove("a/1")
    bucket.remove("a/nothing")

    assert set(bucket.listed("a/")) == {"a/deep/2"}
    assert set(bucket.listed("a")) == {"a/deep/2", "ab/3"}
    found = bucket.fetch("ab/3")
    assert found is not None
    assert bucket.listed("a")["ab/3"] == found.etag


def test_what_was_purged_is_in_no_version_any_more(account: Account) -> None:
    bucket, s3 = S3Bucket(BUCKET, kms_key=None, region=REGION), account.client("s3")
    for key in ("a/gone", "a/stays", "b/other"):
        bucket.write(key, b"the photograph")
    bucket.write("a/stays", b"without it")
    bucket.write("b/other", b"changed")
    bucket.remove("a/gone")

    bucket.purge("a/")

    left = s3.list_object_versions(Bucket=BUCKET)
    assert sorted(one["Key"] for one in left["Versions"]) == ["a/stays", "b/other", "b/other"]
    assert left.get("DeleteMarkers", []) == []
    assert bucket.read("a/stays") == b"without it"
    assert bucket.read("a/gone") is None


def test_what_s3_refuses_is_said_in_our_words(account: Account, tmp_path: Path) -> None:
    bucket = S3Bucket("no-such-bucket", kms_key=None, region=REGION)
    (tmp_path / "file").write_bytes(b"1")

    for ask in (
        lambda: bucket.write("a", b"1"),
        lambda: bucket.upload("a", tmp_path / "file"),
        lambda: bucket.listed("a"),
    ):
        with pytest.raises(
            EnvironmentProblem, match=r"was refused: .*bucket does not exist.* \(NoSuchBucket\)"
        ) as caught:
            ask()
        assert caught.value.where == "s3://no-such-bucket"
        assert caught.value.remedy == "aws.bucket names a bucket that is there, in aws.region"


def test_without_credentials_one_line_says_how_to_sign_in(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps credentials that it once found

    with pytest.raises(EnvironmentProblem, match="Unable to locate credentials") as caught:
        S3Bucket(BUCKET, kms_key=None, region=REGION).read("a")
    assert caught.value.remedy == "sign in to AWS: aws sso login, or AWS_PROFILE, or a role"


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
