"""Processes that may die over a file."""

import os
from collections.abc import Sequence

import pytest

from earthsnap_train.data.qa.pool import work_through


def _double(numbers: Sequence[int]) -> list[int]:
    return [2 * number for number in numbers]


def _die_over_13(numbers: Sequence[int]) -> list[int]:
    if 13 in numbers:
        os._exit(1)
    return _double(numbers)


def _refuse(numbers: Sequence[int]) -> list[int]:
    raise ValueError("a bug of ours")


@pytest.mark.parametrize("num_workers", [1, 3])
def test_every_item_comes_back_once_with_its_own_result(num_workers: int) -> None:
    results = list(work_through(_double, range(50), num_workers=num_workers, chunk=7))
    assert sorted(results) == [(number, 2 * number) for number in range(50)]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_only_the_item_that_ends_its_process_is_without_a_result(num_workers: int) -> None:
    results = dict(work_through(_die_over_13, range(40), num_workers=num_workers, chunk=8))
    assert results == {number: None if number == 13 else 2 * number for number in range(40)}


def test_what_the_work_raises_is_raised_here() -> None:
    with pytest.raises(ValueError, match="a bug of ours"):
        list(work_through(_refuse, [1], num_workers=1))


def test_no_items_start_no_process() -> None:
    assert list(work_through(_refuse, [], num_workers=4)) == []
