import numpy as np
import pytest

from earthsnap_train.errors import DataError
from earthsnap_train.evaluation.figures import Estimate, Metrics
from earthsnap_train.evaluation.intervals import number_clusters
from earthsnap_train.evaluation.metrics import classifier_metrics, node_metrics, reliability
from earthsnap_train.evaluation.predictions import Answers, NodePredictions


def predictions(truth: list[str], classes: list[str], probabilities: list[list[float]]) -> NodePredictions:
    ids = np.array([f"{number:03d}" for number in range(len(truth))])
    answers = Answers.from_probabilities(classes, probabilities)
    return NodePredictions(image_id=ids, uri=ids, truth=np.array(truth), answers=answers)


def test_top1_top5_and_macro_recall_of_a_case_counted_by_hand() -> None:
    classes = list("abcdef")
    first_a = [0.3, 0.25, 0.2, 0.15, 0.1, 0.0]
    first_b = [0.25, 0.3, 0.2, 0.15, 0.1, 0.0]
    metrics = node_metrics(
        predictions(["a", "a", "a", "b", "f"], classes, [first_a, first_a, first_b, first_b, first_a])
    )
    assert metrics.num_images == 5
    assert metrics.num_classes == 3
    assert metrics.top1.value == pytest.approx(3 / 5)
    assert metrics.top5.value == pytest.approx(4 / 5)
    assert metrics.macro_recall.value == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert metrics.lowest_recall == 0


def test_each_class_has_recall_precision_and_its_worst_confusion() -> None:
    truth, named = list("aaaabbc"), list("aabbbac")
    answers = Answers(names=np.array(named)[:, None], probability=np.full((7, 1), 0.5))
    metrics = classifier_metrics(np.array(truth), answers, number_clusters(None, 7))
    first, second, third = metrics.classes
    assert (first.name, first.num_images, first.recall.value) == ("a", 4, 0.5)
    assert first.precision == pytest.approx(2 / 3)
    assert (first.most_confused_with, first.num_confused) == ("b", 2)
    assert second.recall.value == 0.5
    assert second.precision == pytest.approx(1 / 3)
    assert (third.recall.value, third.precision, third.most_confused_with) == (1.0, 1.0, None)
    assert [(c.truth, c.predicted, c.num_images, c.share) for c in metrics.confusions] == [
        ("a", "b", 2, 0.5),
        ("b", "a", 1, 0.5),
    ]


def test_a_class_that_is_never_named_has_no_precision() -> None:
    metrics = node_metrics(predictions(["a", "b"], ["a", "b"], [[0.9, 0.1], [0.9, 0.1]]))
    assert metrics.classes[1].precision is None


def test_calibration_error_is_zero_when_sureness_and_success_agree() -> None:
    answers = Answers(names=np.array([["a"]] * 3 + [["b"]]), probability=np.full((4, 1), 0.75))
    assert classifier_metrics(np.array(["a"] * 4), answers, number_clusters(None, 4)).ece == pytest.approx(0.0)


def test_calibration_error_of_a_boaster_is_the_gap() -> None:
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    names = np.array(["a"] * 5 + ["b"] * 5 + ["a"] * 6 + ["b"] * 4)
    answers = Answers(names=names[:, None], probability=confidence[:, None])
    assert classifier_metrics(np.array(["a"] * 20), answers, number_clusters(None, 20)).ece == pytest.approx(0.2)


def test_reliability_has_fifteen_bins_of_equal_mass() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.random(3000)
    bins = reliability(confidence, generator.random(3000) < confidence)
    assert [one.num_images for one in bins] == [200] * 15
    assert max(abs(one.confidence - one.right) for one in bins) < 0.11


def test_equal_confidences_share_a_bin_whatever_their_order() -> None:
    confidence = np.array([1.0] * 80 + [0.5] * 20)
    hits = np.arange(100) % 3 > 0
    turned = np.random.default_rng(0).permutation(100)
    bins = reliability(confidence, hits)
    assert [one.num_images for one in bins] == [20, 80]
    assert bins == reliability(confidence[turned], hits[turned])


def test_summary_has_a_number_for_every_name_it_promises() -> None:
    metrics = node_metrics(predictions(["a", "b"], ["a", "b"], [[0.9, 0.1], [0.2, 0.8]]))
    summary = metrics.summary()
    assert set(summary) == set(Metrics.figure_names())
    assert summary["top1"] == 1.0
    assert summary["top1_low"] == metrics.top1.low < 1.0
    assert "classes" not in summary


def test_an_empty_test_split_is_named_with_its_remedy() -> None:
    nothing = Answers.from_probabilities(["a", "b"], np.zeros((0, 2)))
    with pytest.raises(DataError, match=r"dataset\.split\.test"):
        classifier_metrics(np.array([], dtype=np.str_), nothing, number_clusters(None, 0))


def test_metrics_come_back_from_json() -> None:
    metrics = node_metrics(predictions(["a", "b"], ["a", "b"], [[0.9, 0.1], [0.9, 0.1]]))
    assert Metrics.model_validate_json(metrics.model_dump_json()) == metrics
    assert isinstance(metrics.top1, Estimate)
