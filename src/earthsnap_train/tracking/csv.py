"""Tables for a spreadsheet or pandas: curves, species and runs of one family run (``docs/formats.md``)."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from earthsnap_train.spec.tracking import Csv
from earthsnap_train.tracking.port import Cell, TrackedFamily

FOLDER = "csv"
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}
PER_SPECIES = "species"  # the table of this name, of whichever job has it


class CsvTracker:
    def __init__(self, spec: Csv) -> None:
        self._separator = SEPARATORS[spec.separator]

    def tell(self, told: TrackedFamily, folder: Path) -> str:
        out = folder / FOLDER
        out.mkdir(exist_ok=True)
        curves = [
            (run.name, step, name, value)
            for run in told.runs
            for step, values in run.rows
            for name, value in values.items()
        ]
        self._write(out / "curves.csv", ("job", "step", "name", "value"), curves)
        for table in (table for run in told.runs for table in run.tables if table.name == PER_SPECIES):
            self._write(out / "species.csv", table.columns, table.rows)
        figures = [
            (told.family, told.run, told.sweep, run.name, run.job_type, name, value)
            for run in told.runs
            for name, value in run.summary.items()
        ]
        self._write(out / "runs.csv", ("family", "run", "sweep", "job", "job_type", "name", "value"), figures)
        return f"CSV      {out}"

    def _write(self, path: Path, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self._separator)
            writer.writerow(columns)
            writer.writerows(rows)
