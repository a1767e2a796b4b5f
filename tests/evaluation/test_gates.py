import pytest
from pydantic import ValidationError

from earthsnap_train.errors import ConfigError
from earthsnap_train.evaluation.gates import champion_metric_names, check_names, judge
from earthsnap_train.spec.evaluation import Evaluation, Gate

SUMMARY = {"family": {"top1": 0.91, "ece": 0.04}, "nodes": {"child/rosales": {"top1": 0.8}}, "release": "plants-3"}


def gates(**declared: object) -> dict[str, Gate]:
    return Evaluation.model_validate({"flat": "off", "ablation": False, "gates": declared}).gates


def test_a_least_value_passes_at_its_bound_and_fails_below() -> None:
    assert judge(SUMMARY, {"family.top1": Gate(min=0.91)})[0].passed
    assert not judge(SUMMARY, {"family.top1": Gate(min=0.92)})[0].passed


def test_a_most_value_passes_at_its_bound_and_fails_above() -> None:
    assert judge(SUMMARY, {"family.ece": Gate(max=0.04)})[0].passed
    assert not judge(SUMMARY, {"family.ece": Gate(max=0.03)})[0].passed


def test_a_failed_gate_says_what_came_and_what_was_required() -> None:
    low, high = judge(SUMMARY, {"family.top1": Gate(min=0.95), "family.ece": Gate(max=0.03)})
    assert low.reason == "family.top1 is only 0.91; at least 0.95 is required"
    assert high.reason == "family.ece is as high as 0.04; at most 0.03 is required"


def test_gates_are_written_nested_or_dotted() -> None:
    nested = gates(family={"top1": {"min": 0.9}}, nodes={"child/rosales": {"top1": {"min": 0.5}}})
    assert nested == gates(**{"family.top1": {"min": 0.9}, "nodes.child/rosales.top1": {"min": 0.5}})
    assert [result.value for result in judge(SUMMARY, nested)] == [0.91, 0.8]


def test_null_takes_a_gate_away() -> None:
    assert gates(family={"top1": None, "ece": {"max": 0.1}}) == {"family.ece": Gate(max=0.1)}


@pytest.mark.parametrize("declared", [{"min": 0.1, "max": 0.2}, {}, {"min": None}])
def test_a_gate_has_exactly_one_direction(declared: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="exactly one of them"):
        gates(**{"family.top1": declared})


@pytest.mark.parametrize("declared", [0.9, {"least": 0.9}])
def test_a_gate_without_a_direction_is_refused(declared: object) -> None:
    with pytest.raises(ValidationError, match=r"family\.top1"):
        gates(**{"family.top1": declared})


def test_a_gate_beside_a_flat_baseline_is_not_judged_where_there_is_none() -> None:
    beside, own = judge(SUMMARY, {"family.minus_flat_low": Gate(min=0.0), "family.top1": Gate(min=0.95)})

    assert (beside.verdict, beside.value, beside.passed) == ("unjudged", None, True)
    assert beside.reason == "family.minus_flat_low is not judged: there is no flat baseline"
    assert own.verdict == "failed"


def test_a_gate_beside_a_flat_baseline_is_judged_where_there_is_one() -> None:
    (result,) = judge({"family": {"minus_flat": -0.03}}, {"family.minus_flat": Gate(min=-0.02)})

    assert result.verdict == "failed"


@pytest.mark.parametrize("misspelt", ["family.minus_fat", "flat.topl"])
def test_a_misspelt_gate_beside_a_flat_baseline_is_refused(misspelt: str) -> None:
    with pytest.raises(ConfigError, match="there is no metric"):
        judge(SUMMARY, {misspelt: Gate(min=0.0)})


def test_an_unknown_metric_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        judge(SUMMARY, {"family.topl": Gate(min=0.9)})
    message = str(caught.value)
    assert "evaluation.gates.family.topl: there is no metric 'family.topl' in this run" in message
    assert "Did you mean 'family.top1'?" in message


def test_gates_beside_the_champion_are_told_from_those_of_the_family_itself() -> None:
    evaluation = Evaluation.model_validate(
        {
            "flat": "off",
            "ablation": False,
            "gates": {"family": {"top1": {"min": 0.9}}, "champion": {"top1_high": {"min": -0.01}}},
        }
    )
    assert evaluation.own_gates.keys() == {"family.top1"}
    assert evaluation.champion_gates.keys() == {"champion.top1_high"}
    check_names(evaluation.champion_gates, champion_metric_names())
    with pytest.raises(ConfigError, match=r"Did you mean 'champion\.worst_species'"):
        check_names({"champion.worst_specie": Gate(min=0.0)}, champion_metric_names())


def test_names_can_be_checked_before_anything_is_measured() -> None:
    check_names({"family.top1": Gate(min=0.9)}, ["family.top1"])
    with pytest.raises(ConfigError, match=r"summary\.json of any run"):
        check_names({"speed": Gate(min=0.9)}, ["family.top1"])
