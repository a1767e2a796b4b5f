"""A line of figures a minute, held against the specification of CloudWatch's embedded metric format."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earthsnap_train.serving.minutes import MAX_VALUES, Minutes, begin, line

UNITS = {"Seconds", "Microseconds", "Milliseconds", "Bytes", "Percent", "Count", "None"}
ABOUT = {"Endpoint": "plants-prod", "Release": "plants-7"}


def require_valid(text: str) -> None:
    """What the specification asks of a line, of what we use of it."""
    assert "\n" not in text
    assert len(text.encode()) < 1 << 18
    said = json.loads(text)
    metadata = said["_aws"]
    assert isinstance(metadata["Timestamp"], int)
    [directive] = metadata["CloudWatchMetrics"]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert 1 <= len(directive["Namespace"]) <= 1024
    for names in directive["Dimensions"]:
        assert len(names) <= 30
        assert all(isinstance(said[name], str) and 1 <= len(said[name]) <= 1024 for name in names)
    assert len(directive["Metrics"]) <= 100
    for metric in directive["Metrics"]:
        assert set(metric) == {"Name", "Unit"}
        assert metric["Unit"] in UNITS
        value = said[metric["Name"]]
        values = value if isinstance(value, list) else [value]
        assert 1 <= len(values) <= 100
        assert all(isinstance(one, int | float) and abs(one) < 2**360 for one in values)


@given(st.lists(st.floats(0, 60_000), min_size=1, max_size=1000))
def test_a_line_is_in_the_embedded_metric_format_however_many_answers_it_tells_of(latencies_ms: list[float]) -> None:
    require_valid(line(ABOUT, (len(latencies_ms), 0, 0), latencies_ms, at_ms=1_795_000_000_000))


def test_of_many_latencies_as_many_stay_as_the_format_takes_and_their_percentiles_hold() -> None:
    said = json.loads(line(ABOUT, (10_000, 0, 0), [float(ms) for ms in range(10_000)], at_ms=0))["Latency"]
    assert len(said) == MAX_VALUES
    assert (said[0], said[-1]) == (0, 9999)
    assert said[94] == pytest.approx(9500, abs=100)


def test_a_minute_counts_errors_and_unsure_answers_and_begins_anew() -> None:
    said: list[str] = []
    minutes = Minutes("plants-7", "plants-prod", said.append, every_s=0.02, clock=lambda: 7.0)
    for code in (200, 200, 400, 429, 503):
        minutes.answered(code, 0.01)
    minutes.named("certain")
    minutes.named("rolled_up")
    minutes.close()

    [told] = map(json.loads, said)
    assert {name: told[name] for name in ("Requests", "Errors", "Unsure")} == {"Requests": 5, "Errors": 2, "Unsure": 1}
    assert told["Latency"] == [10.0] * 5
    assert told["_aws"]["Timestamp"] == 7000


def test_a_minute_in_which_nobody_asked_says_nothing() -> None:
    said: list[str] = []
    Minutes("plants-7", "plants-prod", said.append).close()
    assert said == []


def test_nothing_is_said_where_no_endpoint_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EARTHSNAP_METRICS", raising=False)
    assert begin("plants-7") is None
