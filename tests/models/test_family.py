"""How nodes' probabilities become one for every species."""

import json

import numpy as np
import pytest

from earthsnap_train.data.preprocess import Preprocessing
from earthsnap_train.models.family import Family, Floats, Node, softmax
from earthsnap_train.spec.architecture import Routing

GROUP_OF = {
    "oak-1": "oaks",
    "oak-2": "oaks",
    "rose-1": "roses",
    "rose-2": "roses",
    "rose-3": "roses",
    "ginkgo": "ginkgos",
}
SPECIES = tuple(GROUP_OF)
GROUPS = ("oaks", "roses", "ginkgos")


def node(targets: str, classes: tuple[str, ...], *, trunk: str = "t") -> Node:
    return Node.model_validate(
        {"targets": targets, "classes": classes, "temperature": 1.0, "trunk": trunk, "head": "/".join(classes),
         "trunk_multiply_adds": 100, "head_multiply_adds": len(classes)}
    )  # fmt: skip


def members(group: str) -> tuple[str, ...]:
    return tuple(s for s in SPECIES if GROUP_OF[s] == group)


def family(
    *, targets: str = "groups", kind: str = "soft", top_k: int = 3, mass: float = 0.98, parent_weight: float = 0.0
) -> Family:
    # A class order other than the species' own, as it is once species were appended.
    classes = tuple(reversed(SPECIES if targets == "species" else GROUPS))
    children = {f"child/{g}": node("species", members(g)) for g in GROUPS if len(members(g)) > 1}
    return Family(
        architecture="parent_child",
        nodes={"parent": node(targets, classes), **children},
        species=SPECIES,
        group_of=GROUP_OF,
        routing=Routing.model_validate({"kind": kind, "top_k": top_k, "mass": mass, "parent_weight": parent_weight}),
        preprocessing=Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bilinear"),
    )


def groups(**probabilities: float) -> Floats:
    """[1, G] in the reversed order of ``family``'s parent."""
    return np.array([[probabilities[g] for g in reversed(GROUPS)]], dtype=np.float32)


def ask(one: Family, root_BC: Floats, says: dict[str, list[float]]) -> dict[str, float]:
    """The family's answer to one photograph where each child that is asked says what it says."""
    chosen_BG = one.children_to_run(one.group_probabilities(root_BC))
    asked = {
        group: (np.array([0]), np.array([says[group]], dtype=np.float32))
        for place, group in enumerate(one.groups)
        if chosen_BG[0, place]
    }
    return dict(zip(one.species, one.species_probabilities(root_BC, asked)[0].tolist(), strict=True))


SAYS = {"oaks": [0.5, 0.5], "roses": [0.7, 0.2, 0.1], "ginkgos": [1.0]}


def test_a_species_is_as_likely_as_its_group_times_itself_within() -> None:
    answer = ask(family(), groups(oaks=0.6, roses=0.3, ginkgos=0.1), SAYS)
    expected = {"oak-1": 0.3, "oak-2": 0.3, "rose-1": 0.21, "rose-2": 0.06, "rose-3": 0.03, "ginkgo": 0.1}
    assert answer == pytest.approx(expected, abs=1e-6)


def test_groups_beyond_top_k_are_divided_by_the_parent() -> None:
    answer = ask(family(top_k=1), groups(oaks=0.6, roses=0.3, ginkgos=0.1), SAYS)
    expected = {"oak-1": 0.3, "oak-2": 0.3, "rose-1": 0.1, "rose-2": 0.1, "rose-3": 0.1, "ginkgo": 0.1}
    assert answer == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("top_k", "mass", "expected"),
    [(3, 1.0, ["oaks", "roses", "ginkgos"]), (3, 0.95, ["oaks", "roses", "ginkgos"]), (3, 0.9, ["oaks", "roses"]),
     (3, 0.5, ["oaks"]), (2, 1.0, ["oaks", "roses"]), (1, 1.0, ["oaks"])],
)  # fmt: skip
def test_children_run_until_enough_mass_is_covered(top_k: int, mass: float, expected: list[str]) -> None:
    one = family(top_k=top_k, mass=mass)
    chosen_BG = one.children_to_run(one.group_probabilities(groups(oaks=0.5, roses=0.41, ginkgos=0.09)))
    assert [g for g, chosen in zip(one.groups, chosen_BG[0], strict=True) if chosen] == expected


def test_hard_routing_believes_the_first_group_alone() -> None:
    answer = ask(family(kind="hard"), groups(oaks=0.4, roses=0.5, ginkgos=0.1), SAYS)
    expected = {"oak-1": 0, "oak-2": 0, "rose-1": 0.7, "rose-2": 0.2, "rose-3": 0.1, "ginkgo": 0}
    assert answer == pytest.approx(expected, abs=1e-6)


