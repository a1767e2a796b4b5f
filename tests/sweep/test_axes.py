"""What is varied, in words that Hydra reads back."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.tuning import Choice, FloatRange, IntRange, Space
from earthsnap_train.sweep.axes import Axis, combinations, declared_axes, is_varied, overrides, word

LR = Axis(key="training.lr", dimension=FloatRange(kind="float", low=0.001, high=0.1, log=True, when={}))
BATCH = Axis(key="training.batch_size", dimension=IntRange(kind="int", low=8, high=24, step=8, when={}))
METHOD = Axis(key="training", dimension=Choice(kind="choice", of=["head", "full"], when={}))


@pytest.mark.parametrize(
    "value",
    [None, True, False, 3, -2, 0.1, 1e-07, "plain", "a b", "it's", "null", "TRUE", "1.5", "", "a\\", "a\\'b", "x,y",
     "[1]", "naïve", "a/b.c-d"],
)  # fmt: skip
def test_a_word_is_read_back_as_the_value_that_it_was(value: object) -> None:
    read = OverridesParser.create().parse_override(f"key={word(value)}").value()

    assert (type(read), read) == (type(value), value)


def test_the_last_axis_changes_fastest() -> None:
    assert [overrides([METHOD, BATCH], one) for one in combinations([METHOD, BATCH])] == [
        ["training=head", "training.batch_size=8"],
        ["training=head", "training.batch_size=16"],
        ["training=head", "training.batch_size=24"],
        ["training=full", "training.batch_size=8"],
        ["training=full", "training.batch_size=16"],
        ["training=full", "training.batch_size=24"],
    ]


def test_without_an_axis_there_is_one_job() -> None:
    assert combinations([]) == [{}]


def test_a_grid_refuses_what_it_cannot_count() -> None:
    with pytest.raises(ConfigError, match="cannot go through all numbers from") as refused:
        combinations([LR])

    assert refused.value.where == "training.lr"
    assert "sampler=tpe" in refused.value.remedy


def test_an_axis_that_adds_a_key_keeps_its_plus() -> None:
    axis = Axis(key="++nodes.child.lr", dimension=Choice(kind="choice", of=["0.1"], when={}))

    assert overrides([axis], {"nodes.child.lr": "0.1"}) == ["++nodes.child.lr=0.1"]


# ---- the declared space


def space(**dimensions: dict[str, object]) -> Space:
    kinds = {"float": FloatRange, "int": IntRange, "choice": Choice}
    return {name: kinds[str(one["kind"])].model_validate(one) for name, one in dimensions.items()}


def test_what_others_depend_on_comes_first() -> None:
    axes = declared_axes(
        space(
            ema_decay={"kind": "float", "low": 0.9, "high": 0.99, "when": {"method": ["full"]}},
            method={"kind": "choice", "of": ["head", "full"]},
        )
    )

    assert [axis.key for axis in axes] == ["training.method", "training.ema_decay"]


def test_a_condition_looks_at_the_job_first_and_at_the_declaration_where_the_job_says_nothing() -> None:
    (axis,) = declared_axes(
        space(lr={"kind": "float", "low": 0.1, "high": 0.2, "when": {"ema_decay": [None], "method": ["head"]}})
    )
    declared = {"training.ema_decay": None, "training.method": "full"}

    assert is_varied(axis, {"training.method": "head"}, declared)
    assert is_varied(axis, {}, declared | {"training.method": "head"})
    assert not is_varied(axis, {}, declared)
    assert not is_varied(axis, {"training.method": "head", "training.ema_decay": 0.9}, declared)


def test_conditions_in_a_circle_are_refused() -> None:
    circle = space(
        method={"kind": "choice", "of": ["head"], "when": {"imbalance": ["none"]}},
        imbalance={"kind": "choice", "of": ["none"], "when": {"method": ["head"]}},
    )

    with pytest.raises(ConfigError, match=r"in a circle: (method -> imbalance|imbalance -> method)"):
        declared_axes(circle)


@pytest.mark.parametrize(
    "typo",
    [
        {"lrr": {"kind": "float", "low": 0.1, "high": 0.2}},
        {"lr": {"kind": "float", "low": 0.1, "high": 0.2, "when": {"lrr": [1]}}},
    ],
)
def test_a_key_that_training_lacks_is_refused_with_the_nearest(typo: dict[str, dict[str, object]]) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'training\.lr'"):
        declared_axes(space(**typo))
