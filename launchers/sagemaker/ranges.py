"""A declared space as ranges of the service's tuning, and the words that a trial gets back as values of that space."""

import json
from collections.abc import Mapping
from typing import Any

from earthsnap_train.errors import ConfigError, StageError
from earthsnap_train.spec.tuning import Choice, Dimension, FloatRange, IntRange, Value

MOST_CHOICES = 30  # of one key, and so many keys of one kind
MOST_CHARACTERS = 256
OF_THE_SERVICE = "_"  # begins keys that the service adds: _tuning_objective_metric


def ranges_of(space: Mapping[str, Dimension], *, search: str) -> dict[str, list[dict[str, Any]]]:
    """``search``: the stage, for the error's words. Raises ConfigError for what the service cannot express."""
    found: dict[str, list[dict[str, Any]]] = {
        "ContinuousParameterRanges": [], "IntegerParameterRanges": [], "CategoricalParameterRanges": [],
    }  # fmt: skip
    for key, dimension in space.items():
        _require_expressible(key, dimension, search)
        match dimension:
            case FloatRange():
                found["ContinuousParameterRanges"].append(_between(key, dimension))
            case IntRange():
                found["IntegerParameterRanges"].append(_between(key, dimension))
            case Choice():
                values = [_word(value) for value in dimension.of]
                found["CategoricalParameterRanges"].append({"Name": key, "Values": values})
    return {kind: ranges for kind, ranges in found.items() if ranges}


def values_of(given: Mapping[str, str], space: Mapping[str, Dimension]) -> dict[str, Value]:
    """What a trial's hyperparameters say. Raises StageError for a key or a value that the space does not have."""
    own = {key: word for key, word in given.items() if not key.startswith(OF_THE_SERVICE)}
    if unlike := sorted(own.keys() ^ space.keys()):
        raise StageError(
            "a trial's hyperparameters are not the keys that are searched", where=unlike[0], allowed=", ".join(space)
        )
    return {key: _value(key, own[key], dimension) for key, dimension in space.items()}


def _between(key: str, dimension: FloatRange | IntRange) -> dict[str, Any]:
    return {
        "Name": key,
        "MinValue": _word(dimension.low),
        "MaxValue": _word(dimension.high),
        "ScalingType": "Logarithmic" if dimension.log else "Linear",
    }


def _word(value: Value) -> str:
    """As JSON, so that a choice between ``none`` and null, or 1 and true, stays one."""
    return json.dumps(value)


def _value(key: str, word: str, dimension: Dimension) -> Value:
    value: Value = None
    try:
        match dimension:
            case FloatRange():
                value = float(word)
            case IntRange():
                value = int(word)
            case Choice():
                value = {_word(one): one for one in dimension.of}[word]
        if dimension.has(value):
            return value
    except (ValueError, KeyError):
        pass
    raise StageError(f"{word!r} is no value that the search has", where=key)


def _require_expressible(key: str, dimension: Dimension, search: str) -> None:
    where = f"tuning.space.{key}"
    if dimension.when:
        raise ConfigError(
            f"the service's tuning tries every key in every trial, and {search} has a condition",
            where=f"{where}.when",
            remedy="leave the condition out, or tuning.engine=optuna",
        )
    if isinstance(dimension, IntRange) and dimension.step != 1:
        raise ConfigError(
            f"the service's tuning knows no steps, and {search} has one of {dimension.step}",
            where=f"{where}.step",
            allowed="1",
            remedy="{kind: choice, of: [...]}, or tuning.engine=optuna",
        )
    if not isinstance(dimension, Choice):
        return
    if len(dimension.of) > MOST_CHOICES:
        raise ConfigError(
            f"{search} has {len(dimension.of)} choices", where=f"{where}.of", allowed=f"at most {MOST_CHOICES}"
        )
    if long := [value for value in dimension.of if len(_word(value)) > MOST_CHARACTERS]:
        raise ConfigError(
            f"a choice of {search} is too long: {str(long[0])[:20]}...",
            where=f"{where}.of",
            allowed=f"at most {MOST_CHARACTERS} characters",
        )
