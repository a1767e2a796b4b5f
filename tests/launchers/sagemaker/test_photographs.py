"""Photographs in the user's own bucket: the plan is the same here and there, and jobs read them where they lie."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

import launchers.sagemaker as on_sagemaker
from earthsnap_train.data.source_s3 import BucketListing, Object, fetch, list_again, read_listing
from earthsnap_train.errors import ConfigError, DataError
from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import Local, SageMaker
from launchers.local import launch
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.definition import compile_definitions
from launchers.sagemaker.photographs import require_unchanged, root_of_listed, root_of_own
from launchers.sagemaker.shelf import Done, Shelf
from launchers.sagemaker.submit import gather
from tests.conftest import Tiny, declare, draw_folder
from tests.launchers.sagemaker.declared import declared
from tests.launchers.sagemaker.pipelines import RUN, DataPipeline, shelved

BUCKET = "the-users-own"


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """A declaration of sixteen photographs in a bucket with versions; the service is moto's."""
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    root = draw_folder(tmp_path / "drawn", species={"Rosa/canina": 8, "Rosa/rugosa": 8})
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        for file in root.rglob("*.png"):
            client.upload_file(str(file), BUCKET, f"flora/{file.relative_to(root).as_posix()}")
        client.put_object(Bucket=BUCKET, Key="flora/notes.txt", Body=b"not a photograph")
        yield (
            "dataset=s3", f"dataset.source.bucket={BUCKET}", "dataset.source.prefix=flora", "dataset.source.ranks=[genus]",
            f"dataset.source.mirror={tmp_path}/mirror", "dataset.min_images_per_species=4",
            "dataset.split.min_per_species=1",
        )  # fmt: skip


def listing_of(mirror: Path) -> BucketListing:
    listing = read_listing(mirror)
    assert listing is not None
    return listing


@pytest.mark.slow
def test_a_run_here_and_jobs_on_two_machines_make_the_same_of_a_bucket(typed: tuple[str, ...], tmp_path: Path) -> None:
    data = DataPipeline(tmp_path / "there", (*typed, "launcher.qa_instances=2"))
    mirror = tmp_path / "mirror"
    fetch(listing_of(mirror), data.s3 / BUCKET / "flora")  # what stands for S3 has the bucket

    data.run("look", "ingest")

    assert not mirror.exists()
    assert not list(data.place.glob("externals/**/*.png"))
    assert "16 of 16 photographs were measured by 2 machines" in data.log("ingest")
    (listed,) = data.place.glob("externals/photographs/*/objects.manifest")
    prefix, *names = json.loads(listed.read_text())
    assert prefix == {"prefix": f"s3://{BUCKET}/flora/"}
    assert (len(names), "notes.txt" in names) == (16, False)

    spec = declare(*typed, "name=data", f"paths.groupings={tmp_path}/groupings", "launcher.workers=1")
    assert isinstance(spec.launcher, Local)
    store = Store(tmp_path / "here")
    prepared = prepare(spec, store)
    assert not mirror.exists()
    done = launch(prepared.plan, spec.launcher, store, prepared.places, lambda event: None, only=["ingest"])
    here, there = done["ingest"].artifact, data.made("ingest")
    assert (here.key, here.digest) == (there.key, there.digest)
    assert len(list(mirror.rglob("*.png"))) == 16


def test_another_version_of_a_photograph_is_another_plan(typed: tuple[str, ...], tmp_path: Path) -> None:
    spec = declare(*typed, "name=data", f"paths.groupings={tmp_path}/groupings")
    first = prepare(spec, Store(tmp_path / "store")).plan
    again = prepare(spec, Store(tmp_path / "store")).plan
    content = (tmp_path / "drawn/Rosa/canina/000.png").read_bytes()
    boto3.client("s3").put_object(Bucket=BUCKET, Key="flora/Rosa/canina/000.png", Body=content)
    later = prepare(spec, Store(tmp_path / "store")).plan

    assert again.externals == first.externals
    assert later.externals["photographs"] != first.externals["photographs"]


def test_what_was_changed_or_removed_after_the_plan_was_made_stops_the_job(
    typed: tuple[str, ...], tmp_path: Path
) -> None:
    prepare(declare(*typed, "name=data", f"paths.groupings={tmp_path}/groupings"), Store(tmp_path / "store"))
    listing = listing_of(tmp_path / "mirror")
    client: Any = boto3.client("s3")

    client.put_object(Bucket=BUCKET, Key="flora/Rosa/new.png", Body=b"new ones are no part of it")
    require_unchanged(listing)

    client.put_object(Bucket=BUCKET, Key="flora/Rosa/canina/003.png", Body=b"another")
    with pytest.raises(DataError, match=f"s3://{BUCKET}/flora/: 'Rosa/canina/003.png' was changed after the plan"):
        require_unchanged(listing)

    now = list_again(listing)
    client.delete_object(Bucket=BUCKET, Key="flora/Rosa/canina/003.png")
    with pytest.raises(DataError, match="was removed after the plan"):
        require_unchanged(now)


