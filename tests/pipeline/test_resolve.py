"""What is done again, and why: no more than what changed, and nothing that the plan did not say."""

import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from pydantic import JsonValue

from earthsnap_train.__main__ import conf_folder, through_the_door, translate
from earthsnap_train.pipeline.resolve import State, explain
from earthsnap_train.pipeline.store import Artifact
from tests.conftest import draw_folder
from tests.pipeline.conftest import SPECIES, Garden


def of_status(states: dict[str, State], status: str) -> set[str]:
    return {name for name, state in states.items() if state.status == status}


# ---- what runs


def test_at_first_everything_runs_and_planning_it_writes_nothing(new_garden: Garden) -> None:
    states = dict(new_garden.plan().states)

    assert of_status(states, "cached") == set()
    assert of_status(states, "will run") == {"ingest", "trunk"}
    assert {states["ingest"].reason, states["trunk"].reason} == {"first run"}
    assert states["records/rosa"].reason == "depends on select/child/rosa"
    assert all(state.seconds is None for state in states.values())
    assert {p.name for p in new_garden.root.iterdir()} == {"photographs", "store"}
    assert {p.name.partition("-")[0] for p in (new_garden.root / "store").iterdir()} == {"files.sqlite"}


def test_what_ran_is_not_run_again(garden: Garden) -> None:
    assert of_status(dict(garden.plan().states), "cached") == {stage.name for stage in garden.plan().plan.stages}
    assert garden.run() == set()


def test_a_moved_folder_changes_nothing(garden: Garden) -> None:
    moved = garden.root / "elsewhere"
    garden.photographs.rename(moved)

    assert garden.run(f"dataset.source.root={moved}") == set()


def test_a_changed_comment_changes_nothing(garden: Garden, tmp_path: Path) -> None:
    commented = tmp_path / "conf"
    shutil.copytree(conf_folder(), commented)
    for path in commented.rglob("*.yaml"):
        lines = path.read_text().splitlines()
        first = next(at for at, line in enumerate(lines) if not line.startswith("#"))
        path.write_text("\n".join([*lines[:first], "# another word", *lines[first:], "# and a last one"]))
    typed = translate(["experiment=plants", "name=garden"])

    with initialize_config_dir(str(commented), version_base="1.3"):
        with_comments = through_the_door(compose("config", overrides=typed))

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        assert with_comments == through_the_door(compose("config", overrides=typed))


@pytest.mark.parametrize(
    "typed", ["launcher.workers=1", "launcher.stages=1", "tracking=none", "launcher.checkpoint_every_s=5", "json=true"]
)
def test_where_and_how_widely_it_runs_changes_nothing(garden: Garden, typed: str) -> None:
    assert of_status(dict(garden.plan(typed).states), "cached") == set(garden.plan().states)


def test_a_learning_rate_changes_only_what_is_taught_with_it_and_what_follows(garden: Garden) -> None:
    states = dict(garden.plan("training.lr=0.01").states)

    taught = {"train/parent", "train/child/rosa", "train/child/acer"}
    assert of_status(states, "will run") == taught
    assert {states[name].reason for name in taught} == {"training.lr 0.003 -> 0.01"}
    assert states["export/parent"].reason == "depends on train/parent"
    assert states["train/flat"].status == "cached"  # the probe is taught as head_first says
    ran = garden.run("training.lr=0.01")
    assert {name.partition("/")[0] for name in ran} == {"train", "export", "calibrate", "evaluate", "bundle", "report"}
    assert not any(name.endswith("/flat") for name in ran)


def test_a_nodes_own_setting_changes_only_that_node(garden: Garden) -> None:
    ran = garden.run("nodes.child/rosa.lr=0.01")

    of_nodes = {name for name in ran if name not in ("calibrate/family", "evaluate/family", "bundle", "report")}
    assert of_nodes == {"train/child/rosa", "export/child/rosa", "evaluate/child/rosa"}


def test_going_back_runs_nothing(garden: Garden) -> None:
    garden.run("training.lr=0.01")

    assert garden.run() == set()


