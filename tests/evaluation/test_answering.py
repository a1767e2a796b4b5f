"""What users are told, and how much of it is right."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from earthsnap_train.evaluation.answering import judge_answers
from earthsnap_train.evaluation.figures import Answering, FamilyMetrics
from earthsnap_train.evaluation.predictions import Answers, FamilyPredictions
from tests.evaluation.conftest import PROMISED
from tests.evaluation.test_family_metrics import GROUPING, TAXONOMY, cascade

SPECIES = ("apple", "rose", "nettle", "lily")
TOLD = {  # probabilities of the four; with a threshold of 0.6:
    "apple": (0.9, 0.1, 0.0, 0.0),  # a species
    "rosaceae": (0.5, 0.4, 0.1, 0.0),  # a family
    "rosales": (0.3, 0.2, 0.4, 0.1),  # an order
    "nothing": (0.25, 0.1, 0.15, 0.5),
}


def photographs(*seen: tuple[str, str]) -> tuple[FamilyPredictions, np.ndarray]:
    """(the truth, what is told of it) of each."""
    species_BS = np.asarray([TOLD[told] for _, told in seen], dtype=np.float32)
    answers = Answers.from_probabilities(SPECIES, species_BS)
    predictions = cascade([truth for truth, _ in seen], answers.first.tolist())
    return replace(predictions, answers=answers), species_BS


def judged(*seen: tuple[str, str], **changes: Any) -> Answering:
    predictions, species_BS = photographs(*seen)
    return judge_answers(predictions, species_BS, SPECIES, TAXONOMY, PROMISED.model_copy(update=changes))


def test_an_answer_at_any_rank_is_right_above_the_truth_and_silence_is_no_mistake() -> None:
    said = judged(("apple", "apple"), ("rose", "rosaceae"), ("lily", "rosales"), ("rose", "apple"), ("lily", "nothing"))
    assert said.answered.value == pytest.approx(4 / 5)
    assert said.answered_right.value == pytest.approx(2 / 4)
    assert said.answered_as_species.value == pytest.approx(2 / 5)
    shares = {row.rank: (row.answered.value, row.right and row.right.value) for row in said.by_rank}
    assert shares == {"order": (0.2, 0.0), "family": (0.2, 1.0), "species": (0.4, 0.5)}


def test_species_alone_are_refused_by_a_threshold_of_their_own() -> None:
    alone = PROMISED.species_alone.model_copy(update={"unsure_below": 0.5})
    said = judged(("apple", "apple"), ("rose", "rosaceae"), ("apple", "rosales"), species_alone=alone)
    assert said.species_alone_answered.value == pytest.approx(2 / 3)
    assert said.species_alone_right.value == pytest.approx(1 / 2)


def test_groups_are_judged_by_the_truth() -> None:
    said = judged(("apple", "apple"), ("apple", "nothing"), ("lily", "apple"))
    rows = {row.group: (row.num_images, row.answered.value, row.right and row.right.value) for row in said.by_group}
    assert rows == {"rosaceae": (2, 0.5, 1.0), "rest": (1, 1.0, 0.0)}
    assert set(rows) <= set(GROUPING.values())


def test_where_nothing_is_said_nothing_said_is_wrong_and_nothing_is_known_of_it() -> None:
    said = judged(("apple", "nothing"))
    assert said.answered.value == 0
    assert (said.answered_right.value, said.answered_right.low, said.answered_right.high) == (1, 0, 1)
    assert all(row.right is None for row in said.by_rank)


def test_the_chosen_threshold_lies_on_the_curve() -> None:
    said = judged(*[("apple", "apple")] * 3, ("rose", "rosaceae"), ("lily", "rosales"), ("lily", "nothing"))
    (point,) = [point for point in said.curve if point.unsure_below == PROMISED.unsure_below]
    assert (point.answered, point.right) == (said.answered.value, said.answered_right.value)
    (alone,) = [
        point for point in said.species_alone_curve if point.unsure_below == PROMISED.species_alone.unsure_below
    ]
    assert (alone.answered, alone.right) == (said.species_alone_answered.value, said.species_alone_right.value)


def test_pictures_of_one_plant_widen_the_interval() -> None:
    seen = [("apple", "apple"), ("rose", "apple")] * 20
    predictions, species_BS = photographs(*seen)
    alone = judge_answers(predictions, species_BS, SPECIES, TAXONOMY, PROMISED)
    plants = np.array([f"{truth}-{place // 10}" for place, (truth, _) in enumerate(seen)])
    bursts = judge_answers(replace(predictions, cluster_id=plants), species_BS, SPECIES, TAXONOMY, PROMISED)
    assert bursts.answered_right.high - bursts.answered_right.low > alone.answered_right.high - alone.answered_right.low


def test_figures_of_a_release_that_was_made_without_it_are_read(make_report: Any) -> None:
    metrics: FamilyMetrics = make_report().metrics
    old = metrics.model_dump(mode="json", exclude={"answering"})
    read = FamilyMetrics.model_validate(old)
    assert read.answering is None
    assert "answered" not in read.summary()
    assert metrics.summary()["answered"] == pytest.approx(metrics.answering.answered.value if metrics.answering else -1)
