"""What a sweep varies: one axis a key, with the values that it may have."""

import itertools
import re
from collections.abc import Mapping, Sequence
from graphlib import CycleError

from pydantic import BaseModel, ConfigDict

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.tuning import Choice, Dimension, FloatRange, IntRange, Space, in_order
from earthsnap_train.spec.validate import known_keys, no_such_key

PLAIN = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)  # what an override may hold without quotes
RESERVED = ("null", "true", "false", "nan", "inf")
TRAINING = "training."

# A number of a range, or one word of a choice as an override has it.
Setting = float | int | str
Values = dict[str, Setting]


class Axis(BaseModel):
    """``key`` as an override has it, with the + of one that adds. A choice holds words as overrides have them.

    ``when``: this axis is varied only where others have one of these words; by keys as they are in ``key``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    dimension: Dimension

    @property
    def name(self) -> str:
        return self.key.lstrip("+")

    def settings(self) -> Sequence[Setting]:
        """All of them in order. Raises ConfigError where there are too many to count."""
        match self.dimension:
            case Choice(of=words):
                return [str(one) for one in words]
            case IntRange(low=low, high=high, step=step):
                return range(low, high + 1, step)
            case FloatRange(low=low, high=high):
                raise ConfigError(
                    f"a grid cannot go through all numbers from {low:g} to {high:g}",
                    where=self.name,
                    allowed="values one by one, as in 0.001,0.01, or range(START,STOP,STEP)",
                    remedy="hydra.sweeper.sampler=tpe searches an interval",
                )


def word(value: object) -> str:
    """A value as an override has it: what is read back is the same."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if PLAIN.fullmatch(text) and text.lower() not in RESERVED:
        return text
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (r"\'" if found[2] else ""), text)
    return f"'{escaped}'"


def overrides(axes: Sequence[Axis], values: Values) -> list[str]:
    """``training.lr=0.01`` for each axis that is varied here."""
    return [f"{axis.key}={_as_word(values[axis.name])}" for axis in axes if axis.name in values]


def _as_word(setting: Setting) -> str:
    return setting if isinstance(setting, str) else word(setting)


def combinations(axes: Sequence[Axis]) -> list[Values]:
    """Every combination; the last axis changes fastest. Without an axis there is one, of nothing."""
    names = [axis.name for axis in axes]
    return [dict(zip(names, picked, strict=True)) for picked in itertools.product(*(axis.settings() for axis in axes))]


def declared_axes(space: Space) -> list[Axis]:
    """``tuning.space`` as axes, those that others depend on first. Raises ConfigError for a key that training lacks."""
    try:
        keys = in_order(space)
    except CycleError as error:
        raise ConfigError(
            f"these depend on each other in a circle: {' -> '.join(error.args[1])}",
            where="tuning.space",
            remedy="take one of the conditions under when away",
        ) from None
    return [_declared(key, space[key]) for key in keys if key in space]


def _declared(name: str, dimension: Dimension) -> Axis:
    for key in (name, *dimension.when):
        if f"{TRAINING}{key}" not in known_keys():
            raise no_such_key(f"{TRAINING}{key}")
    when = {f"{TRAINING}{key}": [word(one) for one in allowed] for key, allowed in dimension.when.items()}
    changes: dict[str, object] = {"when": when}
    if isinstance(dimension, Choice):
        changes["of"] = [word(one) for one in dimension.of]
    return Axis(key=f"{TRAINING}{name}", dimension=dimension.model_copy(update=changes))


def is_varied(axis: Axis, values: Values, declared: Mapping[str, object]) -> bool:
    """``declared``: what the declaration says where no axis says otherwise, by dotted key."""
    return all(
        (_as_word(values[key]) if key in values else word(declared.get(key))) in allowed
        for key, allowed in axis.dimension.when.items()
    )
