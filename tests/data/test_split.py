import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsnap_train.data.split import Photograph, Placement, SplitResult, assign_splits
from earthsnap_train.spec.dataset import Split

STEADY = settings(deadline=None, derandomize=True)

HASHED = Split(val=0.2, test=0.2, min_per_species=0, seed=1)
LEAST_TWO = Split(val=0.1, test=0.1, min_per_species=2, seed=1)


def photographs(num: int, *, species: str = "rose") -> list[Photograph]:
    return [Photograph(f"{species}-{number:04}", species) for number in range(num)]


def assign(
    taken: Sequence[Photograph],
    pairs: Sequence[tuple[str, str]] = (),
    previous: Mapping[str, Placement] | None = None,
    settings: Split = HASHED,
) -> SplitResult:
    return assign_splits(taken, pairs, previous or {}, settings)


def splits(result: SplitResult) -> dict[str, str]:
    return {image_id: placement.split for image_id, placement in result.placements.items()}


@dataclass(frozen=True)
class Collection:
    photographs: tuple[Photograph, ...]
    pairs: tuple[tuple[str, str], ...]
    num_old: int


@st.composite
def collections(draw: st.DrawFn, *, with_user_splits: bool = True) -> Collection:
    """A few species, many shared observations and near duplicates; the first ``num_old`` are an earlier version."""
    num = draw(st.integers(1, 40))
    rng = random.Random(draw(st.integers(0, 10**6)))
    user_splits = (None, None, None, "train", "val", "test") if with_user_splits else (None,)
    taken = tuple(
        Photograph(
            f"image{number:02}",
            f"species{rng.randrange(3)}",
            rng.choice((None, *(f"plant{plant}" for plant in range(6)))),
            rng.choice(user_splits),
        )
        for number in rng.sample(range(99), num)
    )
    ids = [one.image_id for one in taken]
    pairs = tuple((rng.choice(ids), rng.choice(ids)) for _ in range(rng.randrange(12)))
    return Collection(taken, pairs, draw(st.integers(0, num)))


@STEADY
@given(collections(), st.integers(0, 3))
def test_adding_photographs_never_moves_an_old_one(collection: Collection, least: int) -> None:
    settings = Split(val=0.2, test=0.3, min_per_species=least, seed=5)
    old = collection.photographs[: collection.num_old]
    first = assign(old, collection.pairs, settings=settings)
    second = assign(collection.photographs, collection.pairs, first.placements, settings)
    for image_id, placement in first.placements.items():
        assert second.placements[image_id].split == placement.split


