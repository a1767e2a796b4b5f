"""What a container runs: the same stages under the same keys as on a desk, nothing twice, and reasons that can be read."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from earthsnap_train.errors import DataError
from earthsnap_train.pipeline.plan import Stage
from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.resolve import key_of, stage_ingredients
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.spec.evaluation import Gate
from launchers.sagemaker import places
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.description import JobDescription
from launchers.sagemaker.job import Ending, Stopped, main
from launchers.sagemaker.shelf import Done, Shelf, read_channel
from tests.conftest import declare, draw_folder

FLORA = {
    "kind": "synthetic_flora", "num_species": 2, "num_groups": 1, "plants_per_species": 2, "photos_per_plant": 1,
    "image_px": 32, "seed": 0, "faults": {"duplicates": 0, "wrong_labels": 0, "corrupt": 0},
}  # fmt: skip
DRAW = Stage(name="draw", kind="draw", settings=FLORA)


@dataclass(frozen=True)
class Container:
    """A /opt/ml in a folder, and a bucket in another."""

    folder: Path

    @property
    def shelf(self) -> Shelf:
        return Shelf(FolderBucket(self.folder / "s3" / "photographs"), name="photographs", prefix="earthsnap")

    @property
    def root(self) -> Path:
        return self.folder / "ml"

    def run(
        self, *stages: Stage, sort: str = "processing", channels: dict[str, Path] | None = None, host: str = "1 of 1",
        **more: Any,
    ) -> int:  # fmt: skip
        """The exit code. ``channels``: name -> the folder that lies there. ``host``: which machine of how many this is."""
        shutil.rmtree(self.root, ignore_errors=True)
        place = self.root / (places.TRAINING_INPUTS if sort == "training" else places.PROCESSING_INPUTS)
        job = JobDescription(
            **{"pipeline": "plants-data", "job": "job", "stages": stages, "externals": {}, "gates": {}, "judges": False,
               "threads": 1, "devices_per_trial": 1, "checkpoint_every_s": 60} | more
        )  # fmt: skip
        (place / "job").mkdir(parents=True)
        (place / "job" / "job.json").write_text(job.model_dump_json())
        number, _, count = host.partition(" of ")
        told = {"current_host": f"algo-{number}", "hosts": [f"algo-{at + 1}" for at in range(int(count))]}
        config = self.root / ("input/config" if sort == "training" else "config")
        config.mkdir(parents=True)
        (config / "resourceconfig.json").write_text(json.dumps(told))
        for name, folder in (channels or {}).items():
            shutil.copytree(folder, place / name)
        return main([sort])

    def told(self, stage: str) -> Done:
        done = self.shelf.told("first", stage)
        assert done is not None
        return done

    def said(self, name: str) -> str:
        return (self.root / "output" / name).read_text()

    def channel(self, *stages: Stage) -> Path:
        """What these stages made, as a manifest would show it."""
        made: dict[str, Artifact] = {}
        for stage in stages:
            artifact = self.shelf.find(self.told(stage.name).key)
            assert artifact is not None
            made[stage.name] = artifact
        self.shelf.write_channel("first", "plants-data/job", made)
        bucket = self.folder / "s3" / "photographs" / "earthsnap"
        _, *names = json.loads((bucket / "runs/first/plants-data/job.manifest").read_text())
        shown = self.folder / "shown"
        for name in names:
            (shown / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bucket / name, shown / name)
        return shown


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    for name, value in (
        (places.ROOT_VARIABLE, str(tmp_path / "ml")), (places.S3_VARIABLE, str(tmp_path / "s3")),
        (places.RUN_VARIABLE, "first"), (places.BUCKET_VARIABLE, "photographs"), (places.PREFIX_VARIABLE, "earthsnap"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    yield Container(tmp_path)
    signal.signal(signal.SIGTERM, before)


def test_a_stage_has_the_key_that_it_has_on_a_desk(container: Container) -> None:
    assert container.run(DRAW) == 0

    key = key_of(stage_ingredients(DRAW, {}))
    assert container.told("draw") == Done(stage="draw", key=key, cached=False)
    artifact = container.shelf.find(key)
    assert artifact is not None
    assert artifact.files.keys() >= {"labels.csv"}


def test_what_the_bucket_has_is_not_made_again(container: Container) -> None:
    container.run(DRAW)
    key = container.told("draw").key
    made = container.folder / "s3/photographs/earthsnap/store" / key
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}

    assert container.run(DRAW) == 0

    assert container.told("draw") == Done(stage="draw", key=key, cached=True)
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before
    assert not (container.root / "work" / "artifacts").exists()


def test_an_artifact_is_there_only_when_all_of_it_is(container: Container) -> None:
    container.run(DRAW)
    key = container.told("draw").key
    (container.folder / "s3/photographs/earthsnap/store" / key / "artifact.json").unlink()

    container.run(DRAW)

    assert not container.told("draw").cached
    assert container.shelf.find(key) is not None


@pytest.fixture
def ingest(tmp_path: Path) -> tuple[Stage, dict[str, Path], dict[str, str]]:
    """A stage that reads photographs from outside; where they lie, and their digest."""
    root = draw_folder(tmp_path / "photographs", species={"Rosa/canina": 8, "Rosa/rugosa": 8})
    spec = declare(
        "name=plants", "dataset=folder", f"dataset.source.root={root}", "dataset.source.ranks=[genus]",
        "dataset.min_images_per_species=4", "dataset.split.min_per_species=1", f"paths.groupings={tmp_path}/groupings",
    )  # fmt: skip
    plan = prepare(spec, Store(tmp_path / "store")).plan
    stage = plan.stage("ingest")
    return stage, {"external-photographs": root}, {"photographs": plan.externals["photographs"]}


def test_photographs_from_outside_are_a_channel(
    container: Container, ingest: tuple[Stage, dict[str, Path], dict[str, str]]
) -> None:
    stage, channels, externals = ingest

    assert container.run(stage, channels=channels, externals=externals) == 0

    desk = key_of(stage_ingredients(stage, {f"@{name}": digest for name, digest in externals.items()}))
    assert container.told("ingest").key == desk


def test_a_machine_that_looks_at_its_share_makes_no_artifact_and_does_so_once(
    container: Container, ingest: tuple[Stage, dict[str, Path], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its share is what lies in its channel: the service has dealt photographs out already."""
    stage, channels, externals = ingest
    share = container.folder / "share"
    shutil.copytree(channels["external-photographs"] / "Rosa" / "canina", share / "Rosa" / "canina")
    key = key_of(stage_ingredients(stage, {f"@{name}": digest for name, digest in externals.items()}))
    looks: dict[str, Any] = {"channels": {"external-photographs": share}, "externals": externals, "maps": True}

    assert container.run(stage, host="2 of 2", **looks) == 0
    first = container.shelf.shard(key, 2, 2)
    assert first is not None
    assert container.shelf.told("first", "ingest") is None
    assert container.shelf.find(key) is None

    assert container.run(stage, host="2 of 2", **looks) == 0
    assert "measured already" in capsys.readouterr().out
    assert container.shelf.shard(key, 2, 2) == first

    assert container.run(stage, channels=channels, externals=externals, shards=2) == 4
    assert container.said("message").startswith(f"shards/{key}/1-of-2.parquet: what a machine measured")

    container.shelf.put_shard(key, 1, 2, first)
    assert container.run(stage, channels=channels, externals=externals, shards=2) == 0
    assert "8 of 16 photographs were measured by 2 machines" in capsys.readouterr().out


