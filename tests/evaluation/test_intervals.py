import numpy as np
import pytest

from earthsnap_train.evaluation.intervals import bootstrap, mean_of, number_clusters, share, wilson


def test_wilson_interval_matches_the_published_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I: 81 of 263.
    estimate = wilson(81 / 263, 263)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("hits", "low", "high"), [([True] * 20, 0.8389, 1.0), ([False] * 20, 0.0, 0.1611)])
def test_an_interval_stays_honest_when_everything_is_right_or_wrong(hits: list[bool], low: float, high: float) -> None:
    estimate = share(hits, number_clusters(None, 20))
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)


def test_copies_of_one_plant_are_no_further_evidence() -> None:
    plants = np.arange(50)
    hits = plants % 5 != 0
    once = share(hits, number_clusters(None, 50))
    four_times = share(np.repeat(hits, 4), number_clusters(np.repeat(plants.astype(str), 4), 200))
    assert four_times.low == pytest.approx(once.low, abs=0.005)
    assert four_times.high == pytest.approx(once.high, abs=0.005)


def test_unrelated_photographs_keep_their_full_number_in_clusters() -> None:
    hits = np.random.default_rng(0).random(400) < 0.8
    pairs = np.arange(400) // 2
    clustered = share(hits, number_clusters(pairs.astype(str), 400))
    free = share(hits, number_clusters(None, 400))
    assert clustered.low == pytest.approx(free.low, abs=0.01)
    assert clustered.low <= free.low


def test_when_nothing_varies_each_cluster_counts_once() -> None:
    estimate = share([True] * 12, number_clusters(["a"] * 4 + ["b"] * 4 + ["c"] * 4, 12))
    assert estimate == wilson(1.0, 3)


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval_and_repeats_itself() -> None:
    values = np.random.default_rng(1).normal(2.0, 1.0, 500)
    estimate = bootstrap(mean_of(values), number_clusters(None, 500))
    half = 1.96 * values.std() / np.sqrt(500)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.02)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.02)
    assert estimate == bootstrap(mean_of(values), number_clusters(None, 500))


def test_bootstrap_draws_whole_clusters() -> None:
    values = np.repeat(np.random.default_rng(2).normal(0.0, 1.0, 40), 10)
    clusters = np.repeat(np.arange(40), 10).astype(str)
    whole = bootstrap(mean_of(values), number_clusters(clusters, 400))
    single = bootstrap(mean_of(values), number_clusters(None, 400))
    assert whole.high - whole.low > 2.5 * (single.high - single.low)
