"""The least probability of what is said, found so that a share of right answers can be promised."""

from itertools import pairwise

import numpy as np
import pytest

from earthsnap_train.evaluation.certainty import THRESHOLDS, calibrate, curve, find_threshold
from earthsnap_train.spec.architecture import Certainty

WANTED = Certainty(accuracy=0.95, delta=0.05, unsure_below=None)


def photographs(num: int, honesty: float, seed: int, *, doubt: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Lineages of order, genus and species. What is ``p`` likely is right with probability ``p ** (1 / honesty)``.

    Below 1 it boasts, above 1 it is modest. ``doubt``: the larger, the less certain.
    """
    generator = np.random.default_rng(seed)
    unsure_BD = np.sort(generator.beta(doubt, 3.0, size=(num, 3)), axis=1)
    probability_BD = 1 - unsure_BD
    # Whatever holds a true taxon is true itself: one number a photograph decides on all of its lineage.
    return probability_BD, generator.random((num, 1)) < probability_BD ** (1 / honesty)


@pytest.mark.parametrize(("honesty", "doubt"), [(1.0, 0.5), (0.6, 0.5), (2.5, 0.5), (1.0, 2.0), (2.5, 2.0)])
def test_the_promise_is_kept_in_at_least_ninety_of_a_hundred_calibrations(honesty: float, doubt: float) -> None:
    world = {point.unsure_below: point for point in curve(*photographs(50_000, honesty, 1, doubt=doubt))}
    found = [find_threshold(WANTED, *photographs(300, honesty, seed, doubt=doubt)) for seed in range(100)]
    promised = [world[one.unsure_below] for one in found if one.outcome == "promised"]
    assert sum(point.right < 0.95 for point in promised) <= 10
    assert all(one.num_needed is None or one.num_needed > 300 for one in found)
    if doubt < 1:
        assert len(promised) >= 90
        laxest = max(point.answered for point in world.values() if point.right >= 0.95)
        assert np.mean([point.answered for point in promised]) > 0.75 * laxest


def test_a_threshold_that_merely_looks_right_would_break_the_promise() -> None:
    world = {point.unsure_below: point for point in curve(*photographs(50_000, 1.0, 1))}
    broken = 0
    for seed in range(100):
        seen = curve(*photographs(300, 1.0, seed))
        laxest = min(point.unsure_below for point in seen if point.right >= 0.95)
        broken += world[laxest].right < 0.95
    assert broken > 20


def test_more_photographs_let_more_be_said() -> None:
    few = [find_threshold(WANTED, *photographs(150, 1.0, seed)).unsure_below for seed in range(20)]
    many = [find_threshold(WANTED, *photographs(3000, 1.0, seed)).unsure_below for seed in range(20)]
    assert np.mean(many) < np.mean(few) - 0.05


def test_a_flawless_family_needs_59_photographs_for_95_percent() -> None:
    certain, right = np.full((59, 1), 0.999), np.ones((59, 1), dtype=np.bool_)
    enough = find_threshold(WANTED, certain, right)
    assert (enough.outcome, enough.unsure_below, enough.num_needed) == ("promised", 0.5, None)
    short = find_threshold(WANTED, certain[1:], right[1:])
    assert (short.outcome, short.unsure_below, short.num_needed) == ("too_few", 0.95, 59)


def test_a_modest_family_is_promised_what_it_reaches_below_the_strict_thresholds() -> None:
    found = find_threshold(WANTED, np.full((100, 1), 0.8), np.ones((100, 1), dtype=np.bool_))
    assert (found.outcome, found.unsure_below) == ("promised", 0.5)


def test_without_any_photograph_the_least_number_is_named() -> None:
    found = find_threshold(WANTED, np.empty((0, 3)), np.empty((0, 3), dtype=np.bool_))
    assert (found.outcome, found.unsure_below, found.num_needed) == ("too_few", 0.95, 59)
    assert {(point.answered, point.right) for point in found.curve} == {(0.0, 1.0)}


def test_silence_in_part_of_the_photographs_raises_how_many_it_takes() -> None:
    probability_BD = np.repeat([[0.999], [0.1]], 20, axis=0)
    found = find_threshold(WANTED, probability_BD, np.ones((40, 1), dtype=np.bool_))
    assert found.num_needed == 2 * 59


def test_where_mistakes_are_too_many_at_every_threshold_no_number_of_photographs_is_named() -> None:
    right_BD = (np.arange(400) % 10 > 0)[:, None]
    found = find_threshold(WANTED, np.full((400, 1), 0.999), right_BD)
    assert (found.outcome, found.unsure_below, found.num_needed) == ("too_often_wrong", 0.95, None)


def test_a_threshold_of_ones_own_is_taken_and_promises_nothing() -> None:
    by_hand = Certainty(accuracy=0.95, delta=0.05, unsure_below=0.62)
    found = find_threshold(by_hand, *photographs(1000, 1.0, 0))
    assert (found.outcome, found.unsure_below) == ("by_hand", 0.62)


def test_the_laxer_the_more_is_said_and_no_answer_that_was_right_turns_wrong_when_it_rolls_up() -> None:
    probability_BD, right_BD = photographs(2000, 1.0, 3)
    points = curve(probability_BD, right_BD)
    assert [point.unsure_below for point in points] == list(THRESHOLDS)
    wrong = [round(2000 * point.answered * (1 - point.right)) for point in points]
    assert all(a.answered <= b.answered for a, b in pairwise(points))
    assert wrong == sorted(wrong)


def test_species_alone_are_held_to_the_same_promise() -> None:
    probability_BD, right_BD = photographs(2000, 1.0, 4, doubt=0.2)
    found = calibrate(
        WANTED, probability_BD=probability_BD, right_BD=right_BD, first_B=probability_BD[:, -1],
        first_right_B=right_BD[:, -1], num_images=2100,
    )  # fmt: skip
    alone = found.species_alone
    assert (found.outcome, alone.outcome, found.num_images, found.num_clusters) == ("promised", "promised", 2100, 2000)
    at = {point.unsure_below: point for point in alone.curve}[alone.unsure_below]
    own = {point.unsure_below: point for point in found.curve}[found.unsure_below]
    assert own.right > 0.95
    assert at.right > 0.95
    assert own.answered > at.answered + 0.05
