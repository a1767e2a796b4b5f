"""The stage that finds how likely a taxon must be to be said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earthsnap_train.data.manifest import ManifestRow, read_manifest
from earthsnap_train.data.photographs import Photographs
from earthsnap_train.evaluation.calibrate_family import one_of_each
from earthsnap_train.evaluation.certainty import read_calibration
from earthsnap_train.evaluation.figures import FamilyMetrics
from earthsnap_train.models.family import Family
from earthsnap_train.models.rollup import RollUp
from earthsnap_train.release.load import open_release
from earthsnap_train.taxonomy.tree import Taxonomy

STAGE = "calibrate/family"
Make = Callable[..., Any]


def rows_of(family: Any, split: str) -> list[ManifestRow]:
    return [row for row in read_manifest(family.out("ingest") / "manifest.parquet") if row.split == split]


@pytest.mark.parametrize("architecture", ["parent_child", "flat"])
def test_the_release_answers_by_what_was_found_and_is_judged_by_it(tiny: Make, architecture: str) -> None:
    family = tiny("training=head", f"architecture={architecture}")
    found = read_calibration(family.out(STAGE))
    assert found.outcome == "too_few"
    assert found.num_needed is not None
    assert found.unsure_below == 0.95
    released = Family.model_validate_json((family.out("bundle") / "family.json").read_bytes())
    assert released.unsure_below == found.unsure_below
    judged = FamilyMetrics.model_validate_json((family.out("evaluate/family") / "metrics.json").read_bytes())
    assert judged.answering is not None
    assert judged.answering.calibration == found


def test_the_curve_is_that_of_the_releases_answers_on_the_photographs_of_val(tiny: Make) -> None:
    family = tiny("training=head")
    found = read_calibration(family.out(STAGE))
    rows = rows_of(family, "val")
    assert (found.num_images, found.num_clusters) == (len(rows), len({row.cluster_id for row in rows}))
    engine = open_release(family.release()).engine
    settings = family.plan.stage(STAGE).settings["family"]["photographs"]
    batches = Photographs.model_validate(settings).batches(
        [row.image_id for row in rows], manifest=family.out("ingest"), photographs=family.places["photographs"]
    )
    taxonomy = Taxonomy.read(family.out("ingest") / "taxonomy.parquet")
    roll_up = RollUp(taxonomy, engine.family.species)
    species_BS = np.concatenate([engine.answer(images).species_BS for images in batches])
    for point in found.curve:
        answers = [roll_up(species_S, point.unsure_below).answer for species_S in species_BS]
        said = [
            (answer.rank, answer.name) in taxonomy.lineage(row.species_id)
            for row, answer in zip(rows, answers, strict=True)
            if answer is not None
        ]
        assert point.answered == pytest.approx(len(said) / len(rows))
        assert point.right == pytest.approx(np.mean(said) if said else 1.0)


def test_a_threshold_of_ones_own_reaches_the_release(tiny: Make) -> None:
    family = tiny("training=head", "architecture.certain.unsure_below=0.55")
    assert read_calibration(family.out(STAGE)).outcome == "by_hand"
    assert json.loads((family.out("bundle") / "family.json").read_bytes())["unsure_below"] == 0.55


@pytest.mark.parametrize("fit_on", ["train", "train_val", "full"])
def test_it_is_found_with_weights_that_never_learnt_from_val(tiny: Make, fit_on: str) -> None:
    plan = tiny("training=head", f"training.fit_on={fit_on}").plan
    exports = {ref for name, ref in plan.stage(STAGE).references() if name.startswith("export/")}
    assert exports
    assert all(plan.stage(plan.stage(one).inputs["train"]).settings["splits"] == ["train"] for one in exports)


def test_it_comes_before_the_judging_and_the_release_reads_it(tiny: Make) -> None:
    plan = tiny("training=head").plan
    names = [stage.name for stage in plan.stages]
    assert names.index(STAGE) < names.index("evaluate/family") < names.index("bundle")
    assert {plan.stage(name).inputs["calibrated"] for name in ("evaluate/family", "bundle")} == {STAGE}


def test_without_a_photograph_in_val_nothing_is_promised(tiny: Make, tmp_path: Path) -> None:
    family = tiny("training=head")
    settings = family.plan.stage(STAGE).settings["family"]
    kept = [one for one in settings["species"] if one == "ginkgo-biloba"]
    assert kept
    family.run(STAGE, tmp_path / "out", settings={"family": settings | {"group_of": {}}})
    found = read_calibration(tmp_path / "out")
    assert (found.outcome, found.num_clusters, found.num_needed) == ("too_few", 0, 59)


def test_one_photograph_stands_for_its_cluster_and_the_seed_draws_it() -> None:
    rows = [row(f"{place:02d}", f"plant-{place // 4}") for place in range(40)]
    chosen = one_of_each(rows, seed=0)
    assert [one.cluster_id for one in chosen].count("plant-3") == 1
    assert {one.cluster_id for one in chosen} == {one.cluster_id for one in rows}
    assert one_of_each(reversed(rows), seed=0) == chosen
    assert any(one_of_each(rows, seed=seed) != chosen for seed in range(1, 4))


def row(image_id: str, cluster_id: str) -> ManifestRow:
    return ManifestRow(
        image_id=image_id, uri=f"{image_id}.jpg", species_id="rose", observation_id=None, cluster_id=cluster_id,
        split="val", width=10, height=10, format="JPEG", phash="0", source="folder", licence=None, attribution=None,
        version_id=None,
    )  # fmt: skip
