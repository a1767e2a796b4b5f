"""What ``conf/tuning/`` declares: which settings of training are searched, by what, and for how long."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from earthsnap_train.spec.model import SpecModel

Positive = Annotated[int, Field(ge=1)]
Value = bool | int | float | str | None


class _Dimension(SpecModel):
    """``when``: this one is searched only in trials where other settings have one of these values."""

    when: Annotated[dict[str, list[Value]], Field(default_factory=dict)]


class FloatRange(_Dimension):
    """``low`` and ``high`` belong to it. ``log``: equal ratios are equally likely."""

    kind: Literal["float"]
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.low, self.high, log=self.log)
        return self


class IntRange(_Dimension):
    kind: Literal["int"]
    low: int
    high: int
    step: Positive = 1
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.log and self.step != 1:
            raise ValueError("either log or a step, not both")
        _check_range(self.low, self.high, log=self.log)
        return self


class Choice(_Dimension):
    kind: Literal["choice"]
    of: Annotated[list[Value], Field(min_length=1)]


def _check_range(low: float, high: float, *, log: bool) -> None:
    if not low < high:
        raise ValueError(f"low must be below high, and {low:g} is not below {high:g}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range begins above 0, not at {low:g}")


Dimension = Annotated[FloatRange | IntRange | Choice, Field(discriminator="kind")]
Space = dict[str, Dimension]


class Pruning(SpecModel):
    """``min_epochs``: those of a trial before it may be ended. ``reduction_factor``: one in so many goes on at each rung.

    ``asha``: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; ``hyperband``: Li et al.,
    JMLR 18, 2018.
    """

    kind: Literal["none", "asha", "hyperband"]
    min_epochs: Positive
    reduction_factor: Annotated[int, Field(ge=2)]


class NoTuning(SpecModel):
    kind: Literal["none"]


class Search(SpecModel):
    """``per``: ``kind`` lets all children share one search. ``subset``: photographs of each class, of train and of val each."""

    kind: Literal["search"]
    per: Literal["node", "kind"]
    sampler: Literal["tpe", "random", "grid"]
    objective: Literal["val_loss", "val_top1"]
    direction: Literal["minimize", "maximize"]
    num_trials: Positive
    max_minutes: Annotated[float, Field(gt=0)] | None
    max_failures: Annotated[int, Field(ge=0)]
    subset: Positive | None
    pruning: Pruning
    space: Space
    nodes: dict[str, Space]

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        better = "minimize" if self.objective == "val_loss" else "maximize"
        if self.direction != better:
            raise ValueError(f"{self.objective} is better the other way: direction={better}")
        return self

    def space_of(self, *names: str) -> Mapping[str, Dimension]:
        """``names`` from the general to the particular (``child``, ``child/x``): the last that has a space of its own."""
        return next((self.nodes[name] for name in reversed(names) if name in self.nodes), self.space)


TuningSpec = Annotated[NoTuning | Search, Field(discriminator="kind")]
