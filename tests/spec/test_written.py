"""Options that are off leave no trace in a stage's settings."""

import pytest
from pydantic import TypeAdapter

from earthsnap_train.spec.written import OFF, Written, options, written
from tests.conftest import declare

READ = TypeAdapter(Written)
ON = {"label_smoothing_by": "taxonomy", "rank_weight": 0.5, "augmentation.mixup": 0.2, "augmentation.cutmix": 1.0}


@pytest.mark.parametrize("training", ["head", "full", "head_then_full"])
def test_what_is_off_is_not_written_and_read_as_off(training: str) -> None:
    teaching = declare("+experiment=plants", f"training={training}").training.teaching()

    assert options(teaching) == {}
    assert not {key.rpartition(".")[2] for key in OFF} & set(str(written(teaching)).split("'"))
    assert READ.validate_python(written(teaching)) == teaching


@pytest.mark.parametrize("key", OFF)
def test_what_is_on_is_written_and_read(key: str) -> None:
    teaching = declare("+experiment=plants", "training=full", f"training.{key}={ON[key]}").training.teaching()

    assert list(options(teaching)) == [key]
    assert READ.validate_python(written(teaching)) == teaching
    assert teaching != teaching.replaced({key: OFF[key]})


def test_how_an_option_is_switched_off_is_said_as_it_is_typed() -> None:
    typed = [f"training.{key}={value}" for key, value in ON.items()]
    teaching = declare("+experiment=plants", "training=full", *typed).training.teaching()

    off = options(teaching)
    assert off == {
        "label_smoothing_by": "class", "rank_weight": "0.0", "augmentation.mixup": "null", "augmentation.cutmix": "null",
    }  # fmt: skip
    again = declare("+experiment=plants", "training=full", *(f"training.{key}={value}" for key, value in off.items()))
    assert options(again.training) == {}
