"""What ``conf/evaluation/`` declares: the baseline beside the family, and what a release must reach."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, model_validator

from earthsnap_train.spec.dotted import dotted
from earthsnap_train.spec.model import SpecModel

CHAMPION = "champion."


class Gate(SpecModel):
    """A least (``min``) or a most (``max``) value. Exactly one of the two, so that the direction is always written."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("a gate has either min or max, and exactly one of them")
        return self


def _dotted(value: object) -> object:
    """``{family: {top1: {min: 0.9}}}`` and ``{family.top1: {min: 0.9}}`` say the same."""
    return dotted(value, lambda below: set(below) <= set(Gate.model_fields))


class Evaluation(SpecModel):
    """``flat``: ``off``, ``probe`` (a linear head on frozen embeddings, seconds) or ``full`` (trained as a child is).

    ``gates``: metric name as in summary.json (``family.top1``, ``nodes.parent.ece``) -> its bound. Those below
    ``champion.`` are judged when the release stands beside the one in production, if there is one. ``ablation``: of a
    shared trunk, what each of its parts is worth.
    """

    flat: Literal["off", "probe", "full"]
    ablation: bool
    gates: Annotated[dict[str, Gate], BeforeValidator(_dotted)]

    @property
    def own_gates(self) -> dict[str, Gate]:
        """Those that ask nothing but what the family is worth itself."""
        return {name: gate for name, gate in self.gates.items() if not name.startswith(CHAMPION)}

    @property
    def champion_gates(self) -> dict[str, Gate]:
        return {name: gate for name, gate in self.gates.items() if name.startswith(CHAMPION)}