def test_the_last_of_several_jobs_lists_what_all_of_them_made(container: Container) -> None:
    other = DRAW.model_copy(update={"settings": FLORA | {"seed": 1}, "name": "draw-2"})
    joined = container.folder / "s3/photographs/earthsnap/runs/first/plants-data/last.before.manifest"
    followers = {"last": ("one", "two")}

    container.run(DRAW, job="one", followers=followers)
    assert not joined.exists()
    container.run(other, job="two", followers=followers)

    prefix, *names = json.loads(joined.read_text())
    assert prefix == {"prefix": "s3://photographs/earthsnap/"}
    for stage in (DRAW, other):
        assert f"store/{container.told(stage.name).key}/labels.csv" in names
    assert {name for name in names if name.startswith("runs/")} == {
        "runs/first/plants-data/one.channel.json", "runs/first/plants-data/two.channel.json"
    }  # fmt: skip


def test_what_a_step_before_made_is_read_from_its_channel(
    container: Container, ingest: tuple[Stage, dict[str, Path], dict[str, str]]
) -> None:
    stage, channels, externals = ingest
    container.run(stage, channels=channels, externals=externals)
    settings = {"classes": ["rosa"], "class_of": {}, "group_of": {}, "max_train_per_group": None, "seed": 0}
    select = Stage(name="select/flat", kind="select", node="flat", inputs={"manifest": "ingest"}, settings=settings)  # type: ignore[arg-type]

    assert container.run(select, channels={"before": container.channel(stage)}) == 0

    made = container.shelf.find(container.told("ingest").key)
    assert made is not None
    assert container.told("select/flat").key == key_of(stage_ingredients(select, {"ingest": made.digest}))


