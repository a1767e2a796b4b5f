"""What goes out as ranges comes back as values of the declared space, and nothing else comes in."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from earthsnap_train.errors import StageError
from earthsnap_train.spec.tuning import Dimension, Value
from launchers.sagemaker.ranges import ranges_of, values_of


def space(**dimensions: dict[str, Any]) -> dict[str, Dimension]:
    return TypeAdapter(dict[str, Dimension]).validate_python(dimensions)


SPACE = space(
    lr={"kind": "float", "low": 0.0003, "high": 0.03, "log": True},
    batch_size={"kind": "int", "low": 8, "high": 64},
    ema_decay={"kind": "choice", "of": [None, 0.9, "null", 1, True]},
)
WORDS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
GIVEN = {"lr": "0.001", "batch_size": "16", "ema_decay": "null"}


@settings(deadline=None, max_examples=50)
@given(st.lists(WORDS, min_size=1, max_size=30))
def test_every_choice_comes_back_as_what_it_was(values: list[Value]) -> None:
    choices = space(key={"kind": "choice", "of": values})
    (sent,) = ranges_of(choices, search="tune/x")["CategoricalParameterRanges"]

    came = [values_of({"key": word}, choices)["key"] for word in sent["Values"]]

    assert [(type(one), one) for one in came] == [(type(one), one) for one in values]


def test_numbers_come_back_as_the_kind_that_was_declared() -> None:
    found = values_of(GIVEN | {"ema_decay": '"null"'}, SPACE)

    assert found == {"lr": 0.001, "batch_size": 16, "ema_decay": "null"}
    assert type(found["batch_size"]) is int
    assert values_of(GIVEN | {"ema_decay": "true"}, SPACE)["ema_decay"] is True
    assert values_of(GIVEN | {"lr": "3e-4"}, SPACE)["lr"] == 0.0003


def test_what_the_service_adds_of_its_own_is_left_out() -> None:
    assert values_of(GIVEN | {"_tuning_objective_metric": "val_loss"}, SPACE).keys() == SPACE.keys()


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"lr": "0.5"}, "lr"),
        ({"lr": "nan"}, "lr"),
        ({"lr": "much"}, "lr"),
        ({"batch_size": "16.5"}, "batch_size"),
        ({"batch_size": "4"}, "batch_size"),
        ({"ema_decay": "0.8"}, "ema_decay"),
        ({"ema_decay": "None"}, "ema_decay"),
    ],
)
def test_a_value_that_the_search_does_not_have_is_refused(changes: dict[str, str], where: str) -> None:
    with pytest.raises(StageError, match="is no value that the search has") as caught:
        values_of(GIVEN | changes, SPACE)
    assert caught.value.where == where


@pytest.mark.parametrize("given", [GIVEN | {"method": "full"}, {k: v for k, v in GIVEN.items() if k != "lr"}, {}])
def test_other_keys_than_those_that_are_searched_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(StageError, match="not the keys that are searched"):
        values_of(given, SPACE)
