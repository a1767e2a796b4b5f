"""A search through its stage: what it tries, what it keeps, what it survives, and what it never looks at."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earthsnap_train.context import Context, Silence
from earthsnap_train.errors import DataError, StageError
from earthsnap_train.pipeline.stages import function
from earthsnap_train.training.found import Settings
from earthsnap_train.training.search import make_task

CHILD = "tune/child"
SEARCHED = (
    "training=head", "training.num_epochs=8", "tuning=quick", "tuning.num_trials=6", "tuning.subset=null",
    "tuning.pruning.min_share=0.125", "tuning.pruning.reduction_factor=2",
)  # fmt: skip


def space(**dimensions: str) -> list[str]:
    """Overrides that leave nothing else to be searched; two underscores stand for a dot."""
    named = [f"++tuning.space.{key.replace('__', '.')}={dimension}" for key, dimension in dimensions.items()]
    return ["~tuning.space.lr", "~tuning.space.weight_decay", *named]


def best(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "best.json").read_text())["settings"]
    return found


def tried(folder: Path) -> list[dict[str, Any]]:
    """All but what the clock says."""
    rows = json.loads((folder / "notes" / "trials.json").read_text())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


class Heard(Silence):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_best_trial_is_one_that_was_taught_to_its_end_and_not_worse_than_what_was_declared(
    tiny: Callable[..., Any],
) -> None:
    family = tiny(*SEARCHED)
    rows = tried(family.out("tune/parent"))
    whole = [row for row in rows if row["state"] == "complete"]
    assert [row["number"] for row in rows] == list(range(6))
    assert rows[0]["params"] == {"lr": 0.003, "weight_decay": 0.1}
    assert best(family.out("tune/parent")) == min(whole, key=lambda row: row["value"])["params"]
    assert all(row["value"] == min(at["val_loss"] for at in row["curve"]) for row in rows)


def test_what_was_found_alone_decides_what_comes_after(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(*SEARCHED, "tuning.pruning.kind=none", "tuning.num_trials=1")
    out = family.out("tune/parent")
    # Whatever is under notes/ is no part of an artifact's digest.
    assert {path.name for path in out.iterdir()} == {"best.json", "notes"}
    assert json.loads((out / "best.json").read_text()) == {"settings": {"lr": 0.003, "weight_decay": 0.1}}


def test_pruning_ends_trials_early_and_only_where_others_had_come_further(tiny: Callable[..., Any]) -> None:
    rows = tried(tiny(*SEARCHED).out("tune/parent"))
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert pruned
    assert {row["epochs"] for row in pruned} <= {1, 2, 4}
    for row in pruned:
        at = row["epochs"]
        earlier = [
            min(point["val_loss"] for point in other["curve"][:at])
            for other in rows[: row["number"]]
            if other["epochs"] >= at
        ]
        assert min(earlier) < row["value"]


def test_without_pruning_every_trial_is_taught_to_its_end(tiny: Callable[..., Any]) -> None:
    rows = tried(tiny(*SEARCHED, "tuning.pruning.kind=none", "tuning.num_trials=3").out("tune/parent"))
    assert [(row["state"], row["epochs"]) for row in rows] == [("complete", 8)] * 3


def test_children_that_share_a_search_are_all_judged_by_it(tiny: Callable[..., Any]) -> None:
    family = tiny(*SEARCHED)
    first = tried(family.out(CHILD))[0]
    assert [row["member"] for row in first["curve"]] == ["rosaceae"] * 8 + ["fagaceae"] * 8
    reached = {
        name: min(row["val_loss"] for row in first["curve"] if row["member"] == name)
        for name in ("rosaceae", "fagaceae")
    }
    watched = {
        name: pq.read_table(family.out(f"select/child/{name}") / "examples.parquet")["split"].to_pylist().count("val")
        for name in reached
    }
    mean = sum(reached[name] * watched[name] for name in reached) / sum(watched.values())
    assert first["value"] == pytest.approx(mean)
    shared = family.plan.stage("train/child/rosaceae").inputs["tune"]
    assert shared == family.plan.stage("train/child/fagaceae").inputs["tune"] == CHILD


def test_a_node_is_taught_with_what_was_found_as_if_one_had_typed_it(tiny: Callable[..., Any]) -> None:
    family = tiny(*SEARCHED)
    found = best(family.out("tune/parent"))
    assert found != {"lr": 0.003, "weight_decay": 0.1}
    typed = tiny(
        "training=head", "training.num_epochs=8", *(f"training.{key}={value!r}" for key, value in found.items())
    )
    tuned_head = (family.out("train/parent") / "head.safetensors").read_bytes()
    assert tuned_head == (typed.out("train/parent") / "head.safetensors").read_bytes()


def test_dotted_keys_reach_the_head_before_a_whole_network(tiny: Callable[..., Any]) -> None:
    keys = space(head_first__num_epochs="{kind: choice, of: [2]}", augmentation__scale_min="{kind: choice, of: [0.9]}")
    family = tiny("training=head_then_full", "training.num_epochs=1", "tuning=quick", "tuning.num_trials=1",
                  *keys, "tuning.per=node")  # fmt: skip
    node = "child/fagaceae"
    assert best(family.out(f"tune/{node}")) == {"head_first.num_epochs": 2, "augmentation.scale_min": 0.9}
    assert json.loads((family.out(f"train/{node}") / "model.json").read_text())["epochs"] == {"head": 2, "network": 1}
    # The head's epochs are no part of the curve: what counts is what the whole network comes to.
    assert [row["epoch"] for row in tried(family.out(f"tune/{node}"))[0]["curve"]] == [1]


def test_a_trial_knows_the_lineages_where_its_loss_may_ask_for_them(tiny: Callable[..., Any], tmp_path: Path) -> None:
    weight = "+tuning.space.rank_weight={kind: float, low: 0, high: 1}"
    family = tiny("training=full", "tuning=quick", weight)
    stage = family.plan.stage("tune/parent")
    examples = {name: family.out(ref) for name, ref in stage.references() if name.startswith("examples/")}
    task = make_task(Settings.model_validate(stage.settings), examples, tmp_path)
    (member,) = task.members.values()
    assert member.with_values({"rank_weight": 0.5}).training.rank_weight == 0.5
    assert member.settings.lineages == family.plan.stage("train/parent").settings["lineages"] is not None


def test_a_grid_tries_every_combination_once(tiny: Callable[..., Any]) -> None:
    keys = space(lr="{kind: choice, of: [0.001, 0.01]}", batch_size="{kind: int, low: 4, high: 8, step: 2}")
    family = tiny(*SEARCHED, "tuning.sampler=grid", "tuning.num_trials=20", *keys)
    rows = tried(family.out("tune/parent"))
    assert sorted((row["params"]["lr"], row["params"]["batch_size"]) for row in rows) == [
        (lr, size) for lr in (0.001, 0.01) for size in (4, 6, 8)
    ]


def test_a_conditional_key_is_there_only_where_its_condition_holds(tiny: Callable[..., Any]) -> None:
    keys = space(
        label_smoothing="{kind: float, low: 0.1, high: 0.2, when: {imbalance: [none]}}",
        imbalance="{kind: choice, of: [none, sqrt]}",
    )
    rows = tried(tiny(*SEARCHED, "tuning.num_trials=10", *keys).out("tune/parent"))
    assert {row["params"]["imbalance"] for row in rows} == {"none", "sqrt"}
    assert all(("label_smoothing" in row["params"]) == (row["params"]["imbalance"] == "none") for row in rows)


ACCURATE = ("tuning.objective=val_top1", "tuning.direction=maximize")


def test_accuracy_is_maximised(tiny: Callable[..., Any]) -> None:
    family = tiny(*SEARCHED, *ACCURATE)
    rows = tried(family.out("tune/parent"))
    found = next(row for row in rows if row["params"] == best(family.out("tune/parent")))
    assert found["value"] == max(row["value"] for row in rows if row["state"] == "complete")
    assert all(row["value"] == max(at["val_top1"] for at in row["curve"]) for row in rows)


HOPELESS = space(lr="{kind: choice, of: [1.0e+30]}")


@pytest.mark.parametrize(
    ("lr", "why", "objective"),
    [
        (1e30, "NotANumber: val_loss is nan after epoch 1", ()),
        (1e30, "NotANumber: val_loss is nan after epoch 1", ACCURATE),  # though some are named right by chance
        (1e38, "RuntimeError: ", ()),
    ],
)
def test_a_trial_that_fails_or_comes_to_no_number_is_written_down_and_the_search_goes_on(
    tiny: Callable[..., Any], tmp_path: Path, lr: float, why: str, objective: tuple[str, ...]
) -> None:
    family = tiny(*SEARCHED, *space(lr=f"{{kind: choice, of: [0.01, {lr}]}}"), "tuning.max_failures=6", *objective)
    heard = Heard()
    family.run("tune/parent", tmp_path / "out", events=heard)
    failed = [row for row in tried(tmp_path / "out") if row["state"] == "failed"]
    assert failed
    assert all(row["params"]["lr"] == lr and row["value"] is None for row in failed)
    assert failed[0]["error"].startswith(why)
    assert f"trial {failed[0]['number']} failed: {failed[0]['error']}" in heard.notes
    assert best(tmp_path / "out") == {"lr": 0.01}
    assert "NaN" not in (tmp_path / "out/notes/trials.json").read_text()  # which is no JSON


def test_more_failures_than_may_be_stop_the_search_and_name_the_last(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(*SEARCHED, *HOPELESS, "tuning.max_failures=1")
    with pytest.raises(StageError, match=r"2 trials failed, the last of them trial 1: NotANumber") as raised:
        family.run("tune/parent", tmp_path / "out")
    assert raised.value.where == "tuning.max_failures"


def test_a_search_without_one_good_trial_ends_in_words(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(*SEARCHED, *HOPELESS, "tuning.max_failures=9", "tuning.num_trials=2")
    with pytest.raises(StageError, match="none of 2 trials came to a number"):
        family.run("tune/parent", tmp_path / "out")


def test_after_its_time_no_trial_begins(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(*SEARCHED, "tuning.max_minutes=0.0001")
    assert len(tried(family.out("tune/parent"))) == 1


def test_a_part_of_the_photographs_is_that_many_of_each_class_and_split(tiny: Callable[..., Any]) -> None:
    from earthsnap_train.training.subset import write_subset

    examples = tiny(*SEARCHED).out("select/parent")
    folder = examples.parent / "subset"
    counts = write_subset(examples, folder, most=2, seed=0)
    rows = pq.read_table(folder / "examples.parquet").to_pylist()
    of_class = [(row["label"], row["split"]) for row in rows]
    assert {split for _, split in of_class} == {"train", "val"}
    assert max(map(of_class.count, of_class)) == 2
    assert dict(counts) == {split: sum(s == split for _, s in of_class) for split in ("train", "val")}
    assert rows == sorted(rows, key=lambda row: row["image_id"])


def test_without_photographs_in_val_a_search_says_so(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny(*SEARCHED)
    shutil.copytree(family.out("select/parent"), tmp_path / "examples")
    table = pq.read_table(tmp_path / "examples" / "examples.parquet")
    no_val = table.filter(pa.compute.not_equal(table["split"], "val"))
    pq.write_table(no_val, tmp_path / "examples" / "examples.parquet")
    with pytest.raises(DataError, match="no photographs in val"):
        family.run("tune/parent", tmp_path / "out", inputs={"examples/all": tmp_path / "examples"})


# ---- test is never seen


def spoilt(folder: Path, inputs: Mapping[str, Path]) -> dict[str, Path]:
    """The inputs of a search with every label, feature and picture of test replaced by nonsense."""
    changed: dict[str, Path] = {}
    for name, path in inputs.items():
        shutil.copytree(path, folder / name)
        changed[name] = folder / name
    tests: set[str] = set()
    for name, path in changed.items():
        if name.startswith("examples/"):
            rows = pq.read_table(path / "examples.parquet")
            tests |= {row["image_id"] for row in rows.to_pylist() if row["split"] == "test"}
            labels = [0 if row["split"] == "test" else row["label"] for row in rows.to_pylist()]
            at = rows.schema.get_field_index("label")
            pq.write_table(rows.set_column(at, "label", pa.array(labels, pa.int32())), path / "examples.parquet")
    assert tests
    for name, path in changed.items():
        if name.startswith("embed/"):
            features_NF = np.load(path / "features.npy")
            image_ids = json.loads((path / "index.json").read_text())["image_ids"]
            features_NF[[image_id in tests for image_id in image_ids]] = np.nan
            np.save(path / "features.npy", features_NF)
        if name.startswith("records/"):
            shard = path / "test.rec"
            shard.write_bytes(b"\xff" * shard.stat().st_size)
    return changed


@pytest.mark.parametrize("method", ["head", "head_then_full"])
def test_nothing_of_test_changes_anything(tiny: Callable[..., Any], tmp_path: Path, method: str) -> None:
    family = tiny(*SEARCHED[1:], f"training={method}", "tuning.num_trials=3", "training.num_epochs=2")
    honest = family.out(CHILD)
    family.run(CHILD, tmp_path / "out", inputs=spoilt(tmp_path / "spoilt", family.inputs(family.plan.stage(CHILD))))
    assert tried(tmp_path / "out") == tried(honest)
    assert best(tmp_path / "out") == best(honest)


# ---- what it survives


class Stopped(Exception):
    pass


class StopAfter(Silence):
    """Stops the search when so many trials have ended."""

    def __init__(self, count: int) -> None:
        self._count = count

    def progress(self, done: int, total: int, unit: str) -> None:
        assert unit == "trials"
        if done >= self._count:
            raise Stopped


@pytest.mark.parametrize("pruning", ["asha", "hyperband", "none"])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_was_stopped_between_trials_tries_what_it_would_have_tried(
    tiny: Callable[..., Any], tmp_path: Path, sampler: str, pruning: str
) -> None:
    family = tiny(*SEARCHED, f"tuning.sampler={sampler}", f"tuning.pruning.kind={pruning}", "tuning.num_trials=8")
    whole = family.out("tune/parent")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for count in (1, 4, 5):
        with pytest.raises(Stopped):
            family.run("tune/parent", tmp_path / f"stopped{count}", scratch=scratch, events=StopAfter(count))
    family.run("tune/parent", tmp_path / "resumed", scratch=scratch)
    assert tried(tmp_path / "resumed") == tried(whole)
    assert (tmp_path / "resumed/best.json").read_bytes() == (whole / "best.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("member", ["rosaceae", "fagaceae"])
def test_a_search_that_was_killed_in_a_trial_tries_what_it_would_have_tried(
    tiny: Callable[..., Any], tmp_path: Path, member: str
) -> None:
    family = tiny(*SEARCHED, "training.num_epochs=60", "tuning.pruning.reduction_factor=3")
    stage = family.plan.stage(CHILD)
    task = {
        "settings": stage.settings,
        "inputs": {name: str(path) for name, path in family.inputs(stage).items()},
        "out": str(tmp_path / "killed"),
        "scratch": str(tmp_path / "scratch"),
    }
    for name in ("killed", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "task.json").write_text(json.dumps(task))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    searching = subprocess.Popen([sys.executable, __file__, str(tmp_path / "task.json")], env=environment)
    whole = next(row["number"] for row in tried(family.out(CHILD)) if row["state"] == "complete")
    while not (tmp_path / f"scratch/trials/{whole:04d}/{member}/curves.jsonl").exists():
        assert searching.poll() is None
        time.sleep(0.002)
    time.sleep(0.05)
    searching.kill()
    assert searching.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed/best.json").exists()
    assert (tmp_path / f"scratch/trials/{whole:04d}").exists()
    family.run(CHILD, tmp_path / "resumed", scratch=tmp_path / "scratch")
    assert tried(tmp_path / "resumed") == tried(family.out(CHILD))
    assert best(tmp_path / "resumed") == best(family.out(CHILD))
    assert not list((tmp_path / "scratch/trials").iterdir())


def _search(task: dict[str, Any]) -> None:
    inputs = {name: Path(path) for name, path in task["inputs"].items()}
    function("tune")(task["settings"], inputs, Path(task["out"]), Context(scratch=Path(task["scratch"])))


if __name__ == "__main__":
    _search(json.loads(Path(sys.argv[1]).read_text()))
