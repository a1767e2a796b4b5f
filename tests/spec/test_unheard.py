"""Whoever types a setting that changes nothing is told so, and what to type instead."""

import pytest

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.unheard import check_heard
from tests.conftest import declare

DEMO = ("+experiment=plants",)


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("training.weight_decay", "architecture.heads.weight_decay is theirs"),
        ("training.num_epochs", "architecture.heads.max_iterations is theirs"),
        ("training.imbalance", "architecture.heads.imbalance is theirs"),
        ("training.head_first.lr", "architecture.heads has theirs"),
        ("training.augmentation.mixup.alpha", "architecture.heads has theirs"),
    ],
)
def test_heads_that_are_solved_take_no_setting_of_a_training(key: str, instead: str) -> None:
    with pytest.raises(ConfigError, match="changes nothing here") as said:
        check_heard(declare(*DEMO), ["name=x", f"++{key}=1"])
    assert said.value.where == key
    assert said.value.remedy == f"{instead}; training=head_then_full teaches the trunk"


@pytest.mark.parametrize(
    "override",
    [
        "training=head", "training.label_smoothing=0.1", "training.augmentation.horizontal_flip=false", "training.fit_on=full",
        "training.records_px=96", "training.rank_weight=0.0", "architecture.heads.weight_decay=0.1", "seed=1",
    ],
)  # fmt: skip
def test_what_they_do_listen_to_is_taken(override: str) -> None:
    check_heard(declare(*DEMO), [override])


@pytest.mark.parametrize("other", ["training=full", "architecture=parent_child"])
def test_what_is_trained_takes_every_setting(other: str) -> None:
    check_heard(declare(*DEMO, other), [other, "training.lr=0.1"])


def test_other_verbs_take_a_declaration_as_it_is() -> None:
    check_heard(declare("approve", *DEMO, "release=plants-1"), ["training.lr=0.1"])
