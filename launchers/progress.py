"""Shows how far a run is: live bars on a terminal, plain lines anywhere else; and keeps every event in a file."""

import json
import threading
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.stages import KINDS
from launchers.local import Event

PLAIN_EVERY_S = 10.0
LEAST_PACE_S = 3.0  # of progress, before it says how long the rest will take


class Follower:
    """A listener for ``launch``. ``estimates``: stage -> seconds that it will probably take; what is unknown is absent."""

    def __init__(self, plan: Plan, console: Console, events: Path, *, estimates: dict[str, float]) -> None:
        self._kinds = {stage.name: stage.kind for stage in plan.stages}
        self._console = console
        self._file = events.open("a")
        self._estimates = estimates
        self._lock = threading.Lock()
        self._first: dict[str, tuple[float, int]] = {}
        self._said: dict[str, float] = {}
        self._ended: set[str] = set()
        self._rows: dict[str, TaskID] = {}
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"),
            TimeRemainingColumn(compact=True), console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._all = self._bars.add_task("[bold]all stages", total=len(plan.stages), unit="stages")

    def __enter__(self) -> "Follower":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        with self._lock:
            self._file.close()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if self._file.closed:
                return
            self._file.write(
                json.dumps({"at": event.at, "stage": event.stage, "event": event.kind, **event.values}) + "\n"
            )
            self._file.flush()
            match event.kind:
                case "started":
                    self._start(event)
                case "progress":
                    self._progress(event)
                case "note":
                    self._console.print(f"  {event.stage}: {event.values['text']}", markup=False, highlight=False)
                case "cached" | "done" | "failed":
                    self._end(event)

    def _start(self, event: Event) -> None:
        self._said[event.stage] = event.at
        if not KINDS[self._kinds[event.stage]].light:
            self._rows[event.stage] = self._bars.add_task(event.stage, total=None, unit="")

    def _progress(self, event: Event) -> None:
        done, total, unit = event.values["done"], event.values["total"], event.values["unit"]
        if done < self._first.setdefault(event.stage, (event.at, done))[1]:
            self._first[event.stage] = (event.at, done)  # a stage's next phase counts anew
        if event.stage in self._rows:
            self._bars.update(self._rows[event.stage], completed=done, total=total, unit=unit)
        if (
            not self._console.is_terminal
            and event.at - self._said.get(event.stage, event.at) >= PLAIN_EVERY_S
            and 0 < done < total
        ):
            self._said[event.stage] = event.at
            self._print(f"{event.stage}: {done:,} of {total:,} {unit}{self._rest(event)}")

    def _rest(self, event: Event) -> str:
        """What is left, by the pace since the first word of progress: starting up is no part of it."""
        at, before = self._first[event.stage]
        made = event.values["done"] - before
        if made <= 0 or event.at - at < LEAST_PACE_S:
            return ""
        return f", about {short_time((event.at - at) / made * (event.values['total'] - event.values['done']))} left"

    def _end(self, event: Event) -> None:
        if event.stage in self._rows:
            self._bars.remove_task(self._rows.pop(event.stage))
        if event.stage not in self._ended:
            self._ended.add(event.stage)
            self._bars.update(self._all, completed=len(self._ended))
        if event.kind == "failed":
            self._print(f"{event.stage}: failed")
        elif event.kind == "done" and not KINDS[self._kinds[event.stage]].light:
            images = f", {event.values['num_images']:,} images" if event.values["num_images"] else ""
            self._print(f"{event.stage}: done in {short_time(event.values['seconds'])}{images}{self._left()}")

    def _left(self) -> str:
        """The rest of the run, where every stage of it has run before."""
        rest = [self._estimates.get(name) for name in self._kinds if name not in self._ended]
        known = [seconds for seconds in rest if seconds is not None]
        return (
            f" (about {short_time(sum(known))} of work left)"
            if known and len(known) == len(rest) and sum(known) > 5
            else ""
        )

    def _print(self, line: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')}  {line}", markup=False, highlight=False)