def test_an_artifact_that_was_cut_short_on_its_way_is_refused(container: Container) -> None:
    container.run(DRAW)
    shown = container.channel(DRAW)
    next(shown.rglob("labels.csv")).write_text("cut")

    assert container.run(DRAW, channels={"before": shown}) == 4

    assert "labels.csv is not what draw wrote" in container.said("message")


def test_a_stage_that_refuses_its_input_says_so_where_the_service_looks(
    container: Container, ingest: tuple[Stage, dict[str, Path], dict[str, str]]
) -> None:
    stage, channels, externals = ingest
    stage = stage.model_copy(update={"settings": stage.settings | {"min_images_per_species": 500}})

    assert container.run(stage, channels=channels, externals=externals) == 2
    assert "2 of 2 species have too few photographs left" in container.said("message")
    assert "dataset.too_few=drop" in container.said("message")
    assert container.shelf.told("first", "ingest") is None


@pytest.mark.parametrize(("sort", "file"), [("processing", "message"), ("training", "failure")])
def test_a_file_that_is_not_the_planned_one_is_refused(
    sort: str, file: str, container: Container, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "labels.csv").write_text("path,species\n")
    digest = sha256(b"something else").hexdigest()

    code = container.run(
        DRAW, sort=sort, channels={"external-table": tmp_path / "outside"}, externals={"table": digest}
    )

    assert code == 4
    assert "labels.csv is not the file that the plan was made for" in container.said(file)


@pytest.mark.parametrize(("top1", "passed"), [(0.5, True), (0.99, False)])
def test_gates_of_a_node_are_judged_on_its_figures(
    top1: float, passed: bool, tiny: Callable[..., Any], tmp_path: Path
) -> None:
    from launchers.sagemaker.gates import write_gates

    family = tiny()
    figures = json.loads((family.out("evaluate/parent") / "metrics.json").read_text())
    bound = figures["top1"]["value"] if passed else figures["top1"]["value"] + top1
    gates = {"nodes.parent.top1": Gate(min=bound)}

    write_gates(family.out("evaluate/parent"), family.plan.stage("evaluate/parent"), gates, tmp_path / "gates")

    told = json.loads((tmp_path / "gates" / "gates.json").read_text())
    assert told["passed"] is passed
    assert bool(told["missed"]) is not passed


# ---- an end that is asked for


def asked(ending: Ending) -> None:
    ending.ask(signal.SIGTERM, None)


def test_a_stage_without_checkpoints_ends_at_once(tmp_path: Path) -> None:
    ending, over = Ending(tmp_path / "save-now"), threading.Event()
    asked(ending)

    with pytest.raises(Stopped):
        ending.beside(partial(over.wait, 30), scratch=None)
    over.set()
    assert not ending.save_now.exists()


def test_training_is_asked_to_save_and_ends_once_it_has(tmp_path: Path) -> None:
    ending, over = Ending(tmp_path / "save-now"), threading.Event()
    checkpoint = tmp_path / "scratch" / "head" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    os.utime(checkpoint, (0, 0))

    def train() -> None:
        while not ending.save_now.exists():
            time.sleep(0.01)
        checkpoint.write_text("newer")
        over.wait(30)

    asked(ending)
    began = time.monotonic()
    with pytest.raises(Stopped):
        ending.beside(train, scratch=tmp_path / "scratch")
    over.set()
    assert checkpoint.read_text() == "newer"
    assert time.monotonic() - began < 10


def test_what_a_stage_raises_is_raised(tmp_path: Path) -> None:
    def fail() -> None:
        raise DataError("no photographs")

    with pytest.raises(DataError):
        Ending(tmp_path / "save-now").beside(fail, scratch=None)


@pytest.mark.parametrize("whole_keys", [True, False])
def test_a_channel_is_read_wherever_its_objects_lie(whole_keys: bool, container: Container) -> None:
    container.run(DRAW)
    shown = container.channel(DRAW)
    if whole_keys:
        (container.folder / "deeper").mkdir()
        shown = shown.rename(container.folder / "deeper" / "earthsnap").parent

    ((stage, (artifact, place)),) = read_channel(shown).items()

    assert (stage, artifact.key) == ("draw", container.told("draw").key)
    assert (place / "labels.csv").is_file()
