"""What a search may be declared as, and what is said to one that makes no sense."""

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.tuning import Search, in_order
from tests.conftest import declare


def search(*typed: str) -> Search:
    tuning = declare("name=x", "tuning=quick", *typed).tuning
    assert isinstance(tuning, Search)
    return tuning


@pytest.mark.parametrize(
    ("typed", "where", "said"),
    [
        ("tuning.direction=maximize", "tuning.direction", "minimize, for val_loss is better that way"),
        ("tuning.objective=val_top1", "tuning.direction", "maximize, for val_top1 is better that way"),
        ("tuning.space.lr.low=0.5", "tuning.space.lr.high", "more than low, which is 0.5"),
        ("tuning.space.lr.low=0", "tuning.space.lr.low", "above 0, for the range is logarithmic"),
        ("tuning.space.num_epochs={kind: int, low: 1, high: 9, step: 2, log: true}", "tuning.space.num_epochs.step", "1, for"),
        ("tuning.space.lr.kind=flat", "tuning.space.lr.kind", "float, int, choice"),
        ("tuning.nodes.child.lr={kind: float, low: 2, high: 1}", "tuning.nodes.child.lr.high", "more than low"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_by_its_key(typed: str, where: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        search(typed)

    assert raised.value.where == where
    assert said in raised.value.allowed


def test_a_dotted_key_may_be_typed_nested_and_null_takes_one_away() -> None:
    found = search(
        "tuning.space.head_first.lr={kind: float, low: 0.1, high: 1}", "tuning.space.weight_decay=null"
    ).space

    assert list(found) == ["lr", "head_first.lr"]


def test_a_dimension_is_replaced_whole_by_taking_it_away_first() -> None:
    found = search("~tuning.space.lr", "tuning.space.lr={kind: choice, of: [0.1, 0.2]}").space

    assert found["lr"].samples == (0.1, 0.2)


def test_the_space_of_the_particular_wins_over_that_of_the_kind_and_of_all() -> None:
    dimension = "={kind: choice, of: [1]}"
    found = search(f"tuning.nodes.child.num_epochs{dimension}", f"tuning.nodes.child/x.batch_size{dimension}")

    assert list(found.space_of("parent")) == ["lr", "weight_decay"]
    assert list(found.space_of("child", "child/y")) == ["num_epochs"]
    assert list(found.space_of("child", "child/x")) == ["batch_size"]


def test_conditions_come_before_what_depends_on_them() -> None:
    found = search(
        "tuning.space.label_smoothing={kind: float, low: 0, high: 0.2, when: {imbalance: [none]}}",
        "tuning.space.imbalance={kind: choice, of: [none, sqrt]}",
    ).space

    assert in_order(found).index("imbalance") < in_order(found).index("label_smoothing")
    assert found["label_smoothing"].applies({"imbalance": "none"})
    assert not found["label_smoothing"].applies({"imbalance": "sqrt"})
    assert not found["label_smoothing"].applies({})


def test_a_range_knows_what_it_can_come_to() -> None:
    found = search("tuning.space.num_epochs={kind: int, low: 2, high: 10, step: 4}").space

    assert [value for value in (1, 2, 3, 6, 10, 11, True, 6.0, "6") if found["num_epochs"].has(value)] == [2, 6, 10]
    assert [value for value in (0.0001, 0.0003, 0.01, 0.03, 1) if found["lr"].has(value)] == [0.0003, 0.01, 0.03]
