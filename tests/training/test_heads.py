"""All heads of a shared trunk through their stages, from photographs to a family that answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from earthsnap_train.data.photographs import Photographs
from earthsnap_train.errors import ConfigError, DataError
from earthsnap_train.evaluation.figures import FamilyMetrics, Metrics
from earthsnap_train.evaluation.predictions import FamilyPredictions
from earthsnap_train.models.family import Family, Node
from earthsnap_train.release.bundle_files import model_files
from earthsnap_train.serving.engine import Engine, Models

SHARED = "architecture=shared_trunk"


def node(folder: Path, name: str) -> Node:
    return Node.model_validate_json((folder / name / "node.json").read_bytes())


def stages(family: Any, kind: str) -> list[str]:
    return [stage.name for stage in family.plan.stages if stage.kind == kind]


def test_one_stage_teaches_every_node_that_has_something_to_tell_apart(tiny: Callable[..., Any]) -> None:
    family = tiny(SHARED)
    out = family.out("heads")
    assert not stages(family, "train")
    assert {name: node(out, name).classes for name in ("child/rosaceae", "child/fagaceae")} == {
        "child/rosaceae": ("rosa-canina", "rosa-rugosa", "sorbus-aria"),
        "child/fagaceae": ("quercus-ilex", "quercus-robur"),
    }
    assert not (out / "child/ginkgoaceae").exists()
    assert len(node(out, "flat").classes) == 6
    assert {node(out, name).trunk for name in ("parent", "child/rosaceae", "flat")} == {node(out, "parent").trunk}


def test_val_says_what_the_parent_is_taught(tiny: Callable[..., Any]) -> None:
    out = tiny(SHARED).out("heads")
    said = json.loads((out / "notes/parents.json").read_text())
    assert set(said["surprise"]) == {"species", "clusters", "groups"}
    assert said["taught"] == min(said["surprise"], key=said["surprise"].get) == node(out, "parent").targets


def test_a_child_does_not_change_when_another_group_does(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(SHARED)
    settings = dict(family.plan.stage("heads").settings)
    settings["groups"] = {**settings["groups"], "rosaceae": ["rosa-canina", "rosa-rugosa"]}
    examples = family.out("select/child/rosaceae")
    fewer = tmp_path / "examples"
    fewer.mkdir()
    table = pq.read_table(examples / "examples.parquet")
    pq.write_table(table.filter(pc.not_equal(table["species_id"], "sorbus-aria")), fewer / "examples.parquet")
    family.run(
        "heads", tmp_path / "changed", settings=settings,
        inputs={"examples/rosaceae": fewer, "embed/rosaceae": family.out("embed/trunk/rosaceae")},
    )  # fmt: skip
    before, after = family.out("heads"), tmp_path / "changed"
    for file in ("head.onnx", "node.json"):
        assert (after / "child/fagaceae" / file).read_bytes() == (before / "child/fagaceae" / file).read_bytes()
    assert node(after, "child/rosaceae").classes == ("rosa-canina", "rosa-rugosa")


def test_what_is_judged_on_kept_features_is_what_a_server_says(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(SHARED)
    judged = FamilyPredictions.read(family.out("evaluate/family") / "predictions.parquet")
    release = family.release()
    served = Family.model_validate_json((release / "family.json").read_bytes())
    assert served.architecture == "shared_trunk"
    engine = Engine(served, Models(model_files(served, release)))
    photographs = Photographs.model_validate(family.plan.stage("embed/originals").settings["photographs"])
    images_BCHW = np.concatenate(list(photographs.batches(
        judged.image_id.tolist(), manifest=family.out("ingest"), photographs=family.places["photographs"]
    )))  # fmt: skip
    species_BS = engine.answer(images_BCHW).species_BS
    first = [served.species[place] for place in species_BS.argmax(axis=1)]
    assert first == judged.predicted_species.tolist()
    assert np.allclose(species_BS.max(axis=1), judged.answers.confidence, atol=1e-5)


def test_nodes_are_judged_as_those_of_any_family(tiny: Callable[..., Any]) -> None:
    family = tiny(SHARED)
    out = family.out("evaluate/heads")
    for name in ("parent", "child/rosaceae", "child/fagaceae", "flat"):
        metrics = Metrics.model_validate_json((out / name / "metrics.json").read_bytes())
        assert 0 <= metrics.top1.value <= 1
    assert metrics.num_images == len(FamilyPredictions.read(family.out("evaluate/family") / "predictions.parquet"))
    whole = FamilyMetrics.model_validate_json((family.out("evaluate/family") / "metrics.json").read_bytes())
    assert whole.flat is not None
    assert whole.multiply_adds is not None
    assert whole.flat.multiply_adds is not None
    assert whole.multiply_adds < 1.05 * whole.flat.multiply_adds


def test_a_trunk_may_be_taught_once_for_all(tiny: Callable[..., Any]) -> None:
    family = tiny(SHARED, "training=full", "training.num_epochs=1")
    assert stages(family, "train") == ["train/trunk"]
    first, taught = family.out("trunk"), family.out("trunk/taught")
    assert (first / "trunk.safetensors").read_bytes() != (taught / "trunk.safetensors").read_bytes()
    assert node(family.out("heads"), "parent").trunk == node(family.out("heads"), "flat").trunk
    assert family.release().is_dir()


@pytest.mark.parametrize("fit_on", ["train_val", "full"])
def test_heads_that_have_seen_more_keep_what_val_had_said(tiny: Callable[..., Any], fit_on: str) -> None:
    family = tiny(SHARED, f"training.fit_on={fit_on}")
    before, after = family.out("heads"), family.out("reheads")
    for name in ("parent", "child/rosaceae"):
        assert node(after, name).temperature == node(before, name).temperature
        assert node(after, name).targets == node(before, name).targets
        assert node(after, name).head != node(before, name).head
    assert family.plan.stage("bundle").inputs["export/parent"] == "reheads:parent"
    judged = family.plan.stage("evaluate/family").inputs["export/parent"]
    assert judged == ("reheads:parent" if fit_on == "train_val" else "heads:parent")


def test_two_looks_are_the_mean_of_a_photograph_and_its_mirror_image(tiny: Callable[..., Any]) -> None:
    family = tiny(SHARED, "backbone.looks=2")
    trunk = family.out("trunk")
    image = np.random.default_rng(0).integers(0, 256, size=(3, 32, 32), dtype=np.uint8)
    networks = {"twice": trunk / "trunk.onnx", "once": trunk / "look.onnx"}
    models = Models(networks)
    (twice_F,), (own_F,) = (models.features(name, [image]) for name in ("twice", "once"))
    (mirrored_F,) = models.features("once", [np.ascontiguousarray(image[:, :, ::-1])])
    assert np.allclose(twice_F, (own_F + mirrored_F) / 2, atol=1e-5)
    assert not np.allclose(own_F, mirrored_F, atol=1e-5)


def test_heads_that_are_solved_have_nothing_to_search(tiny: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="nothing to search") as said:
        tiny(SHARED, "tuning=quick")
    assert said.value.where == "tuning"
    assert "training=head_then_full" in said.value.remedy


@pytest.mark.parametrize(("method", "allowed"), [("head", "none"), ("full", "trunk")])
def test_a_node_that_is_solved_takes_no_training_of_its_own(
    tiny: Callable[..., Any], method: str, allowed: str
) -> None:
    with pytest.raises(ConfigError, match="parent is not trained") as said:
        tiny(SHARED, f"training={method}", "+nodes.parent={lr: 0.1}")
    assert said.value.where == "nodes.parent"
    assert allowed in said.value.allowed


def test_the_trunk_takes_settings_of_its_own(tiny: Callable[..., Any]) -> None:
    family = tiny(SHARED, "training=full", "+nodes.trunk={lr: 0.1}")
    assert family.plan.stage("train/trunk").settings["training"]["lr"] == 0.1


def test_an_ablation_begins_with_the_family_as_it_is_judged(tiny: Callable[..., Any]) -> None:
    family = tiny(SHARED, "evaluation.ablation=true")
    rows = json.loads((family.out("ablate") / "ablation.json").read_text())
    whole = FamilyMetrics.model_validate_json((family.out("evaluate/family") / "metrics.json").read_bytes())
    names = [row["name"] for row in rows]
    assert rows[0]["name"] == "as declared"
    assert rows[0]["top1"] == pytest.approx(whole.top1.value)
    assert rows[0]["ece"] == pytest.approx(whole.ece, abs=1e-4)
    assert names[-1] == "one flat head"
    assert rows[-1]["top1"] == pytest.approx(whole.flat.top1.value if whole.flat else None)
    assert {
        "hard routing", "no temperatures", "no logit adjustment", "mirror images not taught",
        "children divide their groups alone", "features instead of their roots", "features not whitened",
        "least expected distance named first",
    } < set(names)  # fmt: skip
    assert sum(name.startswith("parent taught") for name in names) == 2
    shown = json.loads((family.out("report") / "report.json").read_text())["ablation"]
    assert [row["name"] for row in shown] == names


def test_what_is_named_first_teaches_no_head_again(tiny: Callable[..., Any]) -> None:
    ablates = (SHARED, "evaluation.ablation=true")
    plan, usual = tiny(*ablates, "architecture.named_first=least_expected_distance").plan, tiny(*ablates).plan
    differs = {one.name for one in plan.stages if one.settings != usual.stage(one.name).settings}
    assert differs == {"ablate", "evaluate/family", "bundle"}
    assert plan.stage("ablate").settings["named_first"] == "least_expected_distance"


def test_a_trunk_that_is_taught_whole_is_exported_as_it_is_declared(tiny: Callable[..., Any]) -> None:
    family = tiny(SHARED, "training=full", "backbone.looks=2", "backbone.quantization=int8")
    exported = family.plan.stage("trunk/taught").settings["backbone"]
    assert (exported["looks"], exported["quantization"]) == (2, "int8")


def test_whether_a_trunk_is_taught_is_said_for_the_whole_family(tiny: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="is said for the whole family") as said:
        tiny(SHARED, "training=full", "+nodes.trunk={method: head}")
    assert said.value.where == "nodes.trunk.method"


def test_whether_mirror_images_count_is_said_for_trunk_and_heads_at_once(tiny: Callable[..., Any]) -> None:
    own = "+nodes.trunk.augmentation={scale_min: 0.9, ratio_max: 1.2, rotation_deg: 0, horizontal_flip: %s, \
colour_jitter: null, random_erasing: null, mixup: null, cutmix: null}"
    with pytest.raises(ConfigError, match="a mirror image shows the same species") as said:
        tiny(SHARED, "training=full", own % "false")
    assert said.value.where == "nodes.trunk.augmentation.horizontal_flip"
    assert said.value.allowed == "true, as training.augmentation.horizontal_flip is"
    taught = tiny(SHARED, "training=full", own % "true").plan.stage("train/trunk").settings["training"]
    assert taught["augmentation"]["scale_min"] == 0.9


def test_a_group_without_a_photograph_to_learn_from_is_named(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(SHARED)
    with pytest.raises(DataError, match="no photograph of quercus-ilex, quercus-robur") as said:
        family.run("heads", tmp_path / "none", inputs={"examples/fagaceae": _without_train(family, tmp_path)})
    assert said.value.where == "group fagaceae"


def _without_train(family: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "examples"
    folder.mkdir()
    table = pq.read_table(family.out("select/child/fagaceae") / "examples.parquet")
    pq.write_table(table.filter(pc.not_equal(table["split"], "train")), folder / "examples.parquet")
    return folder


def test_an_ablation_is_left_out_where_the_judged_heads_are_others(tiny: Callable[..., Any]) -> None:
    assert not stages(tiny(SHARED, "evaluation.ablation=true", "training.fit_on=train_val"), "ablate")
