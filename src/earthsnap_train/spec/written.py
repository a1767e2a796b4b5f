"""How a node's teaching stands in the settings of a stage: options that are off are not named.

A stage's key is made of its settings. So an option that is new changes no key of those who do not use it, and what they
have taught is not taught again.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue

from earthsnap_train.spec.training import Teaching

OFF: Mapping[str, JsonValue] = {
    "label_smoothing_by": "class",
    "rank_weight": 0.0,
    "augmentation.mixup": None,
    "augmentation.cutmix": None,
}


def options(teaching: Teaching) -> dict[str, str]:
    """Dotted keys of the options that are on, each with what would switch it off, as it is typed."""
    fields = teaching.model_dump(mode="json")
    return {key: "null" if off is None else str(off) for key, place, leaf, off in _places(fields) if place[leaf] != off}


def written(teaching: Teaching) -> dict[str, JsonValue]:
    """For the settings of a stage, which read it as ``Written``."""
    fields = teaching.model_dump(mode="json")
    for _, place, leaf, off in _places(fields):
        if place[leaf] == off:
            del place[leaf]
    return fields


def _read(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    fields = {name: dict(value) if isinstance(value, Mapping) else value for name, value in given.items()}
    for _, place, leaf, off in _places(fields):
        place.setdefault(leaf, off)
    return fields


Written = Annotated[Teaching, BeforeValidator(_read)]


def _places(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, JsonValue]]:
    """(dotted key, the mapping that it is in, its last name, what is off) of each option that these fields can have."""
    for key, off in OFF.items():
        part, _, leaf = key.rpartition(".")
        place = fields.get(part) if part else fields
        if place is not None:
            yield key, place, leaf, off
