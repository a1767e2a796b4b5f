"""Photographs looked at by several machines give the version that one machine makes of them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from earthsnap_train.context import Context
from earthsnap_train.data.ingest import run as ingest
from earthsnap_train.data.scan import scan
from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.plan import Stage
from launchers.sagemaker.photographs import photographs_of
from launchers.sagemaker.shards import keep_shards, measure_share, share_of
from tests.conftest import DEMO, REPOSITORY, draw_folder
from tests.launchers.sagemaker.pipelines import DataPipeline

KEY = "0" * 40
MEGAPIXELS = 20.0


def result(folder: Path) -> dict[str, str]:
    """Of a stage: all but what is for people."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "notes" not in path.parts]
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_photograph_is_in_one_share_which_depends_on_its_path_alone() -> None:
    paths = [f"rosa/{number}.jpg" for number in range(200)]
    shares = [share_of(paths, number=number, count=3) for number in (1, 2, 3)]

    assert sorted(path for share in shares for path in share) == sorted(paths)
    assert min(map(len, shares)) > 40
    assert share_of([*paths[50:], "new.jpg"], number=2, count=3) == [
        path for path in [*paths[50:], "new.jpg"] if path in shares[1] or share_of([path], number=2, count=3)
    ]


@dataclass(frozen=True)
class Looked:
    root: Path
    shards: Mapping[str, bytes | None]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """Twelve photographs and what two machines measured of them."""
    root = draw_folder(tmp_path_factory.mktemp("looked") / "photographs", species={"Rosa/canina": 12})
    scratch = tmp_path_factory.mktemp("scratch")
    shards = {
        f"{number}-of-2": measure_share(
            root, key=KEY, number=number, count=2, is_dealt_out=False, max_megapixels=MEGAPIXELS,
            context=Context(scratch=scratch),
        )
        for number in (1, 2)
    }  # fmt: skip
    return Looked(root, shards)


def kept(looked: Looked, folder: Path, key: str = KEY, megapixels: float = MEGAPIXELS, **changes: bytes | None) -> int:
    shards = looked.shards | {name.replace("_", "-")[1:]: content for name, content in changes.items()}
    return keep_shards(shards, scan(looked.root).photographs, folder, key=key, max_megapixels=megapixels)


def test_shards_are_put_together(looked: Looked, tmp_path: Path) -> None:
    assert kept(looked, tmp_path) == 12


def test_a_shard_that_is_not_there_is_named(looked: Looked, tmp_path: Path) -> None:
    with pytest.raises(
        IntegrityError, match="2-of-2: what a machine measured of the photographs is not there"
    ) as caught:
        kept(looked, tmp_path, _2_of_2=None)
    assert "run again" in caught.value.remedy


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_a_shard_that_was_cut_short_is_named(cut: int, looked: Looked, tmp_path: Path) -> None:
    with pytest.raises(
        IntegrityError, match="1-of-2: what a machine measured of the photographs cannot be read"
    ) as caught:
        kept(looked, tmp_path, _1_of_2=(looked.shards["1-of-2"] or b"")[:cut])
    assert "remove it from the bucket" in caught.value.remedy


@pytest.mark.parametrize("other", [{"key": "1" * 40}, {"megapixels": 5.0}])
def test_a_shard_of_another_plan_is_named(other: dict[str, Any], looked: Looked, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="1-of-2: what a machine measured of the photographs is not of this plan"):
        kept(looked, tmp_path, **other)


def test_a_photograph_that_has_another_size_by_now_is_measured_again(looked: Looked, tmp_path: Path) -> None:
    root = tmp_path / "photographs"
    shutil.copytree(looked.root, root)
    (root / "Rosa/canina/003.png").write_bytes(b"another")

    assert kept(Looked(root, looked.shards), tmp_path) == 11


def test_on_files_that_go_wrong_in_every_way_three_machines_come_to_what_one_does(
    shared_data: Path, tmp_path: Path
) -> None:
    conf = REPOSITORY / "conf" / "dataset"
    base = {**yaml.safe_load((conf / "base.yaml").read_text()), "min_images_per_species": 5}
    del base["reviews"]
    table = yaml.safe_load((conf / "table.yaml").read_text())["source"]
    columns = table["columns"] | {"species": "class", "split": "split", "ranks": {"order": "group"}}
    source = table | {"root": "", "table": "", "columns": columns, "ranks": ["order"]}
    taxonomy = {"synonyms": {}, "strict": False, "on_conflict": "drop"}
    settings: dict[str, Any] = {**base, "source": source, "taxonomy": taxonomy}
    inputs = {"photographs": shared_data / "dirty", "table": shared_data / "dirty" / "labels.csv"}
    for name in ("one", "three", "scratch", "scratch-1", "scratch-2", "scratch-3", "kept"):
        (tmp_path / name).mkdir()
    limit = float(base["qa"]["max_megapixels"])

    shards = {
        str(number): measure_share(
            inputs["photographs"], key=KEY, number=number, count=3, is_dealt_out=False, max_megapixels=limit,
            context=Context(scratch=tmp_path / f"scratch-{number}"),
        )
        for number in (1, 2, 3)
    }  # fmt: skip
    files = photographs_of(Stage(name="ingest", kind="ingest", settings=settings), inputs)
    assert keep_shards(shards, files, tmp_path / "kept", key=KEY, max_megapixels=limit) == len(files)
    ingest(settings, inputs, tmp_path / "three", Context(scratch=tmp_path / "kept"))
    ingest(settings, inputs, tmp_path / "one", Context(scratch=tmp_path / "scratch"))

    assert result(tmp_path / "three") == result(tmp_path / "one")


@pytest.mark.slow
def test_on_a_flora_three_machines_come_to_what_one_does_and_it_needs_no_pixel_again(tmp_path: Path) -> None:
    """Between being looked at and ingested, every picture is blackened: its file is as long as before, and empty."""
    flora = (
        "dataset.source.faults.corrupt=0.1",
        "dataset.source.faults.duplicates=0.1",
        "dataset.qa.max_megapixels=21",
    )
    data = DataPipeline(tmp_path, (*DEMO, *flora, "launcher.qa_instances=3"))

    def blacken(job: str) -> None:
        for picture in (data.place / "store" / data.made("draw").key / "photographs").rglob("*.jpg"):
            drawn = tmp_path / "drawn" / picture.relative_to(data.place / "store")
            drawn.parent.mkdir(parents=True, exist_ok=True)
            picture.rename(drawn)
            picture.write_bytes(bytes(drawn.stat().st_size))

    data.run("draw", "look", "ingest", after=lambda job: blacken(job) if job == "look" else None)

    assert data.steps == ["draw", "look", "ingest"]
    stage, made = data.prepared.plan.stage("ingest"), data.made("ingest")
    draw = tmp_path / "drawn" / data.made("draw").key
    (tmp_path / "here").mkdir()
    (tmp_path / "scratch").mkdir()
    inputs = {"photographs": draw / "photographs", "table": data.place / "store" / draw.name / "labels.csv"}
    ingest(stage.settings, inputs, tmp_path / "here", Context(scratch=tmp_path / "scratch"))
    here = result(tmp_path / "here")
    assert here == {name: file.sha256 for name, file in made.files.items() if not name.startswith("notes/")}
    assert "share 3 of 3 is measured" in data.log("look.algo-3")
