"""What a family is worth as users meet it: the cascade's figures, its errors by cause, one flat network beside it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.evaluation.figures import Answering, Cost, FamilyMetrics, SpeciesMetrics
from earthsnap_train.evaluation.intervals import (
    Clusters,
    bootstrap,
    mean_of,
    number_clusters,
    share,
)
from earthsnap_train.evaluation.metrics import classifier_metrics
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions, Names
from earthsnap_train.spec.architecture import NamedFirst
from earthsnap_train.taxonomy.tree import Taxonomy


def family_metrics(
    predictions: FamilyPredictions,
    taxonomy: Taxonomy,
    group_of: Mapping[str, str],
    *,
    cost: Cost | None = None,
    flat_cost: Cost | None = None,
    answering: Answering | None = None,
    named_first: NamedFirst = "likeliest",
) -> FamilyMetrics:
    """``group_of``: species id -> group. A burst of one plant counts as one piece of evidence in every interval.

    ``answering``: see ``answering.judge_answers``, where all probabilities are at hand. ``named_first``: how the first
    answers of ``predictions`` were chosen.
    Raises DataError where there is no photograph.
    """
    numbers = number_clusters(predictions.cluster_id, len(predictions))
    truth, flat = predictions.species_id, predictions.flat
    hits = (predictions.predicted_species == truth).astype(np.float64)
    own = species_metrics(truth, predictions.answers, taxonomy, group_of, numbers, cost)
    return FamilyMetrics(
        **dict(own),
        routing=share(predictions.routed_group == predictions.group, numbers),
        oracle_top1=share(predictions.oracle_species == truth, numbers),
        children_run=float(predictions.num_children_run.mean()),
        flat=species_metrics(truth, flat, taxonomy, group_of, numbers, flat_cost) if flat else None,
        minus_flat=bootstrap(mean_of(hits - (flat.first == truth)), numbers) if flat else None,
        answering=answering,
        named_first=named_first,
    )


def species_metrics(
    truth: Names,
    answers: Answers,
    taxonomy: Taxonomy,
    group_of: Mapping[str, str],
    clusters: Clusters,
    cost: Cost | None,
) -> SpeciesMetrics:
    outside = groups_of(answers.first, group_of) != groups_of(truth, group_of)
    wrong = answers.first != truth
    distance = distances(truth, answers.first, taxonomy)
    return SpeciesMetrics(
        **dict(classifier_metrics(truth, answers, clusters)),
        misrouted=share(outside, clusters),
        misnamed=share(wrong & ~outside, clusters),
        mistake_severity=float(distance[wrong].mean()) if wrong.any() else 0.0,
        severity=bootstrap(mean_of(distance), clusters),
        multiply_adds=cost.multiply_adds if cost else None,
        latency_ms=cost.latency_ms if cost else None,
    )


def groups_of(species: Names, group_of: Mapping[str, str]) -> Names:
    """The group of each species; ``""`` where nothing was named."""
    return np.asarray([group_of[name] if name else "" for name in species.tolist()], dtype=np.str_)


def distances(truth: Names, predicted: Names, taxonomy: Taxonomy) -> NDArray[np.float64]:
    """Ranks to climb for each photograph; where nothing was named, all of them and one more."""
    far = len(taxonomy.ranks) + 1
    pairs = sorted(set(zip(truth.tolist(), predicted.tolist(), strict=True)))
    known = {(a, b): taxonomy.distance(a, b) if b else far for a, b in pairs}
    return np.asarray([known[pair] for pair in zip(truth.tolist(), predicted.tolist(), strict=True)], dtype=np.float64)
