from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from earthsnap_train.evaluation.family_metrics import distances, family_metrics
from earthsnap_train.evaluation.figures import Cost, FamilyMetrics, figures, metric_names
from earthsnap_train.evaluation.metrics import node_metrics
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions, NodePredictions
from earthsnap_train.taxonomy.tree import Species, Taxonomy

RANKS = {
    "apple": ("Rosales", "Rosaceae"),
    "rose": ("Rosales", "Rosaceae"),
    "nettle": ("Rosales", "Urticaceae"),
    "lily": ("Liliales", "Liliaceae"),
}
TAXONOMY = Taxonomy(
    ranks=("order", "family"),
    species=tuple(
        Species(species_id=name, scientific_name=name, common_name=None, ranks=(("order", a), ("family", b)))
        for name, (a, b) in sorted(RANKS.items())
    ),
)
GROUPING = {"apple": "rosaceae", "rose": "rosaceae", "nettle": "rest", "lily": "rest"}


def answers(names: list[str]) -> Answers:
    return Answers(names=np.array(names)[:, None], probability=np.full((len(names), 1), 0.5))


def cascade(
    truth: list[str], named: list[str], *, flat: list[str] | None = None, oracle: list[str] | None = None
) -> FamilyPredictions:
    groups = np.array([GROUPING.get(name, "") for name in named])
    ids = np.array([f"{number:05d}" for number in range(len(truth))])
    return FamilyPredictions(
        image_id=ids,
        uri=ids,
        cluster_id=ids,
        species_id=np.array(truth),
        group=np.array([GROUPING[name] for name in truth]),
        predicted_group=groups,
        answers=answers(named),
        routed_group=groups,
        routed_probability=np.full(len(truth), 0.9),
        oracle_species=np.array(oracle or truth),
        num_children_run=np.full(len(truth), 2, dtype=np.int32),
        flat=answers(flat) if flat else None,
    )


def test_errors_are_split_by_cause() -> None:
    truth = ["apple", "apple", "rose", "lily", "nettle"]
    named = ["apple", "rose", "lily", "lily", "rose"]
    metrics = family_metrics(
        cascade(truth, named, oracle=["apple", "rose", "rose", "lily", "nettle"]), TAXONOMY, GROUPING
    )
    assert metrics.top1.value == pytest.approx(2 / 5)
    assert metrics.misnamed.value == pytest.approx(1 / 5)
    assert metrics.misrouted.value == pytest.approx(2 / 5)
    assert metrics.routing.value == pytest.approx(3 / 5)
    assert metrics.oracle_top1.value == pytest.approx(4 / 5)
    assert metrics.children_run == 2


