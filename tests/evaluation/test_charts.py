import re

import pytest

from earthsnap_train.evaluation import charts
from earthsnap_train.evaluation.figures import ReliabilityBin, ThresholdPoint
from earthsnap_train.evaluation.report import CurvePoint


def test_a_waffle_has_one_mark_for_each_of_its_hundred_photographs() -> None:
    drawing = charts.waffle(90, 4, 6, "of 100")
    assert [len(re.findall(f'class="{kind}"', drawing)) for kind in ("right", "misnamed", "misrouted")] == [90, 4, 6]


def test_marks_stay_inside_their_drawing() -> None:
    places = re.findall(r'cx="(\d+)" cy="(\d+)"', charts.waffle(100, 0, 0, "of 100"))
    assert {int(x) for x, _ in places} == {int(y) for _, y in places} == set(range(6, 120, 12))


def test_reliability_puts_certainty_across_and_success_up() -> None:
    drawing = charts.reliability([ReliabilityBin(num_images=1, confidence=1.0, right=0.5)], None)
    assert re.findall(r'class="family point" cx="([\d.]+)" cy="([\d.]+)"', drawing) == [("344.0", "160.0")]
    assert "flat point" not in drawing


def test_a_curve_rises_with_top1_and_skips_what_was_not_measured() -> None:
    points = [
        CurvePoint(step=10, train_loss=2.0, val_top1=0.0),
        CurvePoint(step=20, train_loss=None, val_top1=None),
        CurvePoint(step=30, train_loss=1.0, val_top1=1.0),
    ]
    drawing = charts.curve(points, "curve of parent")
    assert 'class="val-top1 line" d="M3.0 69.0L197.0 3.0"' in drawing
    assert 'class="train-loss line" d="M3.0 3.0L197.0 36.0"' in drawing
    assert 'class="val-loss line" d=""' in drawing


@pytest.mark.parametrize("point", [CurvePoint(step=1), CurvePoint(step=0, train_loss=0.0, val_top1=0.5)])
def test_a_curve_of_one_point_can_be_drawn(point: CurvePoint) -> None:
    assert charts.curve([point], "short").startswith("<svg")


def test_labels_are_escaped() -> None:
    assert "&lt;b&gt;" in charts.waffle(100, 0, 0, "<b>")


def test_the_picture_of_answers_begins_where_something_is_said_and_marks_where_it_stands() -> None:
    points = [
        ThresholdPoint(unsure_below=0.99, answered=0.0, right=1.0),
        ThresholdPoint(unsure_below=0.9, answered=0.6, right=1.0),
        ThresholdPoint(unsure_below=0.5, answered=1.0, right=0.8),
    ]
    drawing = charts.answering(points, points[:2], (1.0, 0.8), (0.6, 1.0), 0.95)
    assert 'class="family line" d="M44.0 10.0L344.0 220.0"' in drawing
    assert re.findall(r'class="(\w+) point" cx="([\d.]+)" cy="([\d.]+)"', drawing) == [
        ("flat", "44.0", "10.0"), ("family", "344.0", "220.0"),
    ]  # fmt: skip
    assert 'class="ideal" d="M44 62.5h300"' in drawing


@pytest.mark.parametrize("said", [0.0, 1.0])
def test_answers_of_nothing_or_of_everything_can_be_drawn(said: float) -> None:
    points = [ThresholdPoint(unsure_below=0.5, answered=said, right=1.0)]
    assert charts.answering(points, points, (said, 1.0), (said, 1.0), 0.95).startswith("<svg")
