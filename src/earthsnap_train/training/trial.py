"""One trial of a search: teaches every member with the same settings, as stage ``train`` would, and says what came of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch.multiprocessing.spawn import ProcessRaisedException

from earthsnap_train.context import Context, Resources
from earthsnap_train.errors import EarthsnapError
from earthsnap_train.spec.tuning import Value
from earthsnap_train.training.course import Course, Ended, Examine, NotANumber, Objective, Watch, mean_best
from earthsnap_train.training.curves import Curves
from earthsnap_train.training.found import Attempt
from earthsnap_train.training.train import Settings, or_out_of_memory, teach

Values = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One network of a trial. ``inputs``: as of stage ``train``; ``num_taught``, ``num_watched``: photographs."""

    settings: Settings
    inputs: Mapping[str, Path]
    num_taught: int
    num_watched: int

    def with_values(self, values: Values) -> Settings:
        return self.settings.model_copy(update={"training": self.settings.training.replaced(values)})


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every trial of a search does. Members are taught in this order."""

    members: Mapping[str, Member]
    objective: Objective

    @property
    def num_epochs(self) -> int:
        """Of a whole trial with the declared settings."""
        return sum(member.settings.training.num_epochs for member in self.members.values())

    def courses(self, values: Values, scratch: Path) -> dict[str, Course]:
        return {
            name: Course.of(
                scratch / name / "curves.jsonl",
                member.with_values(values).training,
                num_taught=member.num_taught,
                num_watched=member.num_watched,
            )
            for name, member in self.members.items()
        }


def attempt(task: Task, values: Values, scratch: Path, resources: Resources, examine: Examine) -> Attempt:
    """Goes on where an attempt of the same trial stopped. Whatever goes wrong in teaching is told, not raised.

    The value is the mean of what each member reached at best, by its photographs of val. So a search that several children
    share judges all of them, at the cost of one network of all their species. What pruning sees is the mean so far.
    """
    started = time.monotonic()
    state: Literal["complete", "pruned", "failed"] = "complete"
    error = ""
    courses = task.courses(values, scratch)
    try:
        for place, name in enumerate(task.members):
            watch = Watch(courses[name], list(courses.values())[:place], objective=task.objective, examine=examine)
            _teach(task.members[name].with_values(values), task.members[name].inputs, scratch / name, resources, watch)
        if silent := [name for name, course in courses.items() if not course.rows()]:
            raise NotANumber(f"{silent[0]} showed nothing on val")
    except Ended:
        state = "pruned"
    except ProcessRaisedException as raised:  # the same, said by one of several processes that teach together
        said = str(raised).strip().splitlines()[-1]
        state, error = ("pruned", "") if said.endswith(f".{Ended.__name__}") else ("failed", said)
    except Exception as raised:
        state = "failed"
        error = raised.what if isinstance(raised, EarthsnapError) else f"{type(raised).__name__}: {raised}"
    curve: list[dict[str, float | str]] = [
        {"member": name, **row} for name, course in courses.items() for row in course.rows()
    ]
    reached = mean_best(task.objective, [(course.values(task.objective), course.weight) for course in courses.values()])
    value = None if state == "failed" else reached
    return Attempt(state=state, value=value, curve=curve, seconds=round(time.monotonic() - started, 3), error=error)


def _teach(s: Settings, inputs: Mapping[str, Path], folder: Path, resources: Resources, watch: Watch) -> None:
    """Once: what a restart finds taught is left as it is."""
    done = folder / "taught"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with or_out_of_memory(s):
        teach(s, inputs, Context(scratch=folder, resources=resources), Curves(folder / "curves.jsonl", watch))
    done.touch()