@pytest.mark.parametrize("seed", range(5))
def test_misrouted_and_misnamed_add_up_to_all_that_is_wrong(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, named, flat = (generator.choice(sorted(GROUPING), 60).tolist() for _ in range(3))
    metrics = family_metrics(cascade(truth, named, flat=flat), TAXONOMY, GROUPING)
    assert metrics.flat is not None
    for one in (metrics, metrics.flat):
        assert one.misrouted.value + one.misnamed.value == pytest.approx(1 - one.top1.value)


def test_severity_counts_the_ranks_between_truth_and_answer() -> None:
    truth, named = ["apple", "apple", "apple", "apple"], ["apple", "rose", "nettle", "lily"]
    assert distances(np.array(truth), np.array(named), TAXONOMY).tolist() == [0, 1, 2, 3]
    metrics = family_metrics(cascade(truth, named), TAXONOMY, GROUPING)
    assert metrics.mistake_severity == pytest.approx(2.0)
    assert metrics.severity.value == pytest.approx(1.5)


def test_a_family_without_mistakes_has_severity_zero() -> None:
    assert family_metrics(cascade(["apple", "lily"], ["apple", "lily"]), TAXONOMY, GROUPING).mistake_severity == 0


def test_an_answer_that_was_not_given_is_misrouted_and_as_far_off_as_can_be() -> None:
    metrics = family_metrics(cascade(["apple", "lily"], ["", "lily"]), TAXONOMY, GROUPING)
    assert metrics.misrouted.value == 0.5
    assert metrics.mistake_severity == 3


def test_the_flat_baseline_is_judged_on_the_same_photographs() -> None:
    truth = ["apple", "rose", "nettle", "lily"]
    metrics = family_metrics(
        cascade(truth, truth, flat=["apple", "apple", "rose", "lily"]),
        TAXONOMY,
        GROUPING,
        cost=Cost(multiply_adds=2e8, latency_ms=12.5),
        flat_cost=Cost(multiply_adds=1e8, latency_ms=None),
    )
    assert metrics.flat is not None
    assert (metrics.flat.top1.value, metrics.flat.misnamed.value, metrics.flat.misrouted.value) == (0.5, 0.25, 0.25)
    assert (metrics.latency_ms, metrics.flat.latency_ms) == (12.5, None)
    assert metrics.minus_flat is not None
    assert metrics.minus_flat.value == 0.5


def test_the_paired_interval_is_narrower_than_two_separate_ones_could_be() -> None:
    generator = np.random.default_rng(0)
    truth = generator.choice(sorted(GROUPING), 300)
    named = np.where(generator.random(300) < 0.3, "lily", truth)
    flat = np.where(np.arange(300) < 12, "apple", named)
    metrics = family_metrics(cascade(truth.tolist(), named.tolist(), flat=flat.tolist()), TAXONOMY, GROUPING)
    assert metrics.flat is not None
    assert metrics.minus_flat is not None
    assert 0 <= metrics.minus_flat.low <= metrics.minus_flat.value <= metrics.minus_flat.high
    assert metrics.minus_flat.high - metrics.minus_flat.low < metrics.top1.high - metrics.top1.low


def test_bursts_of_one_plant_widen_the_intervals() -> None:
    generator = np.random.default_rng(0)
    right = np.repeat(generator.random(40) < 0.7, 10)
    truth = np.repeat("apple", 400)
    named = np.where(right, "apple", "rose")
    predictions = cascade(truth.tolist(), named.tolist(), flat=truth.tolist())
    free = family_metrics(predictions, TAXONOMY, GROUPING)
    plants = np.repeat(np.arange(40), 10).astype(str)
    bursts = family_metrics(replace(predictions, cluster_id=plants), TAXONOMY, GROUPING)
    assert free.minus_flat is not None
    assert bursts.minus_flat is not None
    assert bursts.top1.value == free.top1.value
    assert bursts.top1.high - bursts.top1.low > 2 * (free.top1.high - free.top1.low)
    assert bursts.minus_flat.high - bursts.minus_flat.low > 2 * (free.minus_flat.high - free.minus_flat.low)


@pytest.mark.parametrize("flat", [None, ["apple", "lily"]])
def test_every_figure_has_a_name_that_was_known_beforehand(make_report: Any, flat: list[str] | None) -> None:
    family = family_metrics(
        cascade(["apple", "lily"], ["apple", "rose"], flat=flat),
        TAXONOMY,
        GROUPING,
        cost=Cost(multiply_adds=1.0, latency_ms=None),
        flat_cost=Cost(multiply_adds=1.0, latency_ms=None),
        answering=make_report().metrics.answering,
    )
    ids = np.array(["a"])
    parent = node_metrics(NodePredictions(image_id=ids, uri=ids, truth=np.array(["rest"]), answers=answers(["rest"])))
    measured: Any = figures(family, {"parent": parent})
    names = {f"{part}.{name}" for part in ("family", "flat") for name in measured.get(part, {})}
    names |= {f"nodes.parent.{name}" for name in measured["nodes"]["parent"]}
    assert names == metric_names(["parent"], flat=flat is not None)


def test_a_gate_cannot_speak_of_a_latency_since_it_says_more_about_the_machine() -> None:
    assert not [name for name in metric_names(["parent"], flat=True) if "latency" in name]


def test_family_metrics_come_back_from_json() -> None:
    metrics = family_metrics(cascade(["apple", "lily"], ["apple", "rose"], flat=["apple", "lily"]), TAXONOMY, GROUPING)
    assert FamilyMetrics.model_validate_json(metrics.model_dump_json()) == metrics
