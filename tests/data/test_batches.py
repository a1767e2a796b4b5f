from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earthsnap_train.data.batches import Balance, Picks, SequentialBatches, ShuffledBatches
from earthsnap_train.errors import ConfigError

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


def shuffled(**changes: object) -> ShuffledBatches:
    return ShuffledBatches(**({"labels": LABELS, "batch_size": 8, "seed": 3, "num_steps": 40} | changes))  # type: ignore[arg-type]


def pairs(batches: object) -> list[tuple[int, int]]:
    return [(int(p), int(v)) for picks in batches for p, v in zip(*picks, strict=True)]  # type: ignore[attr-defined]


def test_every_epoch_shows_every_example_once_in_another_order() -> None:
    stream = pairs(shuffled(num_steps=50))
    epochs = [stream[start : start + 100] for start in range(0, 400, 100)]
    for number, epoch in enumerate(epochs):
        assert sorted(epoch) == [(position, number) for position in range(100)]
    assert len({tuple(position for position, _ in epoch) for epoch in epochs}) == 4


def test_batches_are_full_even_where_an_epoch_ends() -> None:
    assert {len(picks.positions) for picks in shuffled()} == {8}


@given(start=st.integers(0, 39), balance=st.sampled_from(["none", "sqrt", "balanced"]))
def test_from_any_step_on_the_batches_are_those_that_would_have_followed(start: int, balance: Balance) -> None:
    assert pairs(shuffled(start_step=start, balance=balance)) == pairs(shuffled(balance=balance))[start * 8 :]


def test_another_seed_gives_another_order() -> None:
    assert pairs(shuffled(seed=4)) != pairs(shuffled())


@pytest.mark.parametrize("world_size", [2, 4])
def test_devices_share_the_same_batches(world_size: int) -> None:
    shares = [list(shuffled(rank=rank, world_size=world_size)) for rank in range(world_size)]
    for whole, *parts in zip(shuffled(), *shares, strict=True):
        together = Picks(*(np.stack(arrays, axis=1).ravel() for arrays in zip(*parts, strict=True)))
        assert pairs([together]) == pairs([whole])


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.batch_size: a batch of 8 cannot be divided among 3 devices"):
        shuffled(world_size=3)


@pytest.mark.parametrize(
    ("balance", "expected"), [("none", (60, 30, 10)), ("sqrt", (47, 34, 19)), ("balanced", (34, 33, 33))]
)
def test_balance_moves_picks_from_frequent_classes_to_rare_ones(balance: Balance, expected: tuple[int, ...]) -> None:
    epoch = pairs(shuffled(balance=balance))[:100]
    drawn = Counter(int(LABELS[position]) for position, _ in epoch)
    assert tuple(drawn[label] for label in range(3)) == expected


@pytest.mark.parametrize("balance", ["sqrt", "balanced"])
def test_no_example_is_picked_again_before_all_of_its_class_had_their_turn(balance: Balance) -> None:
    stream = pairs(shuffled(balance=balance, num_steps=100))
    assert len(set(stream)) == len(stream)  # so no photograph is ever varied twice in the same way
    for label in range(3):
        times = Counter(position for position, _ in stream if LABELS[position] == label)
        assert max(times.values()) - min(times.get(int(p), 0) for p in np.flatnonzero(np.equal(LABELS, label))) <= 1


@pytest.mark.parametrize("balance", ["none", "sqrt", "balanced"])
def test_classes_are_mixed_in_another_order_each_epoch(balance: Balance) -> None:
    stream = [int(LABELS[position]) for position, _ in pairs(shuffled(balance=balance, num_steps=50))]
    epochs = [tuple(stream[start : start + 100]) for start in range(0, 400, 100)]
    assert len(set(epochs)) == 4
    assert all(set(epoch[:20]) == {0, 1, 2} for epoch in epochs)


def test_the_stream_needs_no_end() -> None:
    endless = shuffled(num_steps=None)
    assert pairs(islice(endless, 40)) == pairs(shuffled())
    with pytest.raises(TypeError, match="without end"):
        len(endless)


def test_its_length_is_what_is_left() -> None:
    assert len(shuffled(start_step=15)) == 25


def test_a_batch_larger_than_the_data_goes_around() -> None:
    picks = ShuffledBatches(labels=np.zeros(3, int), batch_size=10, seed=0).batch(0)
    assert sorted(Counter(picks.positions.tolist()).values()) == [3, 3, 4]


def test_nothing_to_draw_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no examples"):
        ShuffledBatches(labels=np.zeros(0, int), batch_size=10, seed=0)


def test_in_sequence_every_example_comes_once_and_the_last_batch_may_be_short() -> None:
    batches = SequentialBatches(num_examples=10, batch_size=4)
    assert [picks.positions.tolist() for picks in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(batches) == 3


def test_in_sequence_ranks_share_without_overlap() -> None:
    seen = [pairs(SequentialBatches(num_examples=10, batch_size=4, rank=rank, world_size=3)) for rank in range(3)]
    assert sorted(position for part in seen for position, _ in part) == list(range(10))
