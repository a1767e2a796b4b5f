"""A photograph that is to be forgotten is in nothing that the program made; splits and other photographs stay."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from earthsnap_train.advice.files import write_files
from earthsnap_train.errors import NotFoundError
from earthsnap_train.evaluation.predictions import FamilyPredictions
from earthsnap_train.pipeline.advised import remember_folder
from earthsnap_train.pipeline.forget import Traces, find_traces, forget
from earthsnap_train.pipeline.store import Store
from earthsnap_train.release.load import verify
from earthsnap_train.release.registry import Registry
from tests.conftest import FinishedRun, Said
from tests.release.page import Page


@pytest.fixture
def place(finished_run: FinishedRun, tmp_path: Path) -> Path:
    """A copy of the finished run, to do with as one likes."""
    return Path(shutil.copytree(finished_run.folder, tmp_path / "copy"))


def _image(place: Path, split: str) -> str:
    rows = pq.read_table(place / "registry/plants-debug/1/lineage/images.parquet").to_pylist()
    return next(row["image_id"] for row in rows if row["split"] == split)


def _golden(place: Path) -> str:
    (first, *_) = json.loads((place / "registry/plants-debug/1/golden/answers.json").read_text())
    rows = pq.read_table(place / "registry/plants-debug/1/lineage/images.parquet")["image_id"].to_pylist()
    return next(i for i in rows if i.startswith(Path(first["file"]).stem))


def _traces(place: Path, image: str) -> Traces:
    return find_traces(image, Store(place / "store"), Registry(place / "registry"), place / "outputs")


@pytest.mark.slow
def test_releases_that_learnt_from_it_are_told_from_those_judged_on_it(place: Path) -> None:
    taught = _traces(place, _image(place, "train"))
    judged = _traces(place, _image(place, "test"))
    assert ([r.name for r in taught.taught], [r.name for r in taught.judged]) == (["plants-debug-1"], [])
    assert ([r.name for r in judged.taught], [r.name for r in judged.judged]) == ([], ["plants-debug-1"])


@pytest.mark.slow
def test_it_is_found_by_its_path_too(place: Path) -> None:
    image_id = _image(place, "train")
    (uri,) = _traces(place, image_id).uris
    assert _traces(place, uri).image_id == image_id


@pytest.mark.slow
def test_what_was_made_of_it_is_gone_and_splits_stay(place: Path) -> None:
    image_id = _golden(place)
    store = Store(place / "store")
    before = store.head("plants-debug", "ingest")
    assert before is not None
    old = pq.read_table(store.path(before.key) / "manifest.parquet")
    said = place / "registry/plants-debug/1/evaluation/predictions.parquet"
    was_judged = len(FamilyPredictions.read(said))
    for run in (place / "outputs").glob("*/*/summary.json"):
        run.with_name("comparison.html").write_text("with its picture")
    for copies in ("scratch", "sagemaker"):
        (store.root / copies).mkdir(exist_ok=True)
        (store.root / copies / "photograph.jpg").write_text("a copy of it")
    advice = place / "advice"
    remember_folder(store, advice)
    write_files(advice, {"advice.html": "with its picture", "by-look.yaml": "a: b"})
    traces = _traces(place, image_id)
    page = Page()
    forget(traces, store, Registry(place / "registry", catalogue=page))

    assert page.erased == ["plants-debug-1"], "a catalogue has it still"
    assert not list(store.root.glob("*/photograph.jpg"))
    assert {"ingest", "select", "records", "embed", "train", "bundle", "report"} <= {a.kind for a in traces.artifacts}
    for artifact in store.all():
        for name in artifact.files:
            if artifact.kind != "draw" and name.endswith((".parquet", ".json")):
                assert image_id.encode() not in (store.path(artifact.key) / name).read_bytes(), (artifact.stage, name)
    after = store.head("plants-debug", "ingest")
    assert after is not None
    new = pq.read_table(store.path(after.key) / "manifest.parquet")
    assert new.to_pylist() == [row for row in old.to_pylist() if row["image_id"] != image_id]
    release = place / "registry/plants-debug/1"
    assert not list((release / "golden").glob(f"{image_id[:16]}*"))
    verify(release)
    assert not (release / "report").exists()
    assert not list((place / "outputs").glob("*/*/report.html"))
    assert not list((place / "outputs").glob("*/*/comparison.html"))
    assert [left.name for left in advice.iterdir()] == ["by-look.yaml"]
    assert image_id not in FamilyPredictions.read(said).image_id
    assert len(FamilyPredictions.read(said)) == was_judged - 1
    assert store.forgotten.read_text().split() == [image_id]


@pytest.mark.slow
def test_what_trackers_wrote_of_it_is_gone(place: Path) -> None:
    image_id = _golden(place)
    (run,) = (place / "outputs").glob("*/*/summary.json")
    before = {path.name for path in run.parent.iterdir()}

    forget(_traces(place, image_id), Store(place / "store"), Registry(place / "registry"))

    after = {path.name for path in run.parent.iterdir()}
    assert before - after >= {"wandb", "tensorboard"}
    assert {"csv", "summary.json", "config.json"} <= after
    for path in (path for path in run.parent.rglob("*") if path.is_file()):
        assert image_id.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_a_run_that_only_listed_it_is_found_by_its_dataset(place: Path) -> None:
    (summary,) = (place / "outputs").glob("*/*/summary.json")
    said = json.loads(summary.read_text())
    summary.write_text(json.dumps(said | {"release": {"name": "plants-debug-99"}}))

    traces = _traces(place, _image(place, "train"))

    assert traces.tracked == (summary.parent / "wandb", summary.parent / "tensorboard")


@pytest.mark.slow
def test_what_w_and_b_may_have_of_it_is_left_to_a_person(place: Path, earthsnap: Callable[..., Said]) -> None:
    (summary,) = (place / "outputs").glob("*/*/summary.json")
    paths = [f"paths.{name}={place / name}" for name in ("store", "outputs", "registry", "groupings")]

    said = earthsnap("forget", f"image={_image(place, 'train')}", "name=plants-debug", "dry_run=true", *paths)

    assert said.code == 0, said
    assert "pages and 2 folders of trackers would be removed" in said.out
    assert "a bucket that pipelines work in is not touched; launcher=sagemaker aws.bucket=..." in said.out
    assert f"if group plants-debug/{summary.parent.name} of project earthsnap was uploaded to W&B, remove" in said.out
    assert (summary.parent / "wandb").is_dir()


@pytest.mark.slow
def test_what_never_saw_it_stays(place: Path) -> None:
    store = Store(place / "store")
    before = {artifact.stage: artifact.key for artifact in store.all()}
    traces = _traces(place, _image(place, "train"))
    forget(traces, store, Registry(place / "registry"))
    kept = {artifact.stage for artifact in store.all()}
    (records,) = (artifact.stage for artifact in traces.artifacts if artifact.kind == "records")
    others = {stage for stage in before if stage.startswith("records/")} - {records}
    assert len(others) >= 1
    assert others | {"trunk", "draw"} <= kept


def test_what_nothing_knows_is_said_to_be_unknown(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="knows this photograph"):
        find_traces("rose.jpg", Store(tmp_path / "store"), Registry(tmp_path / "registry"), tmp_path / "outputs")
