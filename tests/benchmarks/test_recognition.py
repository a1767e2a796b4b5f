"""The parts of ``benchmarks/recognition`` that its figures rest on; the benchmark itself is run by hand."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from earthsnap_train.models.family import softmax

HERE = Path(__file__).parents[2] / "benchmarks" / "recognition"
sys.path.append(str(HERE))  # scripts beside one another, no package

from desk import Desk  # noqa: E402
from embed import joined  # noqa: E402
from extras import least_expected_distance, likeliest  # noqa: E402
from figures import Resampled  # noqa: E402
from folds import Few, Fold, fold_of  # noqa: E402
from methods import BARE, FLAT, OURS, Said, Teacher  # noqa: E402
from outcomes import Numbers, Outcomes, rolled_up, threshold  # noqa: E402
from photographs import Network, Photographs, folds, long_tail  # noqa: E402
from table import BEGIN, END, OF_NETWORKS, sets, targets, written  # noqa: E402

NUM_PER_SPECIES = 30
SPECIES = ("anther", "bract", "calyx", "drupe")


@pytest.fixture(scope="module")
def photographs() -> Photographs:
    """Four species in two groups, well apart; two photographs a cluster; the mirror image is nearly the photograph."""
    generator = np.random.default_rng(0)
    number_N = np.repeat(np.arange(4), NUM_PER_SPECIES)
    middle_SF = generator.normal(size=(4, 6))
    features_NVF = middle_SF[number_N][:, None] + generator.normal(scale=0.3, size=(len(number_N), 2, 6))
    return Photographs(
        features_NVF=features_NVF.astype(np.float32),
        species_N=np.asarray(SPECIES)[number_N],
        cluster_N=np.asarray([f"c{place // 2}" for place in range(len(number_N))]),
        ranks=("order", "genus"),
        taxa={name: ("a" if place < 2 else "b", name[:2]) for place, name in enumerate(SPECIES)},
    )


@pytest.fixture(scope="module")
def fold(photographs: Photographs) -> Fold:
    return fold_of(photographs, "order", few=Few(per_species=None, tail=None), num_folds=3, seed=0, fold=0)


def test_a_cluster_lies_in_one_fold_and_every_fold_has_every_species(photographs: Photographs) -> None:
    fold_N = folds(photographs, num_folds=5, seed=3)
    pairs = set(zip(photographs.cluster_N.tolist(), fold_N.tolist(), strict=True))
    assert len(pairs) == len(set(photographs.cluster_N.tolist()))
    assert all(set(fold_N[photographs.species_N == name].tolist()) == set(range(5)) for name in SPECIES)


def test_no_photograph_that_is_tested_is_taught_or_chosen_on(photographs: Photographs, fold: Fold) -> None:
    tested = {row.tobytes() for row in fold.test.features_NVF}
    assert not tested & {row.tobytes() for part in (fold.taught, fold.val) for row in part.features_NVF}
    assert len(fold.taught) + len(fold.val) + len(fold.test) == len(photographs)


def test_a_set_with_few_photographs_teaches_so_many_of_each_species(photographs: Photographs) -> None:
    few = fold_of(photographs, "order", few=Few(per_species=3, tail=None), num_folds=3, seed=0, fold=1)
    assert np.unique(few.taught.species_N, return_counts=True)[1].tolist() == [3, 3, 3, 3]
    assert np.unique(few.val.species_N, return_counts=True)[1].tolist() == [1, 1, 1, 1]


def test_a_long_tail_falls_from_the_most_to_the_least() -> None:
    assert sorted(long_tail(SPECIES, most=24, least=3, seed=1).values()) == [3, 6, 12, 24]


def test_embedded_photographs_are_read_as_they_were_written(photographs: Photographs, tmp_path: Path) -> None:
    photographs.write(tmp_path / "some.npz")
    again = Photographs.read(tmp_path / "some.npz")
    assert again.taxa == photographs.taxa
    assert again.taxonomy == photographs.taxonomy
    np.testing.assert_allclose(again.features_NVF, photographs.features_NVF, atol=2e-3)


def looked_at_by_a_network(photographs: Photographs, fold: Fold) -> Photographs:
    """One that was taught this fold; its head is often right, and five times as sure as it should be."""
    taught_N = np.isin(np.arange(len(photographs)), fold.taught_N)
    logits_NS = np.random.default_rng(1).normal(size=(len(photographs), len(SPECIES)))
    logits_NS += 1.5 * (photographs.species_N[:, None] == np.asarray(SPECIES))
    return replace(photographs, network=Network(taught_N=taught_N, logits_NS=(5 * logits_NS).astype(np.float32)))


def test_what_a_network_says_is_read_as_it_was_written(photographs: Photographs, fold: Fold, tmp_path: Path) -> None:
    seen = looked_at_by_a_network(photographs, fold)
    seen.write(tmp_path / "some.npz")
    again = Photographs.read(tmp_path / "some.npz")
    assert again.network is not None
    assert seen.network is not None
    np.testing.assert_array_equal(again.network.taught_N, seen.network.taught_N)
    np.testing.assert_array_equal(again.network.logits_NS, seen.network.logits_NS)


def test_a_network_is_judged_on_no_fold_but_its_own(photographs: Photographs, fold: Fold) -> None:
    seen = looked_at_by_a_network(photographs, fold)
    few = Few(per_species=None, tail=None)
    own = fold_of(seen, "order", few=few, num_folds=3, seed=0, fold=0)
    assert own.test_N.tolist() == fold.test_N.tolist()
    with pytest.raises(AssertionError, match="another fold"):
        fold_of(seen, "order", few=few, num_folds=3, seed=0, fold=1)


def test_a_networks_own_head_is_calibrated_on_val(photographs: Photographs, fold: Fold) -> None:
    seen = looked_at_by_a_network(photographs, fold)
    assert seen.network is not None
    desk = Desk(seen, fold, device="cpu")
    truth_B = np.arange(len(desk.test_truth)), desk.test_truth
    calibrated_BS = desk.methods()["network's own head"]().test_BS
    as_taught_BS = softmax(seen.network.logits_NS[fold.test_N])
    np.testing.assert_array_equal(calibrated_BS.argmax(axis=1), as_taught_BS.argmax(axis=1))
    assert np.log(calibrated_BS[truth_B]).mean() > np.log(as_taught_BS[truth_B]).mean() + 0.2
    assert "network's own head" not in Desk(photographs, fold, device="cpu").methods()


def test_a_pair_that_is_known_from_elsewhere_joins_two_clusters() -> None:
    clusters = joined({"1.jpg": "a", "2.jpg": "b", "3.jpg": "c"}, [("1.jpg", "2.jpg"), ("2.jpg", "gone.jpg")])
    assert clusters["1.jpg"] == clusters["2.jpg"] != clusters["3.jpg"]


def test_families_and_flat_heads_name_what_lies_apart(fold: Fold) -> None:
    teacher = Teacher(fold, device="cpu")
    truth = [fold.species.index(name) for name in fold.test.species_N.tolist()]
    for recipe in (FLAT, OURS, replace(BARE, parent="groups", looks=(0, 1))):
        said = teacher.said(recipe)
        assert np.mean(said.test_BS.argmax(axis=1) == truth) > 0.9
        np.testing.assert_allclose(said.test_BS.sum(axis=1), 1, rtol=1e-4)


def test_the_threshold_is_the_lowest_at_which_answers_are_right_often_enough() -> None:
    confidence = np.linspace(1, 0.01, 100)
    right = np.ones(100, dtype=np.bool_)
    right[[10, 30, 60, 61, 62]] = False
    assert threshold(confidence, right) == confidence[-1]
    right[63] = False
    assert threshold(confidence, right) == confidence[60]  # 58 of 61; of all, 94 of 100
    assert threshold(confidence, ~np.ones(100, dtype=np.bool_)) == float("inf")


def test_the_lowest_taxon_that_is_likely_enough_is_the_answer() -> None:
    p_BR = np.asarray([[0.9, 0.8, 0.4], [0.9, 0.8, 0.7], [0.4, 0.3, 0.2]], dtype=np.float32)
    right_BR = np.asarray([[True, False, False], [True, True, False], [True, True, True]])
    answered, good = rolled_up(p_BR, right_BR, 0.75)
    assert answered.tolist() == [True, True, False]
    assert good.tolist() == [False, True, False]


def outcomes(confidence: Numbers, hit: NDArray[np.generic]) -> Outcomes:
    hit = hit.astype(np.float64)
    return Outcomes(
        hit=hit, distance=2 * (1 - hit), confidence=confidence, sure=np.ones_like(hit), sure_right=hit,
        rolled=np.ones_like(hit), rolled_right=hit,
    )  # fmt: skip


def resampled(one: Outcomes) -> Resampled:
    num = len(one.hit)
    return Resampled(
        [one],
        species_N=np.arange(num) % 4,
        rare_QN=np.arange(num)[None] % 4 == 0,
        clusters=np.arange(num, dtype=np.intp),
    )


def test_the_debiased_calibration_error_takes_off_noise_and_keeps_what_is_wrong() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 3000)
    drawn = generator.uniform(size=3000)
    plain, honest = resampled(outcomes(confidence, drawn < confidence)).calibration_error()
    assert honest.value < 0.75 * plain
    _, boasting = resampled(outcomes(confidence, drawn < confidence - 0.1)).calibration_error()
    assert boasting.low < 0.1 < boasting.high
    assert boasting.low > 0.05


def test_figures_are_means_over_photographs_species_and_mistakes() -> None:
    hit = np.asarray([1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0])
    figures = resampled(outcomes(np.full(12, 0.7), hit)).figures
    assert figures["top1"][0] == pytest.approx(9 / 12)
    assert figures["macro_recall"][0] == pytest.approx((2 / 3 + 1 + 2 / 3 + 2 / 3) / 4)
    assert figures["tail_recall"][0] == pytest.approx(2 / 3)
    assert figures["mistake_severity"][0] == pytest.approx(2.0)


def test_the_species_that_is_nearest_to_all_is_named() -> None:
    p_BS = np.asarray([[0.4, 0.3, 0.3]], dtype=np.float32)
    distance_SS = np.asarray([[0, 3, 3], [3, 0, 1], [3, 1, 0]], dtype=np.float32)
    said = least_expected_distance(Said(val_BS=p_BS, test_BS=p_BS), distance_SS)
    assert said.named is not None
    assert said.named[1].tolist() == [1]


def test_what_makes_val_likeliest_is_chosen() -> None:
    worse, better = (
        Said(val_BS=np.asarray([[p, 1 - p]], dtype=np.float32), test_BS=np.zeros((1, 2))) for p in (0.3, 0.6)
    )
    assert likeliest([worse, better], np.asarray([0])) is better


def test_the_readme_has_the_tables_of_the_results() -> None:
    readme = (HERE / "README.md").read_text()
    results, parts, networks = (
        json.loads((HERE / name).read_text()) for name in ("results.json", "parts.json", "networks.json")
    )

    def between(begin: str, end: str) -> str:
        return readme.partition(begin)[2].partition(end)[0].strip()

    assert between(BEGIN, END) == "\n\n".join(written(results, parts))
    assert between(*OF_NETWORKS) == "\n\n".join(["### Networks: targets", targets(networks), *sets(networks)])
