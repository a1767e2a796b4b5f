"""What each node is taught from and judged on."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from earthsnap_train.data.examples import Examples

ROSES = ["rosa-canina", "rosa-rugosa", "sorbus-aria"]


def test_a_child_has_its_own_species_and_labels_are_places_in_its_classes(tiny: Callable[..., Any]) -> None:
    out = tiny("training=head").out("select/child/rosaceae")
    examples = Examples.read(out)
    assert json.loads((out / "classes.json").read_text()) == ROSES
    assert [ROSES[label] for label in examples.labels] == list(examples.species_ids)
    assert list(examples.image_ids) == sorted(examples.image_ids)
    assert Counter(examples.species_ids) == dict.fromkeys(ROSES, 12)


def test_a_parent_may_be_taught_groups(tiny: Callable[..., Any]) -> None:
    out = tiny("training=head", "architecture.parent.targets=groups").out("select/parent")
    classes = json.loads((out / "classes.json").read_text())
    examples = Examples.read(out)
    assert set(classes) == {"rosaceae", "fagaceae", "ginkgoaceae"}
    named = {species: classes[label] for species, label in zip(examples.species_ids, examples.labels, strict=True)}
    assert named["sorbus-aria"] == "rosaceae"
    assert named["ginkgo-biloba"] == "ginkgoaceae"


def test_a_sample_is_of_train_alone_equal_for_groups_and_grows_without_change(
    tiny: Callable[..., Any], tmp_path: Path
) -> None:
    family = tiny("training=head", "architecture.parent.max_images_per_group=5")
    whole = Examples.read(tiny("training=head").out("select/parent"))
    sampled = Examples.read(family.out("select/parent"))
    group_of = {s: g for g in ("rosaceae", "fagaceae", "ginkgoaceae")
                for s in Examples.read(family.out(f"select/child/{g}")).species_ids}  # fmt: skip
    assert Counter(group_of[s] for s in sampled.of("train").species_ids) == dict.fromkeys(set(group_of.values()), 5)
    for split in ("val", "test"):
        assert sampled.of(split).image_ids == whole.of(split).image_ids
    family.run("select/parent", tmp_path / "larger", settings={"max_train_per_group": 6})
    assert set(sampled.image_ids) < set(Examples.read(tmp_path / "larger").image_ids)
    family.run("select/parent", tmp_path / "other", settings={"seed": 1})
    assert set(Examples.read(tmp_path / "other").image_ids) != set(sampled.image_ids)


def test_some_splits_keep_their_order_and_none_is_nothing(tiny: Callable[..., Any]) -> None:
    examples = Examples.read(tiny("training=head").out("select/flat"))
    both = examples.of("val", "train")
    assert list(both.image_ids) == [
        i for i, s in zip(examples.image_ids, examples.splits, strict=True) if s in ("val", "train")
    ]
    assert len(examples.of()) == 0