def test_hard_routing_to_a_group_of_one_species_names_it() -> None:
    answer = ask(family(kind="hard"), groups(oaks=0.2, roses=0.1, ginkgos=0.7), SAYS)
    assert answer["ginkgo"] == pytest.approx(1.0)


def test_a_parent_taught_species_routes_on_their_sum() -> None:
    one = family(targets="species", top_k=1)
    root_BC = np.array([[0.1, 0.25, 0.2, 0.15, 0.25, 0.05]], dtype=np.float32)  # ginkgo, rose-3, -2, -1, oak-2, -1
    assert one.group_probabilities(root_BC)[0].tolist() == pytest.approx([0.3, 0.6, 0.1])
    answer = ask(one, root_BC, SAYS)
    # The roses as their child says, the others as the parent itself does.
    expected = {"oak-1": 0.05, "oak-2": 0.25, "rose-1": 0.42, "rose-2": 0.12, "rose-3": 0.06, "ginkgo": 0.1}
    assert answer == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("targets", ["groups", "species"])
@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_probabilities_always_sum_to_one(targets: str, kind: str, top_k: int) -> None:
    one = family(targets=targets, kind=kind, top_k=top_k, mass=0.8)
    generator = np.random.default_rng(0)
    num_classes = len(one.root.classes)
    root_BC = softmax(generator.normal(0, 3, size=(64, num_classes)).astype(np.float32))
    chosen_BG = one.children_to_run(one.group_probabilities(root_BC))
    asked = {}
    for place, group in enumerate(one.groups):
        rows_N = np.flatnonzero(chosen_BG[:, place])
        logits_NM = generator.normal(size=(len(rows_N), len(one.members(group)))).astype(np.float32)
        asked[group] = (rows_N, softmax(logits_NM))
    species_BS = one.species_probabilities(root_BC, asked)
    assert species_BS.sum(axis=1).tolist() == pytest.approx([1.0] * 64, abs=1e-5)
    assert (species_BS >= 0).all()
    assert species_BS.dtype == np.float32


def test_a_flat_family_answers_with_its_one_node() -> None:
    classes = tuple(reversed(SPECIES))
    flat = Family(
        architecture="flat", nodes={"flat": node("species", classes)}, species=SPECIES, group_of=GROUP_OF, routing=None,
        preprocessing=Preprocessing(image_px=32, crop_fraction=1.0, interpolation="bilinear"),
    )  # fmt: skip
    root_BC = np.array([[0.3, 0.25, 0.2, 0.1, 0.1, 0.05]], dtype=np.float32)
    assert not flat.children_to_run(flat.group_probabilities(root_BC)).any()
    assert flat.species_probabilities(root_BC, {})[0].tolist() == pytest.approx(root_BC[0, ::-1].tolist())


def test_a_family_survives_its_own_json() -> None:
    assert Family.model_validate_json(family().model_dump_json()) == family()


# ---- a parent that was kept while species came and went


def kept_parent(classes: tuple[str, ...], *, gone: dict[str, str] | None = None, targets: str = "species") -> Family:
    one = family(top_k=1)
    parent = node(targets, classes).model_copy(update={"gone": gone or {}})
    return one.model_copy(update={"nodes": {**one.nodes, "parent": parent}})


def test_a_species_that_the_parent_was_not_taught_has_its_mass_from_the_group_and_its_child() -> None:
    one = kept_parent(("rose-1", "rose-2", "oak-1", "oak-2", "ginkgo"))
    answer = ask(one, np.array([[0.4, 0.2, 0.1, 0.2, 0.1]], dtype=np.float32), SAYS)
    # The roses' 0.6 as their child divides it, rose-3 like any other; the oaks as the parent does.
    expected = {"oak-1": 0.1, "oak-2": 0.2, "rose-1": 0.42, "rose-2": 0.12, "rose-3": 0.06, "ginkgo": 0.1}
    assert answer == pytest.approx(expected, abs=1e-6)


def test_where_its_child_is_not_asked_such_a_species_has_an_equal_part_of_the_group() -> None:
    one = kept_parent(("rose-1", "rose-2", "oak-1", "oak-2", "ginkgo"))
    answer = ask(one, np.array([[0.2, 0.1, 0.5, 0.1, 0.1]], dtype=np.float32), SAYS)
    # A third of the roses' 0.3 is rose-3's; the others share the rest two to one, as the parent does.
    assert answer == pytest.approx(
        {"oak-1": 0.3, "oak-2": 0.3, "rose-1": 0.2 * 2 / 3, "rose-2": 0.1 * 2 / 3, "rose-3": 0.1, "ginkgo": 0.1},
        abs=1e-6,
    )