def test_jobs_read_no_other_service_that_speaks_s3(typed: tuple[str, ...], tmp_path: Path) -> None:
    data = DataPipeline(tmp_path / "there", typed)
    mirror = tmp_path / "mirror"
    other = listing_of(mirror).model_copy(update={"endpoint_url": "http://minio:9000"})
    mirror.with_name(".mirror.s3.json").write_text(other.model_dump_json())

    with pytest.raises(ConfigError, match=r"dataset\.source\.endpoint_url: jobs on SageMaker read"):
        data.run("ingest")


def test_jobs_read_no_bucket_of_another_region(typed: tuple[str, ...], tmp_path: Path) -> None:
    data = DataPipeline(tmp_path / "there", (*typed, "dataset.source.region=us-east-1"))

    with pytest.raises(ConfigError) as caught:
        data.run("ingest")

    assert caught.value.what == "the service gives jobs in eu-west-1 no photographs of a bucket in us-east-1"
    assert (caught.value.where, caught.value.allowed) == ("dataset.source.region", "eu-west-1, as aws.region, or null")
    assert "copy them into a bucket there" in caught.value.remedy


def test_a_run_on_this_machine_in_the_services_place_brings_what_its_jobs_read(
    typed: tuple[str, ...], tmp_path: Path
) -> None:
    spec = declared(*typed, "name=data", f"paths.groupings={tmp_path}/groupings", "launcher.execute=offline")
    assert isinstance(spec.launcher, SageMaker)
    store = Store(tmp_path / "store")
    prepared = prepare(spec, store)

    done = on_sagemaker.launch(
        prepared.plan, spec.launcher, store, prepared.places, lambda event: None, only=["ingest"]
    )

    assert (store.path(done["ingest"].artifact.key) / "manifest.json").is_file()
    assert not (tmp_path / "mirror").exists()
    assert len(list((tmp_path / "store" / "sagemaker" / "s3" / BUCKET / "flora").rglob("*.png"))) == 16


def test_a_nodes_job_is_given_the_photographs_of_its_node_and_those_of_release_all(
    tiny: Callable[..., Tiny], tmp_path: Path
) -> None:
    family, settings = tiny(), declared("name=tiny", "+experiment=plants").launcher
    assert isinstance(settings, SageMaker)
    compiled = compile_definitions(family.plan, settings)
    child = next(one for one in compiled.pipelines if one.node == "child/fagaceae")
    release = compiled.pipelines[-1]
    shelf = Shelf(FolderBucket(tmp_path / "s3"), name=settings.bucket, prefix=settings.prefix)
    job = next(one for one in child.jobs if one.name == "evaluate")
    for name in job.earlier:
        # What the trunk is does not matter here, and it takes long to make.
        store = Store(tmp_path / name.replace("/", "-"))
        artifact = shelved(shelf, store, family, "ingest" if name == "trunk" else name)
        shelf.tell(RUN, Done(stage=name, key=artifact.key, cached=False))

    gather(child, [job.name], shelf, RUN)

    (written,) = (tmp_path / "s3" / settings.prefix / "runs" / RUN / child.name).glob("*.photographs.manifest")
    prefix, *names = json.loads(written.read_text())
    own = f"externals/photographs/{family.plan.externals['photographs'][:40]}/"
    assert prefix == {"prefix": f"s3://{settings.bucket}/{settings.prefix}/{own}"}
    assert sorted(names) == sorted(
        f"fagaceae/{s}/{at}.png" for s in ("quercus-ilex", "quercus-robur") for at in range(12)
    )
    steps = {
        pipeline.name: next(s for s in json.loads(compiled.definitions[pipeline.name])["Steps"] if s["Name"] == name)
        for pipeline, name in ((child, "evaluate"), (release, "evaluate-family"))
    }
    kinds = {
        name: one["S3Input"]["S3DataType"]
        for name, step in steps.items()
        for one in step["Arguments"]["ProcessingInputs"]
        if one["InputName"] == "external-photographs"
    }
    assert kinds == {child.name: "ManifestFile", release.name: "S3Prefix"}


@pytest.mark.parametrize("below", ["earthsnap/externals/photographs/abc", "."])
def test_own_photographs_are_found_by_whole_keys_and_by_what_follows_the_prefix(below: str, tmp_path: Path) -> None:
    photograph = tmp_path / below / "Rosa" / "1.png"
    photograph.parent.mkdir(parents=True)
    photograph.write_bytes(b"1")

    assert (root_of_own(tmp_path, "earthsnap/externals/photographs/abc") / "Rosa" / "1.png").read_bytes() == b"1"


@pytest.mark.parametrize("below", ["flora/", ""])
def test_listed_photographs_are_found_by_whole_keys_and_by_what_follows_the_prefix(below: str, tmp_path: Path) -> None:
    photograph = tmp_path / "channel" / below / "Rosa" / "1.png"
    photograph.parent.mkdir(parents=True)
    photograph.write_bytes(b"1")
    # The other lies with another machine.
    objects = {"Rosa/0.png": Object("a", 1, None, 0), "Rosa/1.png": Object("b", 1, None, 0)}
    listing = BucketListing(bucket=BUCKET, prefix="flora/", region=None, endpoint_url=None, objects=objects)

    root = root_of_listed(tmp_path / "channel", listing, tmp_path / "photographs")

    assert (root / "Rosa" / "1.png").read_bytes() == b"1"
    assert read_listing(root) == listing
