import pytest

from earthsnap_train.evaluation.gates import judge
from earthsnap_train.evaluation.wording import gate_words, of_hundred, points, promise, shade, short_time
from earthsnap_train.spec.evaluation import Gate
from tests.evaluation.conftest import PROMISED


def test_marks_add_up_to_a_hundred() -> None:
    assert of_hundred(0.919, 0.017, 0.064) == (92, 2, 6)
    assert of_hundred(1 / 3, 1 / 3, 1 / 3) == (33, 34, 33)
    assert of_hundred(1.0, 0.0, 0.0) == (100, 0, 0)


@pytest.mark.parametrize("misrouted", [0.0, 0.007, 0.014])
def test_the_causes_of_mistakes_do_not_change_how_many_are_right(misrouted: float) -> None:
    assert of_hundred(0.986, 0.014 - misrouted, misrouted)[0] == 99
    assert of_hundred(0.996, 0.004, 0.0)[0] == 99  # a hundred would be all


@pytest.mark.parametrize(
    ("recall", "step"), [(0.0, "0"), (0.5, "1"), (0.89, "3"), (0.9, "4"), (1.0, "5"), (None, "none")]
)
def test_recall_has_six_shades(recall: float | None, step: str) -> None:
    assert shade(recall) == step


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (42.0, "42 s"), (150.0, "2 min 30 s"), (7260.0, "2 h 01 min")]
)
def test_times_are_written_for_people(seconds: float, text: str) -> None:
    assert short_time(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.0312, "+3.1"), (-0.2, "−20.0"), (-0.0001, "0.0"), (0.0, "0.0")])
def test_a_difference_has_a_sign_where_there_is_one(value: float, text: str) -> None:
    assert points(value) == text


@pytest.mark.parametrize(
    ("metric", "gate", "words"),
    [
        ("family.top1", Gate(min=0.9), ("named right", "91.0%", "at least 90.0%")),
        ("family.top1", Gate(min=0.9104), ("named right", "91.000%", "at least 91.040%")),
        ("family.top1_low", Gate(min=0.9), ("named right, lower bound", "91.0%", "at least 90.0%")),
        (
            "family.answered_right_low",
            Gate(min=0.95),
            ("right when it answers, lower bound", "91.0%", "at least 95.0%"),
        ),
        ("family.minus_flat", Gate(min=-0.01), ("beside the flat network", "+91.0", "at least −1.0 points")),
        ("nodes.child/rosales.ece", Gate(max=0.1), ("child/rosales: off in its certainty", "91.0%", "at most 10.0%")),
        (
            "champion.top1_high",
            Gate(min=-0.01),
            ("named right, upper bound, beside the champion", "+91.0", "at least −1.0 points"),
        ),
        ("champion.num_worse", Gate(max=0), ("species that got worse, beside the champion", "0.91", "at most 0")),
        ("champion.size_ratio", Gate(max=2), ("size_ratio, beside the champion", "0.91", "at most 2")),
        ("family.latency_ms", Gate(max=30), ("latency_ms", "0.91", "at most 30")),
    ],
)
def test_gates_are_put_in_words(metric: str, gate: Gate, words: tuple[str, str, str]) -> None:
    assert gate_words(judge({metric: 0.91}, {metric: gate})[0]) == words


def test_a_gate_that_was_not_judged_says_why() -> None:
    result = judge({}, {"family.minus_flat": Gate(min=0.0)})[0]

    assert gate_words(result) == ("beside the flat network", "not judged:", "there is no flat baseline")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Of species that it knows, at least 95% of what it says is right. 380 validation photographs (one of each plant, "
             "of 400) stand behind this promise: for 95% of such sets of photographs it is kept."),
        ({"outcome": "by_hand"}, "Nothing is promised: it says what it holds to be 60% likely, as was declared."),
        ({"outcome": "too_few", "num_needed": 1234},
         "Nothing is promised: 380 validation photographs (one of each plant, of 400) are too few to promise that 95% of what "
         "it says is right; it would take 1,234 or more. Until then it says what it holds to be 60% likely."),
        ({"outcome": "too_often_wrong"},
         "Nothing is promised: of 380 validation photographs (one of each plant, of 400) too many were named wrong, however "
         "sure it was, to promise that 95% of what it says is right. Until then it says what it holds to be 60% likely."),
    ],
)  # fmt: skip
def test_what_stands_behind_the_answers_is_said_and_so_is_that_nothing_does(
    changes: dict[str, object], words: str
) -> None:
    assert promise(PROMISED.model_copy(update=changes)) == words