def test_the_mass_of_a_class_that_is_gone_goes_to_the_group_that_has_what_it_had() -> None:
    one = kept_parent((*SPECIES, "oak-3"), gone={"oak-3": "roses"})
    root_BC = np.array([[0.1, 0.1, 0.2, 0.1, 0.1, 0.1, 0.3]], dtype=np.float32)
    assert one.group_probabilities(root_BC)[0].tolist() == pytest.approx([0.2, 0.7, 0.1])
    assert ask(one, root_BC, SAYS)["rose-1"] == pytest.approx(0.7 * 0.7)


def test_the_mass_of_a_class_that_nothing_has_come_of_is_shared_by_all() -> None:
    one = kept_parent((*SPECIES, "fern"))
    root_BC = np.array([[0.05, 0.05, 0.1, 0.1, 0.1, 0.1, 0.5]], dtype=np.float32)
    assert one.group_probabilities(root_BC)[0].tolist() == pytest.approx([0.2, 0.6, 0.2])
    assert ask(one, root_BC, SAYS)["ginkgo"] == pytest.approx(0.2)


@pytest.mark.parametrize("targets", ["groups", "clusters"])
def test_a_parent_of_groups_or_of_their_parts_takes_leave_of_a_group(targets: str) -> None:
    classes = tuple(f"{name}/1" if targets == "clusters" else name for name in (*GROUPS, "ferns"))
    gone = {} if targets == "clusters" else {"ferns": "ginkgos"}
    one = kept_parent(classes, gone=gone, targets=targets)
    expected = [0.5, 0.375, 0.125] if targets == "clusters" else [0.4, 0.3, 0.3]
    root_BC = np.array([[0.4, 0.3, 0.1, 0.2]], dtype=np.float32)
    assert one.group_probabilities(root_BC)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("root", [[0, 0, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0], [0.5, 0.5, 0, 0, 0, 0]])
def test_a_kept_parents_probabilities_sum_to_one_however_sure_it_is(root: list[float]) -> None:
    one = kept_parent(("rose-1", "rose-2", "oak-1", "oak-2", "ginkgo", "fern"))
    answer = ask(one, np.array([root], dtype=np.float32), SAYS)
    assert sum(answer.values()) == pytest.approx(1.0, abs=1e-5)
    assert min(answer.values()) >= 0


def test_a_node_says_of_what_is_gone_only_where_something_is() -> None:
    assert "gone" not in node("species", SPECIES).model_dump_json()
    kept = kept_parent(SPECIES[:5], gone={"fern": "oaks"})
    assert Family.model_validate_json(kept.model_dump_json()) == kept


def test_a_parent_taught_species_has_a_say_in_how_a_group_is_divided() -> None:
    one = family(targets="species", parent_weight=0.5)
    parent = {"oak-1": 0.4, "oak-2": 0.4, "rose-1": 0.05, "rose-2": 0.05, "rose-3": 0.05, "ginkgo": 0.05}
    root_BC = np.array([[parent[name] for name in one.root.classes]], dtype=np.float32)
    said = ask(one, root_BC, {"oaks": [0.9, 0.1], "roses": [1 / 3, 1 / 3, 1 / 3], "ginkgos": [1.0]})
    # Of 0.9 and 0.1 beside equal halves, the geometric means are 3 to 1.
    assert said["oak-1"] == pytest.approx(0.8 * 0.75, abs=1e-4)
    assert said["oak-2"] == pytest.approx(0.8 * 0.25, abs=1e-4)
    assert sum(said.values()) == pytest.approx(1, abs=1e-5)


def test_a_parent_that_knows_groups_alone_leaves_the_division_to_the_child() -> None:
    root_BC = groups(oaks=0.8, roses=0.1, ginkgos=0.1)
    says = {"oaks": [0.9, 0.1], "roses": [0.5, 0.25, 0.25], "ginkgos": [1.0]}
    assert ask(family(parent_weight=0.5), root_BC, says) == ask(family(), root_BC, says)


def test_a_release_says_what_it_names_first_only_where_that_is_not_the_likeliest_as_in_older_ones() -> None:
    assert family().named_first == "likeliest"
    assert "named_first" not in family().model_dump_json()
    nearest = family().model_copy(update={"named_first": "least_expected_distance"})
    assert Family.model_validate_json(nearest.model_dump_json()) == nearest != family()


def test_a_release_from_before_parents_had_a_say_is_read_as_it_was_made() -> None:
    written = json.loads(family().model_dump_json())
    del written["routing"]["parent_weight"]
    assert Family.model_validate(written) == family()
