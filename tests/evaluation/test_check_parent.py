"""Whether the parent of an earlier release stays, and what becomes of a family whose parent did."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from earthsnap_train.data.select import SCHEMA
from earthsnap_train.errors import ConfigError, IntegrityError, NotFoundError
from earthsnap_train.evaluation.figures import Estimate, Metrics
from earthsnap_train.evaluation.parent_check import ParentCheck, Routed
from earthsnap_train.evaluation.predictions import FamilyPredictions, NodePredictions
from earthsnap_train.models.family import Family, Node
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.registry import Registry
from tests.conftest import declare
from tests.launchers.sagemaker.declared import ON_SAGEMAKER

SHARED = "architecture=shared_trunk"
TINY = {
    "rosaceae": ["rosa-canina", "rosa-rugosa", "sorbus-aria"],
    "fagaceae": ["quercus-ilex", "quercus-robur"],
    "ginkgoaceae": ["ginkgo-biloba"],
}


@pytest.fixture(scope="module")
def grown(declared: Callable[..., Any]) -> Any:
    return declared()


@pytest.fixture(scope="module")
def declared(tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The tiny family with one more rose, which has the dog rose's colours; its base is a release without it."""
    root = tmp_path_factory.mktemp("grown")
    before = tiny(SHARED)
    bundle = before.out("bundle")
    registry = Registry(root / "registry")
    registry.register("tiny", release_digest(bundle), bundle, reasons=(), summary={}, lineage={})
    photographs = root / "photographs"
    shutil.copytree(before.places["photographs"], photographs)
    _draw_like_the_dog_rose(photographs / "rosaceae" / "rosa-gallica")
    typed = (f"dataset.source.root={photographs}", f"paths.registry={registry.root}", "base=tiny-1")
    return lambda *more: tiny(SHARED, *typed, "architecture.keep_parent.min_routing=0.3", *more)


