"""What one classifier is worth: the figures that a node, the family and the flat baseline share."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.errors import DataError
from earthsnap_train.evaluation.figures import ClassMetrics, Confusion, Metrics, ReliabilityBin
from earthsnap_train.evaluation.intervals import Clusters, bootstrap, number_clusters, share
from earthsnap_train.evaluation.predictions import Answers, Names, NodePredictions

NUM_BINS = 15
NUM_CONFUSIONS = 500


def node_metrics(predictions: NodePredictions, clusters: Sequence[str] | None = None) -> Metrics:
    """``clusters``: the cluster id of each photograph, where photographs come in bursts of one plant."""
    return classifier_metrics(predictions.truth, predictions.answers, number_clusters(clusters, len(predictions)))


def classifier_metrics(truth: Names, answers: Answers, clusters: Clusters) -> Metrics:
    """Top-1, top-5, recalls, calibration and confusion over the classes that have photographs here.

    Raises DataError where there is no photograph.
    """
    if not len(truth):
        raise DataError(
            "no photograph in the test split, so nothing can be evaluated",
            where="dataset.split",
            remedy="Give dataset.split.test a larger share, or raise dataset.split.min_per_species.",
        )
    hits = answers.first == truth
    present, truth_number = np.unique(truth, return_inverse=True)
    classes = class_metrics(truth, answers.first, clusters)
    bins = reliability(answers.confidence, hits)
    return Metrics(
        num_images=len(truth),
        num_classes=len(present),
        top1=share(hits, clusters),
        top5=share(answers.contain(truth), clusters),
        macro_recall=bootstrap(_MacroRecall(hits, truth_number), clusters),
        lowest_recall=min(row.recall.value for row in classes),
        ece=expected_calibration_error(bins),
        mean_confidence=float(answers.confidence.mean()),
        classes=classes,
        confusions=confusions(truth, answers.first),
        reliability=bins,
    )


class _MacroRecall:
    """The mean of the classes' recalls, each class counting the same; classes that were not drawn are left out."""

    def __init__(self, hits: NDArray[np.bool_], class_number: NDArray[np.intp]) -> None:
        self.hits = hits.astype(np.float64)
        self.class_number = class_number

    def __call__(self, weights: NDArray[np.float64]) -> float:
        images = np.bincount(self.class_number, weights=weights)
        right = np.bincount(self.class_number, weights=weights * self.hits)
        drawn = images > 0
        return float(np.mean(right[drawn] / images[drawn]))


def class_metrics(truth: Names, predicted: Names, clusters: Clusters) -> tuple[ClassMetrics, ...]:
    """One row for each class that has photographs, by name."""
    named = Counter(predicted.tolist())
    mistakes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for true_name, name in zip(truth.tolist(), predicted.tolist(), strict=True):
        if true_name != name:
            mistakes[true_name][name] += 1
    rows = []
    for name in np.unique(truth).tolist():
        own = np.flatnonzero(truth == name)
        hits = predicted[own] == name
        worst, num_confused = _most_common(mistakes[name])
        rows.append(
            ClassMetrics(
                name=name,
                num_images=len(own),
                recall=share(hits, number_clusters(clusters[own].astype(np.str_), len(own))),
                precision=float(hits.sum()) / named[name] if named[name] else None,
                most_confused_with=worst,
                num_confused=num_confused,
            )
        )
    return tuple(rows)


def _most_common(counts: Counter[str]) -> tuple[str | None, int]:
    if not counts:
        return None, 0
    return min(counts.items(), key=lambda item: (-item[1], item[0]))


def confusions(truth: Names, predicted: Names) -> tuple[Confusion, ...]:
    """The ordered pairs that were taken for each other, most frequent first."""
    images = Counter(truth.tolist())
    pairs = Counter((a, b) for a, b in zip(truth.tolist(), predicted.tolist(), strict=True) if a != b)
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:NUM_CONFUSIONS]
    return tuple(
        Confusion(truth=a, predicted=b, num_images=count, share=count / images[a]) for (a, b), count in ordered
    )


def reliability(confidence: NDArray[np.float64], hits: NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """At most 15 bins of equal mass, least sure first; equal confidences always share a bin.

    Equal mass keeps the few unsure photographs from being averaged with nothing, and biases the error less than equal
    width does (Nixon et al. 2019, Measuring Calibration in Deep Learning; Roelofs et al. 2022, AISTATS).
    """
    number = equal_mass_bins(confidence)
    return tuple(
        ReliabilityBin(
            num_images=int(inside.sum()), confidence=float(confidence[inside].mean()), right=float(hits[inside].mean())
        )
        for inside in (number == one for one in range(NUM_BINS))
        if inside.any()
    )


def equal_mass_bins(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each photograph, below ``NUM_BINS``; some are empty where many confidences are equal."""
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, NUM_BINS + 1)[1:-1], method="higher"))
    return np.searchsorted(edges, confidence, side="right")


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Naeini, Cooper & Hauskrecht 2015, AAAI: the mean gap between said and reached, weighted by photographs."""
    total = sum(one.num_images for one in bins)
    return sum(one.num_images * abs(one.confidence - one.right) for one in bins) / total
