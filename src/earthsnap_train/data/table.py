"""Columns of a CSV or Parquet file that a user brings, as text."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earthsnap_train.errors import DataError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Table:
    """``columns``: name -> one text a row, as written; empty where nothing is known."""

    path: Path
    columns: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str, *, key: str) -> Sequence[str]:
        """``key``: the dotted config key that names the column. Raises DataError with the nearest name."""
        if name not in self.columns:
            raise DataError(
                f"{self.path.name} has no column {name!r}",
                where=key,
                allowed=", ".join(self.columns),
                remedy=did_you_mean(name, self.columns) or "Name the column that the table has.",
            )
        return self.columns[name]


def read_table(path: Path, *, key: str) -> Table:
    """By its extension Parquet, else CSV (comma, semicolon or tab; UTF-8). ``key``: the config key that names it."""
    if not path.is_file():
        raise DataError(f"there is no table {str(path)!r}", where=key, remedy="Give a CSV or Parquet file.")
    columns = _parquet(path, key) if path.suffix.lower() in (".parquet", ".pq") else _csv(path, key)
    table = Table(path=path, columns=columns)
    if not len(table):
        raise DataError(f"{path.name} has no rows", where=key)
    return table


def _csv(path: Path, key: str) -> dict[str, Sequence[str]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is not text in UTF-8 (byte {error.start})", where=key, remedy="Save it as CSV in UTF-8."
        ) from None
    first_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=first_line.count)
    lines = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    header = [name.strip() for name in next(lines, [])]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path.name} has two columns named {twice!r}", where=key, remedy="Rename one of them.")
    rows = [row for row in lines if any(row)]
    uneven = next((row for row in rows if len(row) != len(header)), None)
    if uneven is not None:
        raise DataError(
            f"{path.name}: a row has {len(uneven)} cells, the header {len(header)}: {delimiter.join(uneven)[:120]}",
            where=key,
            remedy="Put cells that hold the delimiter in quotes.",
        )
    return dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(header, ())


def _parquet(path: Path, key: str) -> dict[str, Sequence[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path.name} is not a Parquet file, or a damaged one", where=key) from error
    return {
        name: ["" if value is None else str(value) for value in table[name].to_pylist()] for name in table.column_names
    }
