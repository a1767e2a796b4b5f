"""A photograph that is to be forgotten is in no object of the bucket, and in no earlier version of one."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from earthsnap_train.data.manifest import (
    HEADER_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    TAXONOMY_FILE,
    QuarantineRow,
    header_of,
    read_manifest,
    write_header,
    write_manifest,
    write_quarantine,
)
from earthsnap_train.pipeline.forget import find_traces
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.release.registry import Registry
from launchers.sagemaker.bucket import Bucket, FolderBucket, S3Bucket
from launchers.sagemaker.forgetting import Copies, Holdings
from launchers.sagemaker.shelf import Done, Shelf
from tests.conftest import Said
from tests.data.test_manifest import ROWS
from tests.launchers.sagemaker.account import BUCKET, REGION, Account
from tests.launchers.sagemaker.declared import ON_SAGEMAKER

PHOTOGRAPH = b"the photograph"
IMAGE = hashlib.sha256(PHOTOGRAPH).hexdigest()
FORGOTTEN = replace(ROWS[0], image_id=IMAGE, uri="rosa/1.jpg")
OTHER = ROWS[1]
# Names below the prefix of what holds it, besides artifacts.
HOLDS = (
    "externals/photographs/d1/rosa/1.jpg", "externals/photographs/d1/rosa/again.jpg", "runs/entry/home/outputs/f/r/qa.html",
    "runs/entry/home/outputs/f/r/summary.json", "runs/failed/home/outputs/f/r/qa.html", "shards/k/1-of-2.parquet",
    "checkpoints/first/data/job/last.ckpt",
)  # fmt: skip
STAYS = (
    "externals/photographs/d1/rosa/2.jpg", "externals/photographs/d2.whole", "runs/other/home/outputs/f/r/summary.json",
    "runs/first/stages/ingest.json", "plans/p/data/job/job.json",
)  # fmt: skip


@pytest.fixture(params=["folder", "s3"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    if request.param == "folder":
        return FolderBucket(tmp_path / "bucket")
    request.getfixturevalue("account")
    return S3Bucket(BUCKET, kms_key=None, region=REGION)


def fill(bucket: Bucket, made: Store) -> None:
    """What runs leave: a manifest with the photograph and what was made of it, one without it, copies, homes."""
    shelf = Shelf(bucket, name=BUCKET, prefix="earthsnap")

    def put(key: str, kind: str, inputs: dict[str, str], write: Callable[[Path], None]) -> Artifact:
        with made.building(key * 40) as folder:
            write(folder)
            artifact = made.publish(
                folder, key=key * 40, kind=kind, stage=kind, made_of={"inputs": inputs}, seconds=1, num_images=1
            )
        return shelf.put(made.path(artifact.key), artifact)

    def manifest(*rows: object) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            some = [row for row in (FORGOTTEN, OTHER) if row in rows]
            twice = QuarantineRow(
                path="rosa/again.jpg", code="duplicate", severity="warning", action="drop", related="rosa/1.jpg", detail=None
            )  # fmt: skip
            write_manifest(some, folder / MANIFEST_FILE)
            write_quarantine([twice], folder / QUARANTINE_FILE)
            (folder / TAXONOMY_FILE).write_text("species")
            write_header(header_of(some, [], {}), folder / HEADER_FILE)

        return write

    last = put("a", "ingest", {}, manifest(FORGOTTEN, OTHER))
    without = put("b", "ingest", {}, manifest(OTHER))
    records = put("c", "records", {"manifest": last.digest}, lambda f: _write(f / "0.rec", PHOTOGRAPH))
    put("d", "train", {"records": records.digest}, lambda f: _write(f / "weights", b"taught with it"))
    put("e", "records", {"manifest": without.digest}, lambda f: _write(f / "0.rec", b"others"))
    head = Done(stage="ingest", key=last.key, cached=False).model_dump_json().encode()
    for key in (*HOLDS, *STAYS):
        bucket.write(f"earthsnap/{key}", PHOTOGRAPH if key.endswith(".jpg") and "2.jpg" not in key else b"else")
    bucket.write("earthsnap/externals/photographs/d1.whole", b"")
    bucket.write("earthsnap/externals/photographs/d2/rosa/1.jpg", b"another photograph, of the same name")
    bucket.write("earthsnap/heads/plants/ingest.json", head)
    for run, dataset in (("entry", header_of([FORGOTTEN, OTHER], [], {}).dataset_version), ("other", "none")):
        told = json.dumps({"lineage": {"dataset": dataset}}).encode()
        bucket.write(f"earthsnap/runs/{run}/home/outputs/f/r/summary.json", told)


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def look(bucket: Bucket, tmp_path: Path, number: int = 0) -> tuple[Holdings, Copies]:
    holdings = Holdings(bucket, name=BUCKET, prefix="earthsnap", folder=tmp_path / f"read-{number}")
    here = Store(tmp_path / "store"), Registry(tmp_path / "registry"), tmp_path / "outputs"
    return holdings, holdings.copies(find_traces("rosa/1.jpg", *here, elsewhere=holdings.rows()))


def contents(bucket: Bucket) -> dict[str, bytes]:
    return {key.removeprefix("earthsnap/"): bucket.read(key) or b"" for key in bucket.listed("earthsnap/")}


def require_forgotten(left: dict[str, bytes]) -> None:
    assert not [key for key, content in left.items() if PHOTOGRAPH in content or IMAGE.encode() in content]
    assert not left.keys() & {*HOLDS, "externals/photographs/d1.whole"}
    assert not [key for key in left if key.startswith(tuple(f"store/{name * 40}" for name in "acd"))]


def test_what_was_made_of_it_goes_and_all_else_stays(bucket: Bucket, tmp_path: Path) -> None:
    fill(bucket, Store(tmp_path / "made"))
    before = contents(bucket)

    holdings, copies = look(bucket, tmp_path)
    holdings.forget(copies)

    left = contents(bucket)
    require_forgotten(left)
    stays = {*STAYS, "externals/photographs/d2/rosa/1.jpg"}
    stays |= {key for key in before if key.startswith((f"store/{'b' * 40}/", f"store/{'e' * 40}/"))}
    assert {key: left[key] for key in stays} == {key: before[key] for key in stays}


def test_the_next_manifest_grows_from_the_last_one_less_the_photograph(bucket: Bucket, tmp_path: Path) -> None:
    fill(bucket, Store(tmp_path / "made"))

    holdings, copies = look(bucket, tmp_path)
    holdings.forget(copies)

    shelf = Shelf(bucket, name=BUCKET, prefix="earthsnap")
    head = shelf.find(Done.model_validate_json(bucket.read("earthsnap/heads/plants/ingest.json") or b"").key)
    assert head is not None
    shelf.fetch(head, tmp_path / "base")
    assert read_manifest(tmp_path / "base" / MANIFEST_FILE) == (OTHER,)


def test_no_earlier_version_of_it_is_left(account: Account, tmp_path: Path) -> None:
    bucket, s3 = S3Bucket(BUCKET, kms_key=None, region=REGION), account.client("s3")
    fill(bucket, Store(tmp_path / "made"))
    bucket.write("earthsnap/externals/photographs/d1/rosa/1.jpg", PHOTOGRAPH)
    bucket.write("other/externals/photographs/d1/rosa/1.jpg", PHOTOGRAPH)
    bucket.remove("other/externals/photographs/d1/rosa/1.jpg")

    holdings, copies = look(bucket, tmp_path)
    holdings.forget(copies)

    found = s3.list_object_versions(Bucket=BUCKET)
    versions = [(one["Key"], one["VersionId"]) for one in found["Versions"]]
    have_it = [
        key for key, version in versions
        if PHOTOGRAPH in s3.get_object(Bucket=BUCKET, Key=key, VersionId=version)["Body"].read()
    ]  # fmt: skip
    assert have_it == ["other/externals/photographs/d1/rosa/1.jpg"]
    assert [one["Key"] for one in found["DeleteMarkers"]] == have_it


class Cut(FolderBucket):
    """Ends whoever has removed so many objects."""

    left = 0

    def remove(self, key: str) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().remove(key)


def test_whoever_is_killed_is_followed_by_the_next_who_does_the_rest(tmp_path: Path) -> None:
    bucket = Cut(tmp_path / "bucket")
    fill(bucket, Store(tmp_path / "made"))
    for number in range(100):
        bucket.left = 2  # each gets two objects further
        holdings, copies = look(bucket, tmp_path, number)
        try:
            holdings.forget(copies)
        except KeyboardInterrupt:
            continue
        break

    assert number > 5
    require_forgotten(contents(bucket))


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_verb_looks_into_the_bucket_of_its_launcher(
    dry_run: bool, account: Account, earthsnap: Callable[..., Said], tmp_path: Path
) -> None:
    bucket = S3Bucket(BUCKET, kms_key=None, region=REGION)
    fill(bucket, Store(tmp_path / "made"))
    paths = [f"paths.{name}={tmp_path / name}" for name in ("store", "outputs", "registry")]

    said = earthsnap("forget", "image=rosa/1.jpg", f"dry_run={dry_run}", *ON_SAGEMAKER, *paths)

    assert said.code == 0, said
    removed = "would be removed" if dry_run else "removed"
    assert f"in the bucket 3 artifacts and 8 other objects {removed}, with their earlier versions" in said.out
    assert "or the next run sends it again" in said.out
    assert ("externals/photographs/d1/rosa/1.jpg" in contents(bucket)) is dry_run
