import numpy as np
import pytest
from scipy import stats

from earthsnap_train.evaluation.compare_chance import discoveries, sign_test, tellable


@pytest.mark.parametrize(("won", "lost"), [(0, 6), (9, 2), (3, 3), (1, 0), (0, 0), (120, 90), (7, 8)])
def test_the_sign_test_is_the_exact_binomial_one(won: int, lost: int) -> None:
    expected = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert sign_test(won, lost) == pytest.approx(expected)


def test_fewer_than_six_differing_plants_can_tell_nothing() -> None:
    assert tellable([5]).tolist() == [False]
    assert tellable([6]).tolist() == [True]


def test_species_that_can_tell_nothing_do_not_weaken_the_others() -> None:
    # Gilbert 2005: 200 tests without a chance to be significant are no tests.
    votes = [9, *[2] * 200]
    able = tellable(votes)
    assert able.tolist() == [True] + [False] * 200
    assert discoveries([sign_test(0, 9)] + [1.0] * 200, able).tolist() == [True] + [False] * 200


def test_what_holds_for_one_species_need_not_hold_among_many() -> None:
    p = sign_test(0, 6)
    assert discoveries([p], np.array([True])).all()
    assert not discoveries([p] + [0.5] * 9, np.ones(10, dtype=bool)).any()


def test_discoveries_are_those_of_benjamini_and_hochberg() -> None:
    # The example of their paper (1995), table in section 3.3: four of fifteen.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    assert discoveries(p, np.ones(15, dtype=bool)).tolist() == [True] * 4 + [False] * 11


def test_where_nothing_changed_few_families_hear_a_false_alarm() -> None:
    """A false discovery rate of 5 % where nothing is true means: at most one run in twenty with any alarm."""
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(400):
        votes = generator.integers(0, 25, size=60)
        won = generator.binomial(votes, 0.5)
        p = [sign_test(int(w), int(v - w)) for w, v in zip(won, votes, strict=True)]
        alarms += bool(discoveries(p, tellable(votes.tolist())).any())
    assert alarms / 400 < 0.05
