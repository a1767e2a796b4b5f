"""Probabilities in words: fused, named, rolled up."""

import numpy as np
import pytest

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.models.family import Family, Node
from earthsnap_train.serving.answer import Words, fuse
from earthsnap_train.taxonomy.tree import Species, Taxonomy

SPECIES = ("rosa-canina", "rosa-rugosa", "quercus-ilex")
GENUS = {"rosa-canina": "Rosa", "rosa-rugosa": "Rosa", "quercus-ilex": "Quercus"}
TAXONOMY = Taxonomy(
    ranks=("genus",),
    species=tuple(
        Species(
            species_id=one, scientific_name=one.replace("-", " ").capitalize(),
            common_name="dog rose" if one == SPECIES[0] else None, ranks=(("genus", GENUS[one]),),
        )
        for one in sorted(SPECIES)
    ),
)  # fmt: skip
FAMILY = Family(
    architecture="flat",
    nodes={
        "flat": Node(
            targets="species", classes=SPECIES, temperature=1.0, trunk="t", head="h", trunk_multiply_adds=1,
            head_multiply_adds=1,
        )
    },
    species=SPECIES,
    group_of={one: GENUS[one].lower() for one in SPECIES},
    routing=None,
    preprocessing=Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bilinear"),
    unsure_below=0.7,
)  # fmt: skip


def say(*photographs: list[float], top: int = 2, family: Family = FAMILY) -> dict[str, object]:
    species_PS = np.asarray(photographs, dtype=np.float32)
    groups_PG = np.stack([species_PS[:, :2].sum(axis=1), species_PS[:, 2]], axis=1)
    return Words(family, TAXONOMY, top).say(species_PS, groups_PG)


def test_a_certain_species_is_named_with_all_its_names() -> None:
    said = say([0.9, 0.06, 0.04])
    assert said["answer"] == {
        "rank": "species", "name": "rosa-canina", "scientific_name": "Rosa canina", "common_name": "dog rose",
        "probability": 0.9,
    }  # fmt: skip
    assert said["reason"] == "certain"
    assert said["lineage"] == [{"rank": "genus", "name": "Rosa", "probability": 0.96}, said["answer"]]
    assert said["group"] == {"name": "rosa", "probability": 0.96}
    assert said["species"] == [
        {"species_id": "rosa-canina", "scientific_name": "Rosa canina", "common_name": "dog rose", "probability": 0.9,
         "group": "rosa"},
        {"species_id": "rosa-rugosa", "scientific_name": "Rosa rugosa", "common_name": None, "probability": 0.06,
         "group": "rosa"},
    ]  # fmt: skip


def test_an_uncertain_species_rolls_up_to_its_genus() -> None:
    said = say([0.5, 0.45, 0.05])
    assert said["reason"] == "rolled_up"
    assert said["answer"] == {
        "rank": "genus", "name": "Rosa", "scientific_name": "Rosa", "common_name": None, "probability": 0.95,
    }  # fmt: skip


def test_what_is_not_recognised_is_named_nothing_and_still_has_a_lineage() -> None:
    said = say([0.3, 0.3, 0.4])
    assert said["reason"] == "not_recognised"
    assert said["answer"] == dict.fromkeys(("rank", "name", "scientific_name", "common_name", "probability"))
    assert [one["name"] for one in said["lineage"]] == ["Rosa", "rosa-canina"]  # type: ignore[attr-defined]


def test_a_release_may_name_the_nearest_species_first_and_says_the_same_of_taxa() -> None:
    nearest = FAMILY.model_copy(update={"named_first": "least_expected_distance"})
    seen = [0.36, 0.24, 0.4]
    said, usual = (say(seen, top=3, family=family) for family in (nearest, FAMILY))
    for one in (said, *said["photographs"]):  # type: ignore[misc, has-type]
        assert [row["species_id"] for row in one["species"]] == ["rosa-canina", "quercus-ilex", "rosa-rugosa"]
        assert [row["probability"] for row in one["species"]] == [0.36, 0.4, 0.24]
    assert [row["species_id"] for row in usual["species"]] == ["quercus-ilex", "rosa-canina", "rosa-rugosa"]  # type: ignore[attr-defined]
    for part in ("answer", "reason", "lineage", "group"):
        assert said[part] == usual[part]


def test_photographs_of_one_plant_make_each_other_surer_and_each_is_shown_alone() -> None:
    said = say([0.6, 0.35, 0.05], [0.6, 0.05, 0.35])
    assert said["species"][0]["probability"] > 0.6  # type: ignore[index]
    alone = [photograph["species"][0]["probability"] for photograph in said["photographs"]]  # type: ignore[attr-defined]
    assert alone == [0.6, 0.6]


def test_fusing_is_the_normalised_geometric_mean() -> None:
    fused = fuse(np.asarray([[0.8, 0.2, 0.0], [0.2, 0.8, 0.0]], dtype=np.float32))
    assert fused.tolist() == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)
    one = np.asarray([[0.7, 0.2, 0.1]], dtype=np.float32)
    assert fuse(one).tolist() == one[0].tolist()
    assert fuse(np.repeat(one, 5, axis=0)).tolist() == pytest.approx(one[0].tolist(), abs=1e-6)
    order = np.asarray([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], dtype=np.float32)
    assert fuse(order).tolist() == pytest.approx(fuse(order[::-1]).tolist(), abs=1e-7)


def test_one_photograph_that_rules_a_species_out_does_not_decide_alone() -> None:
    fused = fuse(np.asarray([[0.0, 1.0, 0.0], [0.99, 0.005, 0.005], [0.99, 0.005, 0.005]], dtype=np.float32))
    assert np.isfinite(fused).all()
    assert fused.sum() == pytest.approx(1.0)
