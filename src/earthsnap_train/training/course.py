"""How a trial is doing: what its networks have shown on val so far, and whether it may go on."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from earthsnap_train.context import Silence
from earthsnap_train.spec.training import Teaching
from earthsnap_train.training.curves import Curves

Objective = Literal["val_loss", "val_top1"]
Examine = Callable[[int, float], bool]
"""(epochs so far, value so far) -> whether the trial may go on."""


class Ended(Exception):
    """Pruning ended this trial."""


class NotANumber(Exception):
    """Training came to something that is no number."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """One network's validations, as ``path`` has them (see ``Curves``), which a kill leaves as they are.

    Those of the head before a whole network do not count: the network comes after ``first_step``. ``weight``: photographs
    that it is watched on.
    """

    path: Path
    first_step: int
    steps_per_epoch: int
    weight: int

    @classmethod
    def of(cls, path: Path, training: Teaching, *, num_taught: int, num_watched: int) -> "Course":
        head = training.head_first
        return cls(
            path=path,
            first_step=head.num_epochs * -(-num_taught // head.batch_size) if head else 0,
            steps_per_epoch=-(-num_taught // training.batch_size),
            weight=num_watched,
        )

    def epoch(self, step: int) -> int:
        """0 and less where it does not count."""
        return (step - self.first_step) // self.steps_per_epoch

    def rows(self) -> list[dict[str, float]]:
        """``epoch``, ``val_loss`` and ``val_top1``, by epoch."""
        return [
            {"epoch": epoch, "val_loss": row["val_loss"], "val_top1": row["val_top1"]}
            for row in Curves(self.path, Silence()).read()
            if "val_loss" in row and (epoch := self.epoch(int(row["step"]))) > 0
        ]

    def values(self, objective: Objective) -> dict[int, float]:
        return {int(row["epoch"]): row[objective] for row in self.rows()}


def best(objective: Objective, values: Sequence[float]) -> float:
    return min(values) if objective == "val_loss" else max(values)


def mean_best(objective: Objective, courses: Sequence[tuple[Mapping[int, float], int]]) -> float | None:
    """What each network reached at best, weighed by its photographs; of those that have shown anything."""
    reached = [(best(objective, list(values.values())), weight) for values, weight in courses if values]
    return sum(value * weight for value, weight in reached) / sum(w for _, w in reached) if reached else None


class Watch(Silence):
    """Events of one network's teaching. Raises Ended where ``examine`` says so, and NotANumber.

    ``before``: the networks of this trial that were taught already.
    """

    def __init__(self, course: Course, before: Sequence[Course], *, objective: Objective, examine: Examine) -> None:
        self._course = course
        self._values = course.values(objective)
        self._before = [(one.values(objective), one.weight) for one in before]
        self._objective = objective
        self._examine = examine

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        epoch = self._course.epoch(step)
        if self._objective not in values or epoch < 1:
            return
        value = values[self._objective]
        if not math.isfinite(value):
            raise NotANumber(f"{self._objective} is {value} after epoch {epoch}")
        self._values[epoch] = value
        # After a restart some epochs may be seen again: what came later then is not yet known now.
        until_now = {at: v for at, v in self._values.items() if at <= epoch}
        so_far = mean_best(self._objective, [*self._before, (until_now, self._course.weight)])
        assert so_far is not None
        if not self._examine(sum(len(v) for v, _ in self._before) + epoch, so_far):
            raise Ended
