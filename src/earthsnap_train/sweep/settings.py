"""What ``conf/hydra/sweeper/earthsnap_optuna.yaml`` declares: how a sweep goes about it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.validate import in_our_words

PREFIX = "hydra.sweeper."
# What a sweep may be told anew when it goes on; all else is in its record.
CHANGEABLE = ("num_trials", "max_failures")

Direction = Literal["maximize", "minimize"]
Positive = Annotated[int, Field(ge=1)]


def _flat(value: Any) -> Any:
    """``{family: {top1: maximize}}``, as typed dots make it, is ``{family.top1: maximize}``."""
    return dict(_leaves(value, "")) if isinstance(value, Mapping) else value


def _leaves(nested: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class SweepSettings(SpecModel):
    """``objectives``: figures of summary.json by name; None is the family's top-1. ``params``: what a file varies, by key.

    ``resume``: the folder of a sweep.
    """

    sampler: Literal["grid", "tpe", "random", "nsga2"]
    objectives: Annotated[dict[str, Direction] | None, BeforeValidator(_flat)]
    num_trials: Positive
    max_failures: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]
    population: Annotated[int, Field(ge=2)]
    params: dict[str, str | int | float | bool]
    resume: str | None

    @property
    def directions(self) -> Mapping[str, Direction]:
        return self.objectives or {"family.top1": "maximize"}


def sweep_settings(plain: Mapping[str, Any]) -> SweepSettings:
    """Raises ConfigError with the dotted key and the nearest name."""
    try:
        return SweepSettings.model_validate(plain)
    except ValidationError as error:
        raise in_our_words(error, SweepSettings, PREFIX) from None
