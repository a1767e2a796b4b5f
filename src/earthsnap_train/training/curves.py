"""What was measured while a node was taught, kept so that a run which was killed has the whole curve in the end."""

import json
from collections.abc import Mapping
from pathlib import Path

from earthsnap_train.context import Events


class Curves(Events):
    """Passes events on and keeps what was measured in ``path``, a line each. ``first_step`` is added to every step."""

    def __init__(self, path: Path, events: Events, *, first_step: int = 0) -> None:
        self._path = path
        self._events = events
        self._first_step = first_step

    def after(self, num_steps: int) -> "Curves":
        """The same curves for a phase that begins after so many steps of an earlier one."""
        return Curves(self._path, self._events, first_step=self._first_step + num_steps)

    def progress(self, done: int, total: int, unit: str) -> None:
        self._events.progress(done, total, unit)

    def note(self, text: str) -> None:
        self._events.note(text)

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        step += self._first_step
        with self._path.open("a") as f:
            f.write(json.dumps({"step": step, **values}) + "\n")
        self._events.measure(step, values)

    def read(self) -> list[dict[str, float]]:
        """One row a step; of what was measured twice around a kill, the later. A line that was cut short is left out."""
        rows: dict[float, dict[str, float]] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            rows[row["step"]] = rows.get(row["step"], {}) | row
        return [rows[step] for step in sorted(rows)]