def test_a_stage_whose_inputs_come_out_the_same_is_left_out(garden: Garden) -> None:
    one = min((garden.photographs / "rosa" / "canina").iterdir())
    one.rename(one.with_name("another name.png"))

    ran = garden.run()

    assert {"ingest", "select/child/rosa"} <= ran
    assert not any(name.startswith(("records", "embed", "train", "export", "trunk")) for name in ran)


def test_new_species_in_one_group_touch_that_group_and_what_sees_every_species(garden: Garden) -> None:
    garden.grow({f"rosa/{name}": 8 for name in ("arvensis", "gallica", "moschata")})

    states = dict(garden.plan().states)
    ran = garden.run()

    assert states["ingest"].reason == "24 new or changed photographs, 3 new species in rosa"
    assert of_status(states, "cached") == {"trunk"}
    taught = ("child/rosa", "parent")  # the parent is taught species; the flat probe is one and the same stage
    assert {name for name in ran if not name.startswith("select/")} == {
        "ingest", "records/rosa", "embed/rosa", "calibrate/family", "evaluate/family", "bundle", "report",
        *(f"{kind}/{node}" for kind in ("train", "export", "evaluate") for node in taught),
    }  # fmt: skip
    assert "select/child/rosa" in ran


def test_new_photographs_of_one_species_touch_its_group(garden: Garden) -> None:
    more = draw_folder(garden.root / "more", species={"new": 6})
    for photograph in (more / "new").iterdir():
        photograph.rename(garden.photographs / "acer" / "rubrum" / f"new-{photograph.name}")

    states = dict(garden.plan().states)
    ran = garden.run()

    assert states["ingest"].reason == "6 new or changed photographs"
    assert {"records/acer", "embed/acer", "train/child/acer", "train/parent"} <= ran
    assert not {"records/rosa", "embed/rosa", "train/child/rosa", "export/child/rosa", "evaluate/child/rosa"} & ran


def test_a_parent_taught_species_and_an_equal_flat_probe_are_one_stage(garden: Garden) -> None:
    states = garden.plan().states

    assert states["train/parent"].key == states["train/flat"].key
    assert states["export/parent"].key == states["export/flat"].key
    others = garden.plan("architecture.parent.targets=groups").states
    assert others["train/parent"].key != others["train/flat"].key


def test_the_last_manifest_is_the_base_of_the_next_and_stays_it(garden: Garden) -> None:
    first = garden.plan().states["ingest"].artifact
    assert first is not None
    assert "base" not in garden.plan().plan.externals
    garden.grow({"rosa/arvensis": 8})
    garden.run()

    again = garden.plan()

    assert again.plan.externals["base"] == first.digest
    assert again.states["ingest"].status == "cached"
    assert garden.run() == set()


def test_other_split_settings_begin_anew(garden: Garden) -> None:
    planned = garden.plan("dataset.split.seed=1")

    assert "base" not in planned.plan.externals
    assert planned.states["ingest"].reason == "split.seed 0 -> 1"


def test_species_that_are_left_out_are_left_out_of_the_plan(new_garden: Garden) -> None:
    new_garden.grow({"rosa/arvensis": 2})
    new_garden.typed = ["dataset.too_few=drop"]
    before = new_garden.plan()
    assert (before.dropped, "arvensis" in str(before.plan.stage("select/child/rosa").settings)) == ((), True)

    new_garden.run()

    after = new_garden.plan()
    assert after.dropped == ("arvensis",)
    assert "arvensis" not in str(after.plan.stage("select/child/rosa").settings)
    assert of_status(dict(after.states), "cached") == {stage.name for stage in after.plan.stages}


def test_an_artifact_that_is_gone_is_made_again_and_nothing_else(garden: Garden) -> None:
    artifact = garden.plan().states["train/child/rosa"].artifact
    assert artifact is not None
    shutil.rmtree(garden.store.path(artifact.key))

    assert garden.plan().states["train/child/rosa"].status == "will run"
    assert garden.run() == {"train/child/rosa"}


