"""What lineages say of classes: who is in which taxon, and who is near whom."""

from itertools import pairwise

import numpy as np
import pytest

from earthsnap_train.taxonomy.tree import Species, Taxonomy
from earthsnap_train.training.lineages import Lineages, classes_of_taxa, relatives

# Two roses, a rowan, two oaks of which one's genus is not known: (family, genus).
GARDEN: Lineages = [
    ("rosaceae", "rosa"), ("rosaceae", "rosa"), ("rosaceae", "sorbus"), ("fagaceae", "quercus"), ("fagaceae", None),
]  # fmt: skip


def test_a_taxon_holds_its_classes_and_an_unknown_one_its_class_alone() -> None:
    assert classes_of_taxa(GARDEN).T.tolist() == [
        [1, 1, 1, 0, 0], [0, 0, 0, 1, 1],  # families
        [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1],  # genera
    ]  # fmt: skip


def test_each_distance_at_which_others_stand_gives_an_equal_part_to_all_within() -> None:
    shares_CC = relatives(GARDEN)
    # The first rose: the genus has one other, the family two, the garden four.
    assert shares_CC[0] == pytest.approx([0, (1 + 1 / 2 + 1 / 4) / 3, (1 / 2 + 1 / 4) / 3, 1 / 12, 1 / 12])
    # The rowan is alone in its genus: that distance gives nothing away.
    assert shares_CC[2] == pytest.approx([(1 / 2 + 1 / 4) / 2, (1 / 2 + 1 / 4) / 2, 0, 1 / 8, 1 / 8])
    assert shares_CC.sum(axis=1) == pytest.approx(np.ones(5))


def test_a_nearer_class_never_gets_less_than_a_farther_one() -> None:
    generator = np.random.default_rng(0)
    families = generator.integers(0, 4, size=40)
    genera = [f"{family}/{generator.integers(0, 5)}" if generator.random() > 0.2 else None for family in families]
    lineages = [(str(family), genus) for family, genus in zip(families, genera, strict=True)]
    names = [f"s{number:02d}" for number in range(40)]
    taxonomy = Taxonomy(
        ranks=("family", "genus"),
        species=tuple(
            Species(species_id=name, scientific_name=name, common_name=None,
                    ranks=tuple((r, t) for r, t in zip(("family", "genus"), taxa, strict=True) if t is not None))
            for name, taxa in zip(names, lineages, strict=True)
        ),
    )  # fmt: skip
    shares_CC = relatives(lineages)
    for row, name in enumerate(names):
        distances = np.array([taxonomy.distance(name, other) for other in names])
        by_distance = [shares_CC[row][distances == d] for d in sorted(set(distances[distances > 0]))]
        assert all(np.ptp(shares) < 1e-6 for shares in by_distance)
        assert all(near[0] > far[0] for near, far in pairwise(by_distance))


def test_a_single_class_has_no_relatives() -> None:
    assert relatives([("rosaceae", "rosa")]).tolist() == [[0]]
