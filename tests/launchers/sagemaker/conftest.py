"""The account that tests of AWS share."""

import urllib.request
from collections.abc import Iterator

import pytest

from tests.launchers.sagemaker.account import BUCKET, REGION, Account, serve


@pytest.fixture(scope="session")
def moto() -> Iterator[Account]:
    with serve() as account:
        yield account


@pytest.fixture
def account(moto: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """With one versioned bucket and nothing else in it; boto3 finds it by the environment."""
    moto.cut_after, moto.num_changes, moto.instead = None, 0, lambda environ: None
    urllib.request.urlopen(urllib.request.Request(f"{moto.url}/moto-api/reset", method="POST")).close()
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    s3 = moto.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return moto
