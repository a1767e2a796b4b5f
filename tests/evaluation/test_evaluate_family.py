"""The whole cascade is judged as users will meet it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earthsnap_train.data.photographs import Photographs
from earthsnap_train.errors import DataError
from earthsnap_train.evaluation.family_metrics import distances
from earthsnap_train.evaluation.figures import FamilyMetrics
from earthsnap_train.evaluation.predictions import FamilyPredictions, NodePredictions
from earthsnap_train.release.load import open_release
from earthsnap_train.serving.answer import Words

STAGE = "evaluate/family"


def judged(family: Any) -> tuple[FamilyPredictions, FamilyMetrics]:
    out = family.out(STAGE)
    predictions = FamilyPredictions.read(out / "predictions.parquet")
    return predictions, FamilyMetrics.model_validate_json((out / "metrics.json").read_bytes())


@pytest.mark.parametrize("architecture", ["parent_child", "flat"])
def test_the_family_is_judged_by_the_answers_that_its_release_gives(
    tiny: Callable[..., Any], architecture: str
) -> None:
    family = tiny("training=head", f"architecture={architecture}")
    predictions, metrics = judged(family)
    engine = open_release(family.release()).engine
    settings = family.plan.stage(STAGE).settings["family"]["photographs"]
    batches = Photographs.model_validate(settings).batches(
        predictions.image_id.tolist(), manifest=family.out("ingest"), photographs=family.places["photographs"]
    )
    species_BS = engine.answer(np.concatenate(list(batches))).species_BS
    first = [engine.family.species[place] for place in species_BS.argmax(axis=1)]
    assert predictions.answers.first.tolist() == first
    assert metrics.top1.value == pytest.approx(np.mean(predictions.answers.first == predictions.species_id))


@pytest.mark.parametrize("architecture", ["parent_child", "flat"])
def test_a_family_that_names_the_nearest_first_is_judged_by_that_and_served_so(
    tiny: Callable[..., Any], architecture: str
) -> None:
    usual = tiny("training=head", f"architecture={architecture}")
    family = tiny("training=head", f"architecture={architecture}", "architecture.named_first=least_expected_distance")
    (before, likeliest), (predictions, metrics) = judged(usual), judged(family)
    opened = open_release(family.release())
    words = Words(opened.engine.family, opened.taxonomy, 5)
    settings = family.plan.stage(STAGE).settings["family"]["photographs"]
    batches = Photographs.model_validate(settings).batches(
        predictions.image_id.tolist(), manifest=family.out("ingest"), photographs=family.places["photographs"]
    )
    answer = opened.engine.answer(np.concatenate(list(batches)))
    served = [
        words.say(species_S[None], groups_G[None])["species"][0]["species_id"]
        for species_S, groups_G in zip(answer.species_BS, answer.groups_BG, strict=True)
    ]
    assert predictions.answers.first.tolist() == served
    assert (predictions.answers.first != before.answers.first).any()
    assert metrics.severity.value == distances(predictions.species_id, np.asarray(served), opened.taxonomy).mean()
    assert (metrics.named_first, likeliest.named_first) == ("least_expected_distance", "likeliest")
    assert (metrics.answering, metrics.flat) == (likeliest.answering, likeliest.flat)


def test_mistakes_are_misrouted_or_misnamed_and_nothing_else(tiny: Callable[..., Any]) -> None:
    _, metrics = judged(tiny("training=head"))
    assert metrics.misrouted.value + metrics.misnamed.value == pytest.approx(1 - metrics.top1.value)


def test_the_oracle_is_what_the_true_groups_child_says(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head")
    predictions, _ = judged(family)
    child = NodePredictions.read(family.out("evaluate/child/rosaceae") / "predictions.parquet")
    said = dict(zip(child.image_id.tolist(), child.answers.first.tolist(), strict=True))
    for image_id, group, oracle in zip(
        predictions.image_id.tolist(), predictions.group.tolist(), predictions.oracle_species.tolist(), strict=True
    ):
        if group == "rosaceae":
            assert oracle == said[image_id]
        elif group == "ginkgoaceae":
            assert oracle == "ginkgo-biloba"


def test_the_flat_baseline_stands_beside_the_family_only_where_it_was_declared(tiny: Callable[..., Any]) -> None:
    _, beside = judged(tiny("training=head"))
    _, alone = judged(tiny("training=head", "evaluation.flat=off"))
    assert beside.flat is not None
    assert alone.flat is None
    assert alone.top1 == beside.top1


def test_gates_are_judged_and_latency_stays_out_of_the_content(tiny: Callable[..., Any]) -> None:
    family = tiny("training=head", "evaluation.gates.family={top1: {min: 1.0}, ece: null}")
    gates = json.loads((family.out(STAGE) / "gates.json").read_text())
    assert [(gate["metric"], gate["passed"]) for gate in gates] == [("family.top1", False)]
    latency = json.loads((family.out(STAGE) / "notes/latency_ms.json").read_text())
    assert latency.keys() == {"family", "flat"}
    assert all(value > 0 for value in latency.values())
    _, metrics = judged(family)
    assert metrics.latency_ms is None


def test_without_a_test_photograph_nothing_is_judged(tiny: Callable[..., Any], tmp_path: Path) -> None:
    family = tiny("training=head")
    stranger = family.plan.stage(STAGE).settings["family"] | {
        "species": ["nobody"], "group_of": {"nobody": "rosaceae"}
    }  # fmt: skip
    with pytest.raises(DataError, match="no photograph is in the test split"):
        family.run(STAGE, tmp_path / "out", settings={"family": stranger})
