"""What ``conf/tuning/`` declares: which settings of training are searched, by what, and for how long."""

import math
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from earthsnap_train.spec.dotted import dotted
from earthsnap_train.spec.model import SpecModel

Positive = Annotated[int, Field(ge=1)]
Value = bool | int | float | str | None


class _Dimension(SpecModel):
    """``when``: this one is searched only in trials where other settings have one of these values."""

    when: Annotated[dict[str, list[Value]], Field(default_factory=dict)]

    def applies(self, chosen: Mapping[str, Value]) -> bool:
        return all(name in chosen and chosen[name] in values for name, values in self.when.items())


class _Range(_Dimension):
    """``low`` and ``high`` belong to it. ``log``: equal ratios are equally likely."""

    log: bool = False
    low: float
    high: float

    @field_validator("low")
    @classmethod
    def _above_zero(cls, low: float, info: ValidationInfo) -> float:
        if info.data.get("log") and low <= 0:
            raise ValueError("above 0, for the range is logarithmic")
        return low

    @field_validator("high")
    @classmethod
    def _ordered(cls, high: float, info: ValidationInfo) -> float:
        if "low" in info.data and not info.data["low"] < high:
            raise ValueError(f"more than low, which is {info.data['low']:g}")
        return high

    def has(self, value: Value) -> bool:
        """Whether a trial can come to this value."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class FloatRange(_Range):
    kind: Literal["float"]

    @property
    def samples(self) -> tuple[Value, ...]:
        """What is tried on the settings before anything runs: both ends, and something between that is no round number."""
        return (self.low, self.high, self.low + (self.high - self.low) / math.e)


class IntRange(_Range):
    kind: Literal["int"]
    low: int
    high: int
    step: Positive = 1

    @field_validator("step")
    @classmethod
    def _or_log(cls, step: int, info: ValidationInfo) -> int:
        if info.data.get("log") and step != 1:
            raise ValueError("1, for the range is logarithmic")
        return step

    def has(self, value: Value) -> bool:
        return isinstance(value, int) and super().has(value) and (value - self.low) % self.step == 0

    @property
    def samples(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    @property
    def values(self) -> tuple[Value, ...]:
        return tuple(range(self.low, self.high + 1, self.step))


class Choice(_Dimension):
    kind: Literal["choice"]
    of: Annotated[list[Value], Field(min_length=1)]

    def has(self, value: Value) -> bool:
        return value in self.of

    @property
    def samples(self) -> tuple[Value, ...]:
        return self.values

    @property
    def values(self) -> tuple[Value, ...]:
        return tuple(self.of)


Dimension = Annotated[FloatRange | IntRange | Choice, Field(discriminator="kind")]


def _dotted(value: object) -> object:
    """``{head_first: {lr: {...}}}`` and ``{head_first.lr: {...}}`` say the same: a dimension holds more than mappings."""
    return dotted(
        value, lambda below: not below or not all(v is None or isinstance(v, Mapping) for v in below.values())
    )


Space = Annotated[dict[str, Dimension], BeforeValidator(_dotted)]


def in_order(space: Mapping[str, Dimension]) -> list[str]:
    """Keys after those that their ``when`` asks for. Raises CycleError where that leads in a circle."""
    return list(TopologicalSorter({name: dimension.when for name, dimension in space.items()}).static_order())


class Pruning(SpecModel):
    """``min_share``: of a trial's epochs, before it may be ended. ``reduction_factor``: one in so many goes on at each rung.

    ``asha``: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; ``hyperband``: Li et al.,
    JMLR 18, 2018.
    """

    kind: Literal["none", "asha", "hyperband"]
    min_share: Annotated[float, Field(gt=0, le=1)]
    reduction_factor: Annotated[int, Field(ge=2)]


class NoTuning(SpecModel):
    kind: Literal["none"]


class Sought(SpecModel):
    """What decides the outcome of one search. ``subset``: photographs of each class, of train and of val each.

    ``engine``: who chooses what is tried: Optuna inside of one job, or SageMaker's own tuning with a job for each trial.
    """

    engine: Literal["optuna", "sagemaker"]
    sampler: Literal["tpe", "random", "grid"]
    objective: Literal["val_loss", "val_top1"]
    direction: Literal["minimize", "maximize"]
    num_trials: Positive
    max_minutes: Annotated[float, Field(gt=0)] | None
    max_failures: Annotated[int, Field(ge=0)]
    subset: Positive | None
    pruning: Pruning
    space: Space

    @field_validator("direction")
    @classmethod
    def _better(cls, direction: str, info: ValidationInfo) -> str:
        better = "minimize" if info.data.get("objective") == "val_loss" else "maximize"
        if "objective" in info.data and direction != better:
            raise ValueError(f"{better}, for {info.data['objective']} is better that way")
        return direction

    @property
    def most_trials(self) -> int:
        """As many as may be, and on a grid no more than there are combinations."""
        if self.sampler != "grid":
            return self.num_trials
        sizes = [len(one.values) for one in self.space.values() if isinstance(one, Choice | IntRange)]
        return min(self.num_trials, math.prod(sizes))


class Search(Sought):
    """``per``: ``kind`` lets all children share one search. ``nodes``: spaces of their own."""

    kind: Literal["search"]
    per: Literal["node", "kind"]
    nodes: dict[str, Space]

    def of(self, space: Mapping[str, Dimension]) -> Sought:
        """The search for one node or kind of node."""
        own = {name: value for name, value in self if name in Sought.model_fields}
        return Sought.model_validate(own | {"space": dict(space)})

    def space_of(self, *names: str) -> Mapping[str, Dimension]:
        """``names`` from the general to the particular (``child``, ``child/x``): the last that has a space of its own."""
        return next((self.nodes[name] for name in reversed(names) if name in self.nodes), self.space)


def _nothing_else(value: object) -> object:
    """``tuning=none`` switches off whatever an experiment declares of a search."""
    return {"kind": "none"} if isinstance(value, Mapping) and value.get("kind") == "none" else value


TuningSpec = Annotated[NoTuning | Search, Field(discriminator="kind"), BeforeValidator(_nothing_else)]
