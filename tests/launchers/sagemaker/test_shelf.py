"""What a bucket says of an artifact is believed only as far as it stays within that artifact's folder."""

import json
from pathlib import Path

import pytest

from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.store import Store
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.home import bring_home
from launchers.sagemaker.shelf import Shelf, read_channel
from tests.pipeline.test_store import publish

KEY = "a" * 40
PLACE = f"earthsnap/store/{KEY}/artifact.json"


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(tmp_path / "bucket")


@pytest.fixture
def shelf(bucket: FolderBucket, tmp_path: Path) -> Shelf:
    """With one artifact."""
    shelf = Shelf(bucket, name="photographs", prefix="earthsnap")
    made = Store(tmp_path / "made")
    shelf.put(made.path(KEY), publish(made, KEY))
    return shelf


def test_a_name_that_leads_out_of_the_store_is_refused_before_anything_is_written(
    shelf: Shelf, bucket: FolderBucket, tmp_path: Path
) -> None:
    store = Store(tmp_path / "here" / "store")
    described = (bucket.read(PLACE) or b"").decode()
    bucket.write(PLACE, described.replace("rows.csv", "../../../pwned").encode())
    bucket.write("earthsnap/pwned", b"1,2")

    def bring() -> None:
        found = shelf.find(KEY)
        assert found is not None
        bring_home(found, shelf, store)

    with pytest.raises(IntegrityError, match="is no path below a folder"):
        bring()
    assert not list(tmp_path.glob("here/**/pwned"))


def test_an_artifact_of_another_key_is_refused(shelf: Shelf, bucket: FolderBucket) -> None:
    bucket.write(f"earthsnap/store/{'b' * 40}/artifact.json", bucket.read(PLACE) or b"")

    with pytest.raises(IntegrityError, match="describes the artifact"):
        shelf.find("b" * 40)


def test_an_index_that_leads_out_of_its_channel_is_refused(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    index = shown / "runs/first/plants-data/job.channel.json"
    index.parent.mkdir(parents=True)
    index.write_text(json.dumps({"draw": "../../outside"}))

    with pytest.raises(IntegrityError, match=r"'../../outside' is no artifact's key"):
        read_channel(shown)
