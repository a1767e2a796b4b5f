"""Shows how far a run is: live bars on a terminal, plain lines anywhere else; and keeps every event in a file."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.stages import KINDS
from launchers.local import Event

PLAIN_EVERY_S = 10.0
REFRESH_EVERY_S = 0.2
LEAST_PACE_S = 3.0  # of progress, before it says how long the rest will take
LEAST_LEFT_S = 5.0  # of the whole run; less is not worth a word


@dataclass
class _Stage:
    """One that is running. ``first``: when it first told how far it was, and how far; ``last``: the same, of late."""

    begun: float
    row: TaskID | None
    said: float
    first: tuple[float, int] | None = None
    last: tuple[float, int] = (0.0, 0)
    total: int = 0

    def progress(self, at: float, done: int, total: int) -> None:
        if self.first is None or done < self.last[1]:  # a stage's next phase counts anew
            self.first = (at, done)
        self.last, self.total = (at, done), total

    def left_s(self, now: float) -> float | None:
        """By the pace since the first word of progress: starting up is no part of it. None while that is too short."""
        if self.first is None or self.last[0] - self.first[0] < LEAST_PACE_S or self.last[1] <= self.first[1]:
            return None
        pace = (self.last[0] - self.first[0]) / (self.last[1] - self.first[1])
        return max(0.0, pace * (self.total - self.last[1]) - (now - self.last[0]))


class Follower:
    """A listener for ``launch``. ``estimates``: stage -> seconds that it will probably take; what is unknown is absent."""

    def __init__(self, plan: Plan, console: Console, events: Path, *, estimates: Mapping[str, float]) -> None:
        self._kinds = {stage.name: stage.kind for stage in plan.stages}
        self._console = console
        self._file = events.open("a")
        self._estimates = estimates
        self._running: dict[str, _Stage] = {}
        self._ended: set[str] = set()
        # Everything that is printed is printed under this lock, the bars too: rich by itself would draw them from a
        # thread of its own, and now and then over a line.
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[count]}"),
            TextColumn("[dim]{task.fields[rest]}"), console=console, transient=True, auto_refresh=False,
            disable=not console.is_terminal,
        )  # fmt: skip
        self._all = self._bars.add_task("[bold]all stages", total=len(plan.stages), count="", rest="")

    def __enter__(self) -> "Follower":
        self._bars.start()
        if self._console.is_terminal:
            threading.Thread(target=self._refresh, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed.set()
            self._bars.stop()
            self._file.close()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            row = {"at": event.at, "stage": event.stage, "event": event.kind, **event.values}
            self._file.write(json.dumps(row) + "\n")
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
        row = None
        if not KINDS[self._kinds[event.stage]].light:
            row = self._bars.add_task(event.stage, total=None, count="", rest="")
        self._running[event.stage] = _Stage(begun=event.at, row=row, said=event.at)

    def _progress(self, event: Event) -> None:
        done, total, unit = event.values["done"], event.values["total"], event.values["unit"]
        if (stage := self._running.get(event.stage)) is None:
            return
        stage.progress(event.at, done, total)
        if stage.row is not None:
            self._bars.update(stage.row, completed=done, total=total, count=f"{done:,}/{total:,} {unit}")
        if not self._console.is_terminal and event.at - stage.said >= PLAIN_EVERY_S and 0 < done < total:
            stage.said = event.at
            left = stage.left_s(event.at)
            rest = f", about {short_time(left)} left" if left is not None else ""
            self._print(f"{event.stage}: {done:,} of {total:,} {unit}{rest}")

    def _end(self, event: Event) -> None:
        stage = self._running.pop(event.stage, None)
        if stage is not None and stage.row is not None:
            self._bars.remove_task(stage.row)
        self._ended.add(event.stage)
        if event.kind == "failed":
            self._print(f"{event.stage}: failed")
        elif event.kind == "done" and not KINDS[self._kinds[event.stage]].light:
            images = f", {event.values['num_images']:,} images" if event.values["num_images"] else ""
            left = self._left_s(event.at)
            rest = f" (about {short_time(left)} of work left)" if left is not None else ""
            self._print(f"{event.stage}: done in {short_time(event.values['seconds'])}{images}{rest}")

    def _left_s(self, now: float) -> float | None:
        """Work in the rest of the run; None where a stage of it never ran before, or hardly any is left."""
        left = 0.0
        for name in self._kinds.keys() - self._ended:
            if (of_stage := self._left_of_s(name, now)) is None:
                return None
            left += of_stage
        return left if left > LEAST_LEFT_S else None

    def _left_of_s(self, name: str, now: float) -> float | None:
        """By its own pace, else by what it took before."""
        stage = self._running.get(name)
        left = stage.left_s(now) if stage is not None else None
        if left is None and name in self._estimates:
            left = max(0.0, self._estimates[name] - (now - stage.begun if stage is not None else 0.0))
        return left

    def _refresh(self) -> None:
        while not self._closed.wait(REFRESH_EVERY_S):
            with self._lock:
                if self._closed.is_set():
                    return
                now = time.time()
                for name, stage in self._running.items():
                    if stage.row is not None:
                        left = self._left_of_s(name, now)
                        took = f"{short_time(now - stage.begun)} so far"
                        self._bars.update(stage.row, rest=f"about {short_time(left)} left" if left else took)
                left = self._left_s(now)
                count = f"{len(self._ended)}/{len(self._kinds)}"
                rest = f"about {short_time(left)} of work left" if left is not None else ""
                self._bars.update(self._all, completed=len(self._ended), count=count, rest=rest)
                self._bars.refresh()

    def _print(self, line: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')}  {line}", markup=False, highlight=False)
