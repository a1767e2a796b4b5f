"""A declaration becomes stages: which there are, what each reads, and what of it makes a key."""

import ast
import json
from pathlib import Path

import pytest

import earthsnap_train
from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Plan, Stage, digest_of, ingredients, split_reference
from earthsnap_train.pipeline.stages import KINDS
from tests.pipeline.conftest import Garden


def names(plan: Plan, kind: str) -> list[str]:
    return [stage.name for stage in plan.stages if stage.kind == kind]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    """Three groups, one of a single species; only to be planned."""
    garden = Garden(tmp_path_factory.mktemp("planned"))
    garden.grow({"rosa/canina": 4, "rosa/rugosa": 4, "acer/rubrum": 4, "acer/opalus": 4, "ginkgo/biloba": 4})
    garden.typed = ["grouping.min_species=1"]
    return garden


def test_stages_come_after_what_they_read(planned: Garden) -> None:
    plan = planned.plan("training=head_then_full", "training.fit_on=full").plan

    before: set[str] = set()
    for stage in plan.stages:
        for _, reference in stage.references():
            name, _ = split_reference(reference)
            assert name in before or name.removeprefix("@") in plan.externals or name == "@photographs"
        before.add(stage.name)
    assert len(before) == len(plan.stages)


def test_a_family_has_a_parent_children_and_a_flat_probe(planned: Garden) -> None:
    plan = planned.plan().plan

    assert plan.nodes == ("parent", "child/acer", "child/rosa", "flat")
    assert names(plan, "train") == [f"train/{node}" for node in plan.nodes]
    assert names(plan, "records") == ["records/acer", "records/ginkgo", "records/rosa"]
    assert plan.stage("train/flat").settings["training"]["method"] == "head"  # type: ignore[index, call-overload]


def test_a_group_of_one_species_has_no_network(planned: Garden) -> None:
    plan = planned.plan().plan

    assert "child/ginkgo" not in plan.nodes
    assert "biloba" in str(plan.stage("train/parent").settings["classes"])


def test_a_flat_family_is_one_node(planned: Garden) -> None:
    plan = planned.plan("architecture=flat").plan

    assert plan.nodes == ("flat",)
    assert names(plan, "bundle") == ["bundle"]


def test_without_a_baseline_there_is_no_flat_node(planned: Garden) -> None:
    assert "flat" not in planned.plan("evaluation.flat=off").plan.nodes


def test_a_whole_network_needs_no_embeddings(planned: Garden) -> None:
    plan = planned.plan("training=full", "evaluation.flat=full").plan

    assert names(plan, "embed") == []
    assert plan.stage("trunk").settings["onnx"] is False
    assert "records/rosa" in plan.stage("train/child/rosa").inputs


@pytest.mark.parametrize(("fit_on", "splits"), [("train_val", ["train", "val"]), ("full", ["train", "val", "test"])])
def test_weights_that_see_more_are_taught_again_and_keep_their_calibration(
    planned: Garden, fit_on: str, splits: list[str]
) -> None:
    plan = planned.plan(f"training.fit_on={fit_on}").plan

    assert plan.stage("refit/parent").settings["splits"] == splits
    assert plan.stage("train/parent").settings["splits"] == ["train"]
    assert plan.stage("reexport/parent").inputs["calibrated"] == "export/parent"
    assert plan.stage("bundle").inputs["export/parent"] == "reexport/parent"


def test_what_has_seen_the_test_photographs_is_never_judged_by_them(planned: Garden) -> None:
    judged = {
        fit_on: planned.plan(f"training.fit_on={fit_on}").plan.stage("evaluate/parent").inputs["export"]
        for fit_on in ("train", "train_val", "full")
    }

    assert judged == {"train": "export/parent", "train_val": "reexport/parent", "full": "export/parent"}


def test_an_override_of_child_reaches_all_children_and_one_of_a_child_wins(planned: Garden) -> None:
    plan = planned.plan("nodes.child.lr=0.2", "nodes.child/rosa.lr=0.3", "nodes.child/rosa.num_epochs=5").plan

    taught = {name: plan.stage(f"train/{name}").settings["training"] for name in plan.nodes}
    rates = {name: one["lr"] for name, one in taught.items()}  # type: ignore[index, call-overload]
    assert rates == {"parent": 0.003, "child/acer": 0.2, "child/rosa": 0.3, "flat": 0.003}
    assert taught["child/rosa"]["num_epochs"] == 5  # type: ignore[index, call-overload]


def test_a_parent_taught_groups_has_groups_as_classes(planned: Garden) -> None:
    plan = planned.plan("architecture.parent.targets=groups", "architecture.parent.max_images_per_group=3").plan

    assert plan.stage("train/parent").settings["classes"] == ["acer", "ginkgo", "rosa"]
    assert plan.stage("select/parent").settings["max_train_per_group"] == 3


def test_a_plan_knows_no_place(planned: Garden) -> None:
    text = planned.plan().plan.model_dump_json()

    assert str(planned.root) not in text
    assert str(Path.home()) not in text
    assert Plan.model_validate_json(text) == planned.plan().plan


def test_settings_of_a_stage_are_plain_json(planned: Garden) -> None:
    for stage in planned.plan("training=head_then_full").plan.stages:
        assert json.loads(json.dumps(stage.settings)) == stage.settings


def test_an_override_of_a_node_is_checked_when_the_groups_are_known(planned: Garden) -> None:
    with pytest.raises(ConfigError, match=r"no node is called 'child/ginkgo'"):
        planned.plan("nodes.child/ginkgo.lr=0.1")


# ---- keys


def test_a_reference_has_a_stage_and_perhaps_a_path_inside() -> None:
    assert split_reference("draw:photographs/a") == ("draw", "photographs/a")
    assert split_reference("select/child/rosa") == ("select/child/rosa", "")
    assert split_reference("@weights") == ("@weights", "")


def test_a_digest_is_of_the_value_and_not_of_how_it_is_written() -> None:
    assert digest_of({"a": 1, "b": [1.0, "ü"]}) == digest_of({"b": [1.0, "ü"], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
    assert digest_of({"a": None}) != digest_of({})
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of(float("nan"))


def test_where_bytes_lie_is_no_ingredient() -> None:
    stage = Stage(
        name="records/rosa", kind="records", inputs={"examples": "select/child/rosa", "part": "draw:x/y"},
        sources={"photographs": "@photographs"}, settings={"px": 3},
    )  # fmt: skip

    made_of = ingredients(
        stage, revision=4, libraries=("pydantic", "no-such-package"), digests={"select/child/rosa": "d1", "draw": "d2"}
    )

    assert made_of["inputs"] == {"examples": "d1", "part": "d2:x/y"}
    assert made_of["revision"] == 4
    assert made_of["libraries"]["no-such-package"] == "absent"  # type: ignore[index, call-overload]
    assert "records/rosa" not in str(made_of)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_function_of_settings_inputs_out_and_context(kind: str) -> None:
    module, _, name = KINDS[kind].run.partition(":")
    source = (
        Path(earthsnap_train.__file__).parent / f"{module.replace('.', '/')}.py"
    )  # read: importing torch takes long

    found = next(d for d in ast.parse(source.read_text()).body if isinstance(d, ast.FunctionDef) and d.name == name)

    assert [argument.arg for argument in found.args.args] == ["settings", "inputs", "out", "context"]