def _draw_like_the_dog_rose(folder: Path) -> None:
    folder.mkdir()
    generator = np.random.default_rng(77)
    palette = np.random.default_rng(0).integers(0, 256, size=(4, 3))
    for number in range(30):
        image = np.kron(palette[generator.integers(0, 4, size=(6, 6))], np.ones((8, 8, 1)))
        image += generator.normal(0, 30, size=image.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")


def check_of(folder: Path) -> ParentCheck:
    return ParentCheck.model_validate_json((folder / "check.json").read_bytes())


def rows_of(family: Any, group: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(family.out(f"select/child/{group}") / "examples.parquet").to_pylist()
    return rows


def written(rows: list[dict[str, Any]], folder: Path) -> Path:
    """As a list of examples."""
    folder.mkdir()
    pq.write_table(
        pa.Table.from_pylist(sorted(rows, key=lambda row: row["image_id"]), SCHEMA), folder / "examples.parquet"
    )
    return folder


def among(
    family: Any, tmp_path: Path, group: str, *, of: str, species: str, called: str | None = None
) -> dict[str, Path]:
    """The examples of two groups once a species of the second is in the first, under another name if one is given."""
    moved = [row | {"species_id": called or species} for row in rows_of(family, of) if row["species_id"] == species]
    left = [row for row in rows_of(family, of) if row["species_id"] != species]
    return {
        f"examples/{group}": written([*rows_of(family, group), *moved], tmp_path / "grown"),
        f"examples/{of}": written(left, tmp_path / "left"),
    }


# ---- kept


def test_a_parent_that_routes_new_photographs_well_enough_is_kept_to_the_byte(grown: Any) -> None:
    out = grown.out("check/parent")
    check = check_of(out)
    assert check.kept
    assert check.new is not None
    assert check.old is not None
    assert check.new.num_images > 1
    assert check.new.routing.value >= 0.3
    release = grown.places["release"]
    kept = grown.out("heads") / "parent"
    assert (kept / "head.onnx").read_bytes() == (release / "nodes" / "parent.onnx").read_bytes()
    family = Family.model_validate_json((release / "family.json").read_bytes())
    assert Node.model_validate_json((kept / "node.json").read_bytes()) == family.root
    assert "rosa-gallica" not in family.root.classes


def test_only_the_child_whose_group_has_grown_is_another(grown: Any, tiny: Callable[..., Any]) -> None:
    before, after = tiny(SHARED).out("heads"), grown.out("heads")
    same = {
        name: (before / name / "head.onnx").read_bytes() == (after / name / "head.onnx").read_bytes()
        for name in ("parent", "child/rosaceae", "child/fagaceae", "flat")
    }
    assert same == {"parent": True, "child/rosaceae": False, "child/fagaceae": True, "flat": False}


def test_a_family_with_a_kept_parent_names_what_is_new(grown: Any) -> None:
    predictions = FamilyPredictions.read(grown.out("evaluate/family") / "predictions.parquet")
    assert "rosa-gallica" in set(predictions.species_id.tolist())
    assert "rosa-gallica" in set(predictions.answers.names.ravel().tolist())
    assert predictions.answers.probability.sum(axis=1).max() <= 1 + 1e-5


def test_a_kept_parent_is_judged_by_the_groups_that_it_routes_to(grown: Any) -> None:
    out = grown.out("evaluate/heads") / "parent"
    assert set(NodePredictions.read(out / "predictions.parquet").truth.tolist()) == set(TINY)
    whole = FamilyPredictions.read(grown.out("evaluate/family") / "predictions.parquet")
    metrics = Metrics.model_validate_json((out / "metrics.json").read_bytes())
    assert metrics.num_images == len(whole)
    assert metrics.top1.value == pytest.approx(float((whole.routed_group == whole.group).mean()))


def test_the_release_says_of_each_photograph_what_it_was_taken_for(grown: Any) -> None:
    images = pq.read_table(grown.out("bundle") / "lineage/images.parquet").to_pylist()
    assert {row["species_id"] for row in images} == {one for own in TINY.values() for one in own} | {"rosa-gallica"}


def test_a_kept_parent_stays_beside_heads_that_have_seen_more(declared: Callable[..., Any], grown: Any) -> None:
    family = declared("training.fit_on=train_val")
    kept = (grown.out("heads") / "parent/head.onnx").read_bytes()
    assert (family.out("heads") / "parent/head.onnx").read_bytes() == kept
    assert (family.out("reheads") / "parent/head.onnx").read_bytes() == kept
    assert (family.out("evaluate/heads") / "parent/metrics.json").exists()


def test_photographs_that_it_learnt_from_say_nothing_of_it(grown: Any, tmp_path: Path) -> None:
    rows = [row | {"split": "val"} if row["split"] == "train" else row for row in rows_of(grown, "ginkgoaceae")]
    inputs = {"examples/ginkgoaceae": written(rows, tmp_path / "moved")}
    grown.run("check/parent", tmp_path / "out", inputs=inputs)
    assert check_of(tmp_path / "out") == check_of(grown.out("check/parent"))


# ---- taught anew


def test_a_parent_that_routes_too_few_of_the_new_photographs_is_taught_anew(grown: Any, tmp_path: Path) -> None:
    # The new rose as an oak: the base routes it to the roses.
    inputs = among(grown, tmp_path, "fagaceae", of="rosaceae", species="rosa-gallica")
    groups = {**TINY, "fagaceae": [*TINY["fagaceae"], "rosa-gallica"]}
    grown.run("check/parent", tmp_path / "out", settings={"groups": groups, "min_routing": 0.99}, inputs=inputs)
    check = check_of(tmp_path / "out")
    assert not check.kept
    assert not check.obstacle
    assert check.new is not None
    assert check.new.routing.value < 0.99
    assert not (tmp_path / "out" / "parent").exists()


def test_what_is_taught_anew_is_what_it_would_be_without_a_base(grown: Any, tmp_path: Path) -> None:
    (tmp_path / "check").mkdir()
    grown.run("heads", tmp_path / "out", inputs={"check": tmp_path / "check"})
    assert Node.model_validate_json((tmp_path / "out/parent/node.json").read_bytes()).gone == {}
    assert (tmp_path / "out/notes/parents.json").exists()
    child = (grown.out("heads") / "child/rosaceae/head.onnx").read_bytes()
    assert (tmp_path / "out/child/rosaceae/head.onnx").read_bytes() == child


def test_another_trunk_a_new_group_and_leaks_are_in_the_way(grown: Any, tmp_path: Path) -> None:
    trunk = tmp_path / "trunk"
    trunk.mkdir()
    (trunk / "trunk.onnx").write_bytes(b"another")
    grown.run("check/parent", tmp_path / "a", inputs={"trunk": trunk})
    assert check_of(tmp_path / "a").obstacle == "its trunk is another one"

    groups = {**TINY, "rosaceae": TINY["rosaceae"][:2], "sorbeae": ["sorbus-aria"]}
    sorbus = {"examples/sorbeae": grown.out("select/child/rosaceae")}
    parent = Family.model_validate_json((grown.places["release"] / "family.json").read_bytes()).root
    grown.run("check/parent", tmp_path / "b", settings={"groups": groups}, inputs=sorbus)
    expected = "" if parent.targets == "species" else "it knows no group sorbeae"
    assert check_of(tmp_path / "b").obstacle == expected
    groups = {**TINY, "pinaceae": ["pinus-mugo"]}
    grown.run(
        "check/parent", tmp_path / "c", settings={"groups": groups},
        inputs={"examples/pinaceae": grown.out("select/child/ginkgoaceae")},
    )  # fmt: skip
    assert check_of(tmp_path / "c").obstacle == "it knows no group pinaceae"

    leaked = written([row | {"split": "test"} for row in rows_of(grown, "ginkgoaceae")], tmp_path / "leaked")
    grown.run("check/parent", tmp_path / "d", inputs={"examples/ginkgoaceae": leaked})
    assert check_of(tmp_path / "d").obstacle.startswith("it has learnt from ")
    assert check_of(tmp_path / "d").obstacle.endswith(" photographs that are for testing now")


def test_a_parent_that_has_seen_val_cannot_be_calibrated_on_it(grown: Any, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(grown.places["release"], base)
    dataset = json.loads((base / "lineage/dataset.json").read_text()) | {"taught_on": ["train", "val"]}
    (base / "lineage/dataset.json").write_text(json.dumps(dataset))
    described = json.loads((base / "release.json").read_text())
    digest = hashlib.sha256((base / "lineage/dataset.json").read_bytes()).hexdigest()
    described["files"]["lineage/dataset.json"] = digest
    (base / "release.json").write_text(json.dumps(described))
    grown.run("check/parent", tmp_path / "checked", inputs={"release": base})
    assert check_of(tmp_path / "checked").obstacle.startswith("it has learnt from more than the training split")


def test_a_release_that_was_damaged_is_refused(grown: Any, tmp_path: Path) -> None:
    shutil.copytree(grown.places["release"], tmp_path / "release")
    (tmp_path / "release/nodes/parent.onnx").write_bytes(b"other")
    with pytest.raises(IntegrityError, match=r"parent\.onnx is not what was registered"):
        grown.run("check/parent", tmp_path / "out", inputs={"release": tmp_path / "release"})


# ---- species that are gone


def test_what_a_merged_species_had_goes_to_the_group_of_what_it_became(grown: Any, tmp_path: Path) -> None:
    inputs = among(grown, tmp_path, "fagaceae", of="ginkgoaceae", species="ginkgo-biloba", called="quercus-ilex")
    groups = {group: members for group, members in TINY.items() if group != "ginkgoaceae"}
    grown.run("check/parent", tmp_path / "out", settings={"groups": groups, "min_routing": 1e-9}, inputs=inputs)
    before, after = check_of(grown.out("check/parent")).new, check_of(tmp_path / "out").new
    assert before is not None
    assert after is not None
    renamed = sum(row["split"] == "val" for row in rows_of(grown, "ginkgoaceae"))
    assert after.num_images == before.num_images + renamed  # which it knows as another species
    kept = Node.model_validate_json((tmp_path / "out/parent/node.json").read_bytes())
    assert set(kept.gone.values()) == {"fagaceae"}
    assert all(name.startswith("ginkgo") for name in kept.gone)


# ---- in words


def routed(num_images: int, value: float, low: float, high: float) -> Routed:
    return Routed(num_images=num_images, routing=Estimate(value=value, low=low, high=high))


@pytest.mark.parametrize(
    ("obstacle", "new", "words"),
    [
        ("", routed(57, 0.965, 0.881, 0.99),
         "kept from plants-1: it routes 96.5 % (88.1 to 99.0) of 57 new and 94.0 % (92.0 to 96.0) of 900 known "
         "photographs of val"),
        ("", routed(57, 0.5, 0.4, 0.6),
         "taught anew: that of plants-1 routes 50.0 % (40.0 to 60.0) of 57 new and 94.0 % (92.0 to 96.0) of 900 known "
         "photographs of val, and 90 % of the new are required"),
        ("its trunk is another one", None, "taught anew: its trunk is another one"),
        ("", None, "kept from plants-1: it routes 94.0 % (92.0 to 96.0) of 900 known photographs of val"),
    ],
)  # fmt: skip
def test_the_decision_is_told_with_its_figures(obstacle: str, new: Routed | None, words: str) -> None:
    check = ParentCheck(obstacle=obstacle, min_routing=0.9, new=new, old=routed(900, 0.94, 0.92, 0.96))
    assert check.in_words("plants-1") == words


def test_without_a_photograph_to_judge_by_it_is_kept_and_that_is_said() -> None:
    check = ParentCheck(obstacle="", min_routing=0.9, new=None, old=None)
    assert check.in_words("plants-1") == "kept from plants-1: no photograph of val to judge it by"


# ---- the declaration


@pytest.mark.parametrize(
    ("typed", "what", "remedy"),
    [
        (["architecture=parent_child"], "only the heads of a shared trunk", "architecture=shared_trunk"),
        ([SHARED, "training.fit_on=full"], "would be judged on", "base=null"),
        (
            [SHARED, *ON_SAGEMAKER],
            "SageMaker",
            "launcher=local",
        ),
    ],
)
def test_a_base_that_cannot_be_used_is_refused(
    typed: list[str], what: str, remedy: str, tiny: Callable[..., Any]
) -> None:
    with pytest.raises(ConfigError, match=what) as said:
        tiny(*typed, "base=tiny-1")
    assert said.value.where == "base"
    assert remedy in said.value.remedy


def test_a_base_that_there_is_not_is_named(tiny: Callable[..., Any]) -> None:
    with pytest.raises(NotFoundError, match="there is no release 'tiny-9'") as said:
        tiny(SHARED, "base=tiny-9")
    assert said.value.where == "base"


def test_a_base_is_part_of_the_key_by_its_content(grown: Any) -> None:
    release = grown.places["release"]
    assert grown.plan.stage("check/parent").inputs["release"] == "@release"
    files = json.loads((release / "release.json").read_bytes())["files"]
    assert "nodes/parent.onnx" in files
    assert len(grown.plan.externals["release"]) == 64
    assert declare("name=x").base is None