@STEADY
@given(collections(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(collection: Collection, rng: random.Random) -> None:
    old = assign(collection.photographs[: collection.num_old], collection.pairs).placements
    expected = assign(collection.photographs, collection.pairs, old, LEAST_TWO)
    taken, pairs, previous = list(collection.photographs), [*collection.pairs], list(old.items())
    for one in (taken, pairs, previous):
        rng.shuffle(one)
    turned = [(b, a) for a, b in pairs]
    assert assign(taken, turned, dict(previous), LEAST_TWO) == expected


@STEADY
@given(collections())
def test_no_cluster_spans_two_splits(collection: Collection) -> None:
    old = assign(collection.photographs[: collection.num_old], collection.pairs, settings=LEAST_TWO).placements
    result = assign(collection.photographs, collection.pairs, old, LEAST_TWO)
    splits_of = defaultdict(set)
    for placement in result.placements.values():
        splits_of[placement.cluster_id].add(placement.split)
    assert all(len(found) == 1 for found in splits_of.values())


@STEADY
@given(collections(with_user_splits=False))
def test_what_belongs_together_lands_in_one_cluster(collection: Collection) -> None:
    result = assign(collection.photographs, collection.pairs, settings=LEAST_TWO)
    assert len(result.placements) == len(collection.photographs)
    for a, b in collection.pairs:
        assert result.placements[a] == result.placements[b]
    by_plant = {(one.species_id, one.observation_id): result.placements[one.image_id] for one in collection.photographs}
    for one in collection.photographs:
        if one.observation_id:
            assert result.placements[one.image_id] == by_plant[one.species_id, one.observation_id]


@STEADY
@given(collections())
def test_every_photograph_is_placed_or_set_aside(collection: Collection) -> None:
    old = assign(collection.photographs[: collection.num_old], collection.pairs).placements
    result = assign(collection.photographs, collection.pairs, old)
    assert sorted([*result.placements, *result.set_aside]) == sorted(one.image_id for one in collection.photographs)
    assert not set(result.set_aside) & set(old)


@STEADY
@given(collections())
def test_the_users_split_is_respected(collection: Collection) -> None:
    placed = splits(assign(collection.photographs, collection.pairs, settings=LEAST_TWO))
    for one in collection.photographs:
        if one.user_split:
            assert placed[one.image_id] == one.user_split


def test_shares_are_about_as_declared() -> None:
    found = Counter(splits(assign(photographs(4000))).values())
    assert found["val"] / 4000 == pytest.approx(0.2, abs=0.02)
    assert found["test"] / 4000 == pytest.approx(0.2, abs=0.02)


def test_another_seed_gives_another_split() -> None:
    other = HASHED.model_copy(update={"seed": 2})
    assert splits(assign(photographs(100))) != splits(assign(photographs(100), settings=other))


def test_a_new_photograph_joins_the_split_of_its_observation() -> None:
    for split in ("train", "val", "test"):
        old = {"a": Placement(split, "c1")}
        result = assign([Photograph("a", "rose", "plant"), Photograph("b", "rose", "plant")], previous=old)
        assert result.placements["b"] == Placement(split, "c1")


def test_one_observation_number_under_two_species_is_two_observations() -> None:
    result = assign([Photograph("a", "rose", "1"), Photograph("b", "lily", "1")])
    assert result.placements["a"].cluster_id != result.placements["b"].cluster_id


def test_a_new_photograph_between_two_splits_is_set_aside() -> None:
    old = {"a": Placement("train", "c1"), "b": Placement("test", "c2")}
    taken = [Photograph("a", "rose"), Photograph("b", "rose"), Photograph("new", "rose")]
    result = assign(taken, [("a", "new"), ("new", "b")], old)
    assert result.set_aside == ("new",)
    assert result.placements == old
    assert result.findings[0].related == ("a", "b")
    assert result.findings[0].detail == "belongs with photographs of test and of train"


def test_without_the_bridge_its_companions_join_the_one_split_they_touch() -> None:
    old = {"a": Placement("train", "c1"), "b": Placement("test", "c2")}
    taken = [Photograph("a", "rose", "plant"), Photograph("b", "rose")]
    taken += [Photograph("bridge", "rose", "plant"), Photograph("companion", "rose", "plant")]
    result = assign(taken, [("bridge", "b")], old)
    assert result.set_aside == ("bridge",)
    assert result.placements["companion"] == Placement("train", "c1")


def test_a_chain_of_new_photographs_between_two_splits_is_set_aside_whole() -> None:
    old = {"a": Placement("train", "c1"), "b": Placement("test", "c2")}
    taken = [Photograph(name, "rose") for name in ("a", "x", "y", "b")]
    result = assign(taken, [("a", "x"), ("x", "y"), ("y", "b")], old)
    assert result.set_aside == ("x", "y")


def test_two_old_clusters_that_turn_out_to_be_one_take_the_lesser_id() -> None:
    old = {"a": Placement("train", "c2"), "b": Placement("train", "c1")}
    result = assign([Photograph("a", "rose"), Photograph("b", "rose")], [("a", "b")], old)
    assert {one.cluster_id for one in result.placements.values()} == {"c1"}


def test_two_old_clusters_of_two_splits_stay_apart_and_are_reported() -> None:
    old = {"a": Placement("train", "c1"), "b": Placement("test", "c2")}
    result = assign([Photograph("a", "rose"), Photograph("b", "rose")], [("a", "b")], old)
    assert result.placements == old
    assert [(one.code, one.image_id, one.related) for one in result.findings] == [("leak_across_splits", "a", ("b",))]


def test_a_leak_in_the_users_own_split_is_reported_and_left() -> None:
    taken = [Photograph("a", "rose", "plant", "train"), Photograph("b", "rose", "plant", "val")]
    result = assign(taken)
    assert splits(result) == {"a": "train", "b": "val"}
    (finding,) = result.findings
    assert (finding.code, finding.related) == ("leak_across_splits", ("b",))
    assert finding.detail == "is in train; what belongs with it is in val"


def test_a_user_who_changes_the_split_of_an_old_photograph_is_told_that_it_stays() -> None:
    result = assign([Photograph("a", "rose", None, "test")], previous={"a": Placement("train", "c1")})
    assert splits(result) == {"a": "train"}
    assert [one.code for one in result.findings] == ["user_split_changed"]


def test_a_cluster_keeps_its_id_when_its_founder_is_gone_and_the_founder_returns_under_another() -> None:
    first = assign(photographs(2), [("rose-0000", "rose-0001")])
    without_founder = assign(photographs(2)[1:], previous=first.placements)
    assert without_founder.placements["rose-0001"] == first.placements["rose-0001"]
    returned = assign(photographs(2), previous=without_founder.placements)
    assert returned.placements["rose-0000"].cluster_id != returned.placements["rose-0001"].cluster_id


@pytest.mark.parametrize(
    ("num", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "test": 1}),
        (3, {"train": 1, "test": 1, "val": 1}),
        (6, {"train": 2, "test": 2, "val": 2}),
        (10, {"train": 6, "test": 2, "val": 2}),
    ],
)
def test_each_species_gets_its_least_without_starving_train(num: int, expected: dict[str, int]) -> None:
    settings = Split(val=0.01, test=0.01, min_per_species=2, seed=3)
    assert Counter(splits(assign(photographs(num), settings=settings)).values()) == expected


def test_a_species_whose_photographs_all_hash_to_test_still_trains() -> None:
    settings = Split(val=0.01, test=0.98, min_per_species=1, seed=3)
    assert Counter(splits(assign(photographs(5), settings=settings)).values()) == {"train": 1, "val": 1, "test": 3}


def test_the_larger_part_of_a_species_is_never_taken_from_train() -> None:
    taken = [Photograph(f"many-{number}", "rose", "big plant") for number in range(9)] + [Photograph("one", "rose")]
    settings = Split(val=0.01, test=0.01, min_per_species=1, seed=3)
    placed = splits(assign(taken, settings=settings))
    assert placed["one"] == "test"
    assert placed["many-0"] == "train"


def test_a_species_that_cannot_reach_its_least_is_named() -> None:
    result = assign(photographs(2), settings=LEAST_TWO)
    assert [(one.species_id, one.split, one.num_photographs) for one in result.short] == [
        ("rose", "val", 0),
        ("rose", "test", 1),
    ]


def test_a_split_that_is_not_wanted_need_not_be_filled() -> None:
    settings = Split(val=0, test=0.2, min_per_species=2, seed=1)
    result = assign(photographs(20), settings=settings)
    assert "val" not in splits(result).values()
    assert result.short == ()


def test_shares_that_leave_nothing_for_train_are_refused() -> None:
    with pytest.raises(ValueError, match="leave nothing for train"):
        Split(val=0.5, test=0.5, min_per_species=0, seed=1)
