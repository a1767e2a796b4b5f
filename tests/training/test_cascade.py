"""A family of heads in memory: who depends on whom, and what its parent is taught."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from earthsnap_train.spec.architecture import Heads, Routing
from earthsnap_train.training.cascade import Cascade, Shown, Solved, Targets, clusters_of, solve_node
from earthsnap_train.training.logistic import Lesson

GROUPS: Mapping[str, Sequence[str]] = {"rosaceae": ("a", "b", "c", "d"), "fagaceae": ("e", "f"), "ginkgoaceae": ("g",)}
GROUP_OF = {one: group for group, members in GROUPS.items() for one in members}
LESSON = Lesson(
    heads=Heads(roots=False, whitening=0.0, imbalance="none", weight_decay=0.001, max_iterations=100),
    label_smoothing=0.0,
)
SOFT = Routing(kind="soft", top_k=3, mass=1.0, parent_weight=0.0)


def shown(each: int, seed: int) -> Shown:
    """Groups lie far apart, a and b near one another and far from c and d."""
    rng = np.random.default_rng(seed)
    places = {"a": (0, 0), "b": (0, 1.5), "c": (6, 0), "d": (6, 1.5), "e": (0, 30), "f": (0, 33), "g": (40, 0)}
    names = np.repeat(sorted(places), each)
    centres_NF = np.asarray([places[name] for name in names.tolist()], dtype=np.float64)
    features_NVF = (centres_NF + rng.normal(0, 0.6, size=centres_NF.shape))[:, None].astype(np.float32)
    return Shown(features_NVF=features_NVF, species_N=names.astype(np.str_))


def cascade(targets: Targets, train: Shown, routing: Routing = SOFT) -> Cascade:
    class_of = {
        "species": {one: one for one in GROUP_OF},
        "groups": GROUP_OF,
        "clusters": clusters_of(train, GROUPS, species_per_cluster=2),
    }
    return Cascade(
        parent=solve_node(train, class_of[targets], LESSON, targets=targets),
        children={g: solve_node(train, {m: m for m in ms}, LESSON) for g, ms in GROUPS.items() if len(ms) > 1},
        groups=GROUPS,
        routing=routing,
    )


def test_look_alikes_of_a_group_are_one_cluster() -> None:
    class_of = clusters_of(shown(20, 0), GROUPS, species_per_cluster=2)
    assert class_of["a"] == class_of["b"] != class_of["c"] == class_of["d"]
    assert class_of["e"] == class_of["f"] == "fagaceae/1"
    assert {name.rpartition("/")[0] for name in class_of.values()} == set(GROUPS)


def test_a_child_is_the_same_to_the_byte_whatever_other_groups_are_shown() -> None:
    child = {one: one for one in GROUPS["fagaceae"]}
    alone = solve_node(shown(20, 0).of(child), child, LESSON)
    among = solve_node(shown(20, 0), child, LESSON)
    assert alone.head.weight_CF.tobytes() == among.head.weight_CF.tobytes()


@pytest.mark.parametrize("targets", ["species", "clusters", "groups"])
def test_whatever_the_parent_is_taught_the_family_names_species_and_sums_to_one(targets: Targets) -> None:
    family = cascade(targets, shown(20, 0))
    unseen = shown(20, 1)
    answer = family.answer(unseen.as_served)
    species = np.asarray(family.family().species)
    assert np.allclose(answer.species_BS.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(answer.groups_BG.sum(axis=1), 1, atol=1e-5)
    assert (species[answer.species_BS.argmax(axis=1)] == unseen.species_N).mean() > 0.85
    assert (np.asarray(family.family().groups)[answer.groups_BG.argmax(axis=1)]
            == [GROUP_OF[one] for one in unseen.species_N.tolist()]).mean() > 0.97  # fmt: skip


def test_the_surprise_is_that_of_the_true_species() -> None:
    family, unseen = cascade("species", shown(20, 0)), shown(20, 1)
    place = {one: at for at, one in enumerate(family.family().species)}
    p_BS = family.answer(unseen.as_served).species_BS
    truth = [p_BS[row, place[one]] for row, one in enumerate(unseen.species_N.tolist())]
    assert family.surprise(unseen) == pytest.approx(-np.log(truth).mean(), abs=1e-5)


def test_a_temperature_is_fitted_on_a_nodes_own_photographs_alone() -> None:
    train, val = shown(20, 0), shown(20, 1)
    child = solve_node(train, {one: one for one in GROUPS["rosaceae"]}, LESSON)
    on_all, on_own = child.calibrated(val), child.calibrated(val.of(GROUPS["rosaceae"]))
    assert on_all.temperature == on_own.temperature != 1.0


def test_a_photograph_is_served_by_the_mean_of_its_views() -> None:
    both = Shown(features_NVF=np.asarray([[[1.0, 2.0], [3.0, 6.0]]], dtype=np.float32), species_N=np.asarray(["a"]))
    assert both.as_served.tolist() == [[2.0, 4.0]]


def test_classes_come_in_the_order_in_which_they_are_declared() -> None:
    solved: Solved = solve_node(shown(5, 0), {"f": "f", "e": "e"}, LESSON)
    assert solved.head.classes == ("f", "e")
    assert solved.labels_of(np.asarray(["e", "f"])).tolist() == [1, 0]


def test_a_species_without_a_photograph_to_learn_from_is_in_some_cluster() -> None:
    class_of = clusters_of(shown(20, 0).of("abcefg"), GROUPS, species_per_cluster=2)
    assert set(class_of) == set(GROUP_OF)
