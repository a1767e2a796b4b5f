"""Features of stored photographs: a function of the photograph and the trunk alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earthsnap_train.context import Resources
from earthsnap_train.models.embeddings import Embeddings
from earthsnap_train.models.export import sha256_of

GROUP = "embed/rosaceae"


def features(folder: Path) -> bytes:
    return (folder / "features.npy").read_bytes()


def test_a_photographs_features_do_not_depend_on_its_neighbours(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=head")
    whole = Embeddings({"rosaceae": family.out(GROUP)})
    fewer = tiny("training=head", "dataset.limit.photos_per_species=8")
    part = Embeddings({"rosaceae": fewer.out(GROUP)})
    image_ids = json.loads((fewer.out(GROUP) / "index.json").read_text())["image_ids"]
    assert 0 < len(image_ids) < 36
    assert np.array_equal(part.of(image_ids), whole.of(image_ids))


@pytest.mark.parametrize("stage", ["embed/trunk/rosaceae", "embed/originals"])
def test_any_number_of_threads_gives_the_same_bytes(tiny: Callable[..., Any], tmp_path: Path, stage: str) -> None:
    family = tiny("architecture=shared_trunk")
    family.run(stage, tmp_path / "threads", resources=Resources(workers=3))
    assert features(tmp_path / "threads") == features(family.out(stage))
    assert (tmp_path / "threads/index.json").read_bytes() == (family.out(stage) / "index.json").read_bytes()


def test_what_is_taken_from_the_last_time_changes_no_byte(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=head")
    earlier = tiny("training=head", "dataset.limit.photos_per_species=8").out(GROUP)
    family.run(GROUP, tmp_path / "grown", previous=earlier)
    assert features(tmp_path / "grown") == features(family.out(GROUP))
    assert (tmp_path / "grown/index.json").read_bytes() == (family.out(GROUP) / "index.json").read_bytes()


def test_only_photographs_that_are_new_are_looked_at(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=head")
    marked = tmp_path / "marked"
    shutil.copytree(family.out(GROUP), marked)
    features_NF = np.load(marked / "features.npy")
    np.save(marked / "features.npy", np.full_like(features_NF, 7.0))
    family.run(GROUP, tmp_path / "again", previous=marked)
    assert (np.load(tmp_path / "again/features.npy") == 7.0).all()


@pytest.mark.parametrize("change", ["trunk", "image_px", "a library", "no notes"])
def test_nothing_is_taken_over_where_it_was_made_another_way(
    tiny: Callable[..., Any], tmp_path: Path, change: str
) -> None:
    family = tiny("training=head")
    marked = tmp_path / "marked"
    shutil.copytree(family.out(GROUP), marked)
    np.save(marked / "features.npy", np.full_like(np.load(marked / "features.npy"), 7.0))
    recipe = json.loads((marked / "notes/recipe.json").read_text())
    if change == "a library":
        recipe["libraries"]["pillow"] = "0"
    if change == "trunk":
        recipe["trunk"] = "0" * 64
    elif change == "image_px":
        recipe["backbone"]["image_px"] = 64
    (marked / "notes/recipe.json").write_text(json.dumps(recipe))
    if change == "no notes":
        shutil.rmtree(marked / "notes")
    family.run(GROUP, tmp_path / "again", previous=marked)
    assert features(tmp_path / "again") == features(family.out(GROUP))


def test_features_come_in_the_order_asked_for(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head")
    embeddings = Embeddings({g: family.out(f"embed/{g}") for g in ("rosaceae", "fagaceae")})
    image_ids = [json.loads((family.out(f"embed/{g}") / "index.json").read_text())["image_ids"][0]
                 for g in ("fagaceae", "rosaceae")]  # fmt: skip
    there, back = embeddings.of(image_ids), embeddings.of(image_ids[::-1])
    assert np.array_equal(there, back[::-1])
    assert embeddings.of([]).shape == (0, 256)


def test_features_of_another_exported_network_are_not_taken_over(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=head")
    recipe = json.loads((family.out(GROUP) / "notes/recipe.json").read_text())

    assert recipe["trunk"] == sha256_of(family.out("trunk") / "trunk.onnx")
