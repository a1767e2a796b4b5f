"""What a family is worth as users meet it: the cascade's figures, its errors by cause, one flat network beside it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from earthsnap_train.evaluation.intervals import (
    Clusters,
    Estimate,
    Measured,
    bootstrap,
    mean_of,
    number_clusters,
    share,
)
from earthsnap_train.evaluation.metrics import Metrics, classifier_metrics
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions, Names
from earthsnap_train.taxonomy.tree import Taxonomy


class Cost(Measured):
    """Of naming one photograph, preparation included in the latency; None where it was not measured."""

    multiply_adds: float
    latency_ms: float | None


class SpeciesMetrics(Metrics):
    """A classifier of all species, whatever its architecture, judged by species and by groups.

    ``misrouted``: the named species lies outside the true group. ``misnamed``: inside it, but wrong. With ``top1`` they
    add up to 1. ``severity``: ranks from the truth up to its lowest common ancestor with the answer, mean over all
    photographs; ``mistake_severity``: over the mistakes alone, 0 without any (Bertinetto et al. 2020, CVPR).
    """

    misrouted: Estimate
    misnamed: Estimate
    mistake_severity: float
    severity: Estimate
    multiply_adds: float | None
    latency_ms: float | None


class FamilyMetrics(SpeciesMetrics):
    """``routing``: how often the parent's first choice is the true group. ``oracle_top1``: with that always right.

    ``minus_flat``: family minus flat top-1 on the same photographs, with a paired interval.
    """

    routing: Estimate
    oracle_top1: Estimate
    children_run: float
    flat: SpeciesMetrics | None
    minus_flat: Estimate | None


def figures(family: FamilyMetrics, nodes: Mapping[str, Metrics]) -> dict[str, Mapping[str, object]]:
    """``family``, ``flat`` (where there is one) and ``nodes`` as summary.json has them, and as gates name them."""
    flat = {"flat": family.flat.summary()} if family.flat else {}
    return {"family": family.summary(), **flat, "nodes": {name: metrics.summary() for name, metrics in nodes.items()}}


def metric_names(nodes: Iterable[str], *, flat: bool) -> frozenset[str]:
    """Every name that a gate of such a run may have, known before anything is trained."""
    names = {f"family.{name}" for name in FamilyMetrics.figure_names() if flat or not name.startswith("minus_flat")}
    names |= {f"flat.{name}" for name in SpeciesMetrics.figure_names() if flat}
    # A latency says something about one machine on one day: no gate may turn on it.
    names -= {"family.latency_ms", "flat.latency_ms"}
    return frozenset(names | {f"nodes.{node}.{name}" for node in nodes for name in Metrics.figure_names()})


def family_metrics(
    predictions: FamilyPredictions,
    taxonomy: Taxonomy,
    group_of: Mapping[str, str],
    *,
    clusters: Sequence[str] | None = None,
    cost: Cost | None = None,
    flat_cost: Cost | None = None,
) -> FamilyMetrics:
    """``group_of``: species id -> group. ``clusters``: the cluster id of each photograph; a burst of one plant then
    counts as one piece of evidence in every interval.
    Raises DataError where there is no photograph.
    """
    numbers = number_clusters(clusters, len(predictions))
    truth, flat = predictions.species_id, predictions.flat
    hits = (predictions.predicted_species == truth).astype(np.float64)
    own = _species_metrics(truth, predictions.answers, taxonomy, group_of, numbers, cost)
    return FamilyMetrics(
        **dict(own),
        routing=share(predictions.routed_group == predictions.group, numbers),
        oracle_top1=share(predictions.oracle_species == truth, numbers),
        children_run=float(predictions.num_children_run.mean()),
        flat=_species_metrics(truth, flat, taxonomy, group_of, numbers, flat_cost) if flat else None,
        minus_flat=bootstrap(mean_of(hits - (flat.first == truth)), numbers) if flat else None,
    )


def _species_metrics(
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