def test_losing_the_heads_costs_explanations_and_no_results(garden: Garden) -> None:
    shutil.rmtree(garden.store.root / "heads")

    assert of_status(dict(garden.plan().states), "cached") == set(garden.plan().states)


def test_an_estimate_grows_with_the_photographs(garden: Garden) -> None:
    before = garden.plan().states["train/child/rosa"].seconds
    garden.grow({"rosa/arvensis": 8})

    states = garden.plan().states

    assert before == 0.5 * 16
    assert states["trunk"].seconds_left == 0.0  # it is there
    assert states["train/child/rosa"].seconds_left == 0.5 * 24
    assert states["train/child/rosa"].seconds == 0.5 * 24
    assert states["train/child/acer"].seconds == 0.0  # it will find its inputs as they were


def test_a_new_node_is_estimated_by_its_kind(garden: Garden) -> None:
    garden.grow({"salix/alba": 8, "salix/caprea": 8, "salix/cinerea": 8})

    assert garden.plan().states["train/child/salix"].seconds == 0.5 * 24


def test_a_garden_has_what_these_tests_say(new_garden: Garden) -> None:
    assert new_garden.plan().survey.images_of == {name.split("/")[1]: count for name, count in SPECIES.items()}


# ---- why

MADE_OF: dict[str, JsonValue] = {
    "kind": "train",
    "revision": 1,
    "settings": {"training": {"lr": 0.1, "method": "head"}, "classes": ["a", "b", "c", "d"], "class_of": {"a": "a"}},
    "libraries": {"torch": "2.7", "timm": "1.0"},
    "inputs": {"examples": "e1", "trunk": "t1"},
}


def last(**changes: JsonValue) -> Artifact:
    return Artifact(
        key="k", kind="train", stage="train/parent", digest="d", files={}, ingredients={**MADE_OF, **changes}, seconds=1,
        num_images=1, created=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revision": 0}, "the stage's code changed (revision 0 -> 1)"),
        ({"libraries": {"torch": "2.6", "timm": "1.0"}}, "torch 2.6 -> 2.7"),
        ({"libraries": {"torch": "2.7", "timm": "1.0", "onnx": "1"}}, "onnx 1 -> nothing"),
        ({"inputs": {"examples": "e0", "trunk": "t1"}}, "examples changed"),
        ({"inputs": {"trunk": "t1"}}, "examples is new"),
        ({"inputs": {"examples": "e1", "trunk": "t1", "embed/x": "x"}}, "embed/x is gone"),
        ({}, "its artifact is gone"),
    ],
)
def test_a_reason_names_what_differs(changes: dict[str, JsonValue], reason: str) -> None:
    assert explain(MADE_OF, last(**changes)) == reason


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"training": {"lr": 0.2, "method": "head"}}, "training.lr 0.2 -> 0.1"),
        ({"training": {"lr": None, "method": "head"}}, "training.lr nothing -> 0.1"),
        ({"classes": ["a", "b"]}, "2 new species (c, d)"),
        ({"classes": ["a", "b", "c", "d", "e"]}, "1 gone species (e)"),
        ({"classes": ["b", "a", "c", "d"]}, "classes in another sequence"),
        ({"classes": []}, "4 new species (a, b, c, ...)"),
        ({"class_of": {"a": "b"}, "classes": ["a", "b", "c"]}, "1 new species (d)"),
        (
            {"training": {"lr": 0.2, "method": "full"}, "classes": ["a", "b", "c", "e"]},
            "1 new species (d); 1 gone species (e); training.lr 0.2 -> 0.1; and 1 more",
        ),
    ],
)
def test_a_reason_names_the_settings_that_differ(settings: dict[str, JsonValue], reason: str) -> None:
    assert isinstance(MADE_OF["settings"], dict)
    assert explain(MADE_OF, last(settings={**MADE_OF["settings"], **settings})) == reason


def test_without_a_last_time_it_is_the_first() -> None:
    assert explain(MADE_OF, None) == "first run"
