"""A garden: a small folder of photographs whose declaration can be planned and followed in this process."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from earthsnap_train.context import Context
from earthsnap_train.pipeline.plan import Stage, digest_of, split_reference
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.resolve import key_of, stage_ingredients
from earthsnap_train.pipeline.run import keep_grouping
from earthsnap_train.pipeline.stages import function
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.run import RunSpec
from tests.conftest import declare, draw_folder

SPECIES = {"rosa/canina": 8, "rosa/rugosa": 8, "acer/rubrum": 8, "acer/opalus": 8}
DONE_FOR_REAL = (
    "ingest",
    "select",
    "records",
)  # of a network, that equal inputs give equal outputs is all that matters here


@dataclass
class Garden:
    """``typed``: overrides that every command on it gets."""

    root: Path
    typed: list[str] = field(default_factory=list)

    @property
    def photographs(self) -> Path:
        return self.root / "photographs"

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    def grow(self, species: dict[str, int]) -> None:
        draw_folder(self.photographs, species=species)

    def spec(self, *typed: str) -> RunSpec:
        return declare(
            "name=garden", "dataset=folder", f"dataset.source.root={self.photographs}", "dataset.source.ranks=[genus]",
            "dataset.min_images_per_species=4", "dataset.split.min_per_species=1",
            f"paths.store={self.root / 'store'}", f"paths.groupings={self.root / 'groupings'}", *self.typed, *typed,
        )  # fmt: skip

    def plan(self, *typed: str) -> Prepared:
        return prepare(self.spec(*typed), self.store)

    def run(self, *typed: str) -> set[str]:
        """Names of the stages that ran. Whatever is run here, the plan made before it must have said so."""
        planned = self.plan(*typed)
        keep_grouping(self.spec(*typed), planned)
        ran = self._follow(planned, only=("ingest",))
        settled = self.plan(*typed)
        ran |= self._follow(settled)
        promised = {name for name, state in planned.states.items() if state.status == "cached"}
        assert not promised & ran, "the plan called these cached, and they ran"
        return ran

    def _follow(self, prepared: Prepared, only: Collection[str] | None = None) -> set[str]:
        store, ran = self.store, set()
        digests = {f"@{name}": digest for name, digest in prepared.plan.externals.items()}
        places = {f"@{name}": place for name, place in prepared.places.items()}
        for stage in prepared.plan.stages:
            if only is not None and stage.name not in only:
                continue
            made_of = stage_ingredients(stage, digests)
            key = key_of(made_of)
            artifact = store.find(key)
            if artifact is None:
                ran.add(stage.name)
                with store.building(key) as out:
                    self._work(stage, {n: places[split_reference(ref)[0]] for n, ref in stage.references()}, out)
                    if stage.kind not in DONE_FOR_REAL:
                        (out / "made_of").write_text(digest_of(made_of))
                    artifact = store.publish(
                        out, key=key, kind=stage.kind, stage=stage.name, made_of=made_of, seconds=0.5 * stage.num_images,
                        num_images=stage.num_images,
                    )  # fmt: skip
            digests[stage.name] = artifact.digest
            places[stage.name] = store.path(key)
            store.set_head(prepared.plan.family, stage.name, key)
        return ran

    def _work(self, stage: Stage, inputs: dict[str, Path], out: Path) -> None:
        if stage.kind in DONE_FOR_REAL:
            scratch = self.root / "scratch"
            scratch.mkdir(exist_ok=True)
            function(stage.kind)(stage.settings, inputs, out, Context(scratch=scratch))


@pytest.fixture(scope="session")
def finished_garden(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    """One that everything was done for once; only to be copied."""
    garden = Garden(tmp_path_factory.mktemp("garden"))
    garden.grow(SPECIES)
    garden.run()
    return garden


@pytest.fixture
def new_garden(tmp_path: Path) -> Garden:
    garden = Garden(tmp_path / "garden")
    garden.grow(SPECIES)
    return garden


@pytest.fixture
def garden(tmp_path: Path, finished_garden: Garden) -> Garden:
    """A copy to change at will; that it lies elsewhere changes nothing."""
    shutil.copytree(finished_garden.root, tmp_path / "garden")
    return Garden(tmp_path / "garden")
