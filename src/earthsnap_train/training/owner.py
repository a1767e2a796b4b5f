"""The one who decides in a search which trial begins next, and whether it goes on after a failure."""

import shutil
from pathlib import Path
from typing import Protocol

from earthsnap_train.context import Context
from earthsnap_train.errors import StageError
from earthsnap_train.spec.tuning import Sought, Value
from earthsnap_train.training.found import Attempt
from earthsnap_train.training.study import Study


class Trials(Protocol):
    """Whoever says which trial begins next, whether it goes on, and hears what came of it."""

    def next(self) -> tuple[int, dict[str, Value]] | None: ...

    def examine(self, number: int, epoch: int, value: float) -> bool: ...

    def ended(self, number: int, attempt: Attempt) -> None: ...


class Owner(Trials):
    """Of a study: trials are begun and ended here alone, one at a time, however many are taught side by side."""

    def __init__(self, study: Study, sought: Sought, context: Context) -> None:
        self.study = study
        self._sought = sought
        self._context = context
        self._num_side_by_side = max(1, len(groups_of(context)))
        self._num_failed = 0

    def next(self) -> tuple[int, dict[str, Value]] | None:
        """None where no trial is to begin any more."""
        if self.study.is_exhausted:
            return None
        spent_s = self.study.seconds / self._num_side_by_side
        if self._sought.max_minutes is not None and spent_s >= 60 * self._sought.max_minutes:
            return None
        return self.study.ask()

    def examine(self, number: int, epoch: int, value: float) -> bool:
        return self.study.examine(number, epoch, value)

    def ended(self, number: int, attempt: Attempt) -> None:
        """Raises StageError where one more trial failed than may. A search that goes on later counts failures anew."""
        self.study.tell(number, attempt)
        shutil.rmtree(folder_of(number, self._context), ignore_errors=True)
        tried = self.study.tried()
        best = self.study.best()
        if attempt.value is not None:
            values: dict[str, float] = {self._sought.objective: attempt.value}
            if best is not None and best.attempt.value is not None:
                values["best"] = best.attempt.value
            self._context.events.measure(number, values)
        self._context.events.progress(len(tried), self.study.num_trials, "trials")
        if attempt.state == "failed":
            self._num_failed += 1
            self._context.events.note(f"trial {number} failed: {attempt.error}")
            if self._num_failed > self._sought.max_failures:
                raise failed(self.study, f"{self._num_failed} trial{'s' if self._num_failed > 1 else ''} failed")


def groups_of(context: Context) -> list[tuple[int, ...]]:
    """Devices that work on one trial each; none where there are no devices."""
    devices, size = context.resources.devices, context.resources.devices_per_trial
    size = min(size, len(devices)) or 1
    return [devices[first : first + size] for first in range(0, len(devices) - size + 1, size)]


def folder_of(number: int, context: Context) -> Path:
    return context.scratch / "trials" / f"{number:04d}"


def failed(study: Study, what: str) -> StageError:
    last = next(one for one in reversed(study.tried()) if one.attempt.state == "failed")
    return StageError(
        f"{what}, the last of them trial {last.number}: {last.attempt.error}",
        where="tuning.max_failures",
        remedy="the same command goes on with the trials there are; a narrower tuning.space begins a new search",
    )
