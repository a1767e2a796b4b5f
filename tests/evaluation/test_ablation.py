"""What a changed part is worth is measured on the same photographs as the family itself."""

import numpy as np

from earthsnap_train.evaluation.ablation import variations
from earthsnap_train.taxonomy.tree import Species, Taxonomy

SPECIES = ("rosa-canina", "rosa-rugosa", "quercus-ilex")
GROUP_OF = {"rosa-canina": "rosaceae", "rosa-rugosa": "rosaceae", "quercus-ilex": "fagaceae"}


def taxonomy() -> Taxonomy:
    rows = [
        Species(species_id=one, scientific_name=one, common_name=None, ranks=(("family", GROUP_OF[one]),))
        for one in sorted(SPECIES)
    ]
    return Taxonomy(ranks=("family",), species=tuple(rows))


def named(first: list[int]) -> np.ndarray:
    p_BS = np.full((len(first), 3), 0.1, dtype=np.float32)
    p_BS[np.arange(len(first)), first] = 0.8
    return p_BS


def test_a_difference_is_paired_and_that_of_the_declared_family_is_none() -> None:
    truth = np.asarray(SPECIES * 20)
    right = [0, 1, 2] * 20
    worse = [0, 0, 2] * 20
    declared, _, changed = variations(
        SPECIES, truth, {"as declared": named(right), "hard routing": named(worse)}, taxonomy(), GROUP_OF,
        np.arange(60), "likeliest",
    )  # fmt: skip
    assert (declared.name, declared.top1, declared.minus_declared) == ("as declared", 1.0, None)
    assert changed.top1 == 40 / 60
    assert changed.macro_recall == 40 / 60
    assert changed.mistake_severity == 1.0
    assert changed.minus_declared is not None
    assert changed.minus_declared.low < changed.minus_declared.value == -20 / 60 < changed.minus_declared.high < 0


def test_the_other_way_to_choose_what_is_named_first_is_a_part_too() -> None:
    truth = np.asarray(["rosa-rugosa", "quercus-ilex", "quercus-ilex"])
    p_BS = np.asarray([[0.36, 0.24, 0.4]] * 3, dtype=np.float32)  # the oak is likelier, and a rose nearer
    others = {}
    for by in ("likeliest", "least_expected_distance"):
        declared, other = variations(SPECIES, truth, {"as declared": p_BS}, taxonomy(), GROUP_OF, np.arange(3), by)
        others[by] = (declared.top1 * 3, other.name, other.top1 * 3, other.mistake_severity)
        assert other.minus_declared is not None
        assert other.minus_declared.value == other.top1 - declared.top1
    assert others == {
        "likeliest": (2, "least expected distance named first", 0, 5 / 3),
        "least_expected_distance": (0, "likeliest named first", 2, 2),
    }
