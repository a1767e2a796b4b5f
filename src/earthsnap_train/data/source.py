"""Where photographs come from: every source becomes the same listing of rows and files, before any file is opened.

Imports neither numpy, Pillow nor pyarrow (Parquet tables aside): a plan lists thousands of files at every start.
"""

import os
import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar, assert_never

from earthsnap_train.data.qa.findings import Finding
from earthsnap_train.data.scan import FileStat, Scan, scan
from earthsnap_train.data.table import Table, read_table
from earthsnap_train.errors import DataError, did_you_mean
from earthsnap_train.spec.dataset import FolderSource, S3Source, Source, SyntheticFlora, TableColumns, TableSource
from earthsnap_train.taxonomy.names import slug, tidy

SplitName = Literal["train", "val", "test"]
_T = TypeVar("_T")

_SPLIT_NAMES: Mapping[str, SplitName | None] = {
    "": None, "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_KEY = "dataset.source"
_NAME_COLUMNS = ("species", "scientific_name", "common_name")
FLORA_COLUMNS = TableColumns(
    path="path", species="species", scientific_name="scientific_name", common_name="common_name",
    observation_id="observation_id", licence=None, attribution=None, split=None, ranks=None,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One photograph as its source describes it. ``path``: POSIX, from the source's root. ``species``: as written.

    ``ranks``: rank -> taxon, highest first; ``split``: the user's own.
    """

    path: str
    species: str
    scientific_name: str | None = None
    common_name: str | None = None
    ranks: dict[str, str] = field(default_factory=dict)
    observation_id: str | None = None
    licence: str | None = None
    attribution: str | None = None
    split: SplitName | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """``rows``: sorted by path, one for each photograph that is there. ``files``: their sizes and times.

    ``unlisted``: photographs that no row names (their finding is ``not_in_labels``); a review may give them a species.
    ``version_ids``: S3's, of what lies there.
    """

    rows: tuple[Row, ...]
    files: Mapping[str, FileStat]
    findings: tuple[Finding, ...]
    unlisted: tuple[str, ...] = ()
    version_ids: Mapping[str, str] = field(default_factory=dict)


def list_source(source: Source, root: Path, table: Path | None = None, species_table: Path | None = None) -> Listing:
    """``root``: the photographs' folder. Raises DataError where nothing can be listed.

    Of an S3 source it is the mirror, of which only the listing beside it is read: not a photograph need be there yet.

    ``table``, ``species_table``: where the files that the source names lie on this machine.
    """
    match source:
        case SyntheticFlora():
            listing = _from_table(root, table or root / "labels.csv", FLORA_COLUMNS, ("order", "family", "genus"))
        case TableSource():
            listing = _from_table(root, table or Path(source.table), source.columns, source.ranks)
        case FolderSource():
            listing = _from_folders(scan(root), root, source.ranks, species_table)
        case S3Source():
            from earthsnap_train.data.source_s3 import read_listing

            there = read_listing(root)
            objects = there.objects if there is not None else {}
            found = Scan(photographs={p: FileStat(size=o.size, mtime_ns=o.modified_ns) for p, o in objects.items()})
            listing = _from_folders(found, root, source.ranks, species_table)
            versions = {path: one.version_id for path, one in objects.items() if one.version_id is not None}
            listing = replace(listing, version_ids=versions)
        case _:
            assert_never(source)
    if not listing.rows:
        raise DataError(
            f"{str(root)!r} holds no photograph that can be listed",
            where=f"{_KEY}.root",
            allowed="Files that end in .jpg, .png, .webp, .gif, .tif, .bmp, .avif or .heic.",
            remedy=_why_empty(listing.findings),
        )
    return listing


def _from_folders(found: Scan, root: Path, ranks: list[str], species_table: Path | None) -> Listing:
    describe = _species_descriptions(species_table, ranks)
    rows, unlisted = [], []
    for path in found.photographs:
        folders = path.split("/")[:-1]
        if len(folders) <= len(ranks):
            unlisted.append(path)
            continue
        species = folders[-1]
        above = dict(zip(ranks, folders[len(folders) - 1 - len(ranks) : -1], strict=True))
        rows.append(describe(Row(path=path, species=species, ranks=above)))
    if found.photographs and not rows:
        raise DataError(
            f"no photograph lies {len(ranks) + 1} folders deep, as {len(ranks)} ranks and the species need",
            where=f"{_KEY}.ranks",
            allowed="ROOT/" + "".join(f"<{rank}>/" for rank in ranks) + "<species>/photograph.jpg",
            remedy=f"Here, for instance, is {next(iter(found.photographs))!r}.",
        )
    deep_enough = f"not {len(ranks) + 1} folders deep"
    return _listing(found, rows, [], unlisted, unlisted_detail=deep_enough, own_files=(species_table,), root=root)


def _species_descriptions(path: Path | None, ranks: Iterable[str]) -> Callable[[Row], Row]:
    """Adds to a row what the table of species says about its species."""
    if path is None:
        return lambda row: row
    key = f"{_KEY}.species_table"
    table = read_table(path, key=key)
    names = table.column("species", key=key)
    rank_columns = [name for name in table.columns if name not in _NAME_COLUMNS]
    order = [*(rank for rank in ranks if rank not in rank_columns), *rank_columns]
    described: dict[str, tuple[str | None, str | None, dict[str, str]]] = {}
    blank = ("",) * len(table)
    scientific, common = (table.columns.get(name, blank) for name in ("scientific_name", "common_name"))
    for at, name in enumerate(names):
        taxa = {rank: tidy(table.columns[rank][at]) for rank in rank_columns}
        described[slug(name)] = (_text(scientific[at]), _text(common[at]), taxa)

    def describe(row: Row) -> Row:
        if (more := described.get(slug(row.species))) is None:
            return row
        taxa = {**more[2], **row.ranks}
        in_order = {rank: taxa[rank] for rank in order if taxa.get(rank)}
        return replace(row, scientific_name=more[0], common_name=more[1], ranks=in_order)

    return describe


def _from_table(root: Path, path: Path, names: TableColumns, ranks: Iterable[str]) -> Listing:
    found = scan(root)
    table = read_table(path, key=f"{_KEY}.table")
    blank = ("",) * len(table)

    def column(name: str) -> Sequence[str]:
        header: str | None = getattr(names, name)
        return blank if header is None else table.column(header, key=f"{_KEY}.columns.{name}")

    scientific, common, observation, licence, attribution = (
        _each(_text, column(name))
        for name in ("scientific_name", "common_name", "observation_id", "licence", "attribution")
    )
    species, splits = column("species"), _each(_split_name, column("split"))
    called = names.ranks or {}
    taxa = {rank: _each(tidy, table.column(called.get(rank, rank), key=f"{_KEY}.ranks")) for rank in ranks}
    unknown = sorted(set(called) - set(taxa))
    if unknown:
        raise DataError(
            f"{unknown[0]!r} is not among the ranks",
            where=f"{_KEY}.columns.ranks",
            allowed=", ".join(taxa),
            remedy=did_you_mean(unknown[0], taxa),
        )
    rows, findings = [], list(_unused_columns(table, names))
    resolve = _resolver(root, found)
    for at, written in enumerate(column("path")):
        path_or_finding = resolve(written)
        if isinstance(path_or_finding, Finding):
            findings.append(path_or_finding)
            continue
        rows.append(
            Row(
                path=path_or_finding,
                species=species[at],
                scientific_name=scientific[at],
                common_name=common[at],
                ranks={rank: taxon[at] for rank, taxon in taxa.items() if taxon[at]},
                observation_id=observation[at],
                licence=licence[at],
                attribution=attribution[at],
                split=splits[at],
            )
        )
    rows, about_rows = _one_row_each(rows)
    listed = {row.path for row in rows}
    unlisted = [path for path in found.photographs if path not in listed]
    return _listing(found, rows, findings + about_rows, unlisted, "no row in the table", own_files=(path,), root=root)


def _resolver(root: Path, found: Scan) -> Callable[[str], str | Finding]:
    """A path as written -> the path on disk, or the finding that says why there is none."""
    absolute = os.path.realpath(root) + "/"
    composed: dict[str, str] = {}
    caseless: dict[str, str] = {}

    def resolve(written: str) -> str | Finding:
        if written in found.photographs:
            return written
        path = written.strip().replace("\\", "/")
        if path.startswith("/") or path[1:2] == ":":
            path = path.removeprefix(str(root) + "/").removeprefix(absolute)
        path = posixpath.normpath(path) if path else ""
        if path.startswith(("/", "../")) or path == ".." or path[1:2] == ":":
            return Finding(code="path_outside_root", path=written, undecodable=True)
        if path in found.photographs:
            return path
        if not composed:
            composed.update((unicodedata.normalize("NFC", known), known) for known in found.photographs)
            caseless.update((known.casefold(), known) for known in found.photographs)
        if (same := composed.get(unicodedata.normalize("NFC", path))) is not None:
            return same
        near = caseless.get(path.casefold())
        detail = f"there is {near!r}, in another case" if near else "" if path else "the row names no path"
        if path in found.others or (not near and path and (root / path).is_file()):
            detail = "there is a file, but its name is not that of a photograph"
        return Finding(code="missing_file", path=written, detail=detail, undecodable=True)

    return resolve


def _one_row_each(rows: Iterable[Row]) -> tuple[list[Row], list[Finding]]:
    """Rows with a path of their own; a second row with another species is a conflict about the first."""
    first: dict[str, Row] = {}
    findings = []
    for row in rows:
        other = first.setdefault(row.path, row)
        if other is row:
            continue
        if slug(other.species) == slug(row.species):
            findings.append(Finding(code="duplicate_row", path=row.path))
        else:
            detail = f"listed as {other.species!r} and as {row.species!r}"
            findings.append(Finding(code="label_conflict", path=row.path, detail=detail))
    return list(first.values()), findings


def _listing(
    found: Scan, rows: list[Row], findings: list[Finding], unlisted: list[str], unlisted_detail: str, *,
    own_files: Iterable[Path | None], root: Path,
) -> Listing:  # fmt: skip
    own = {os.path.relpath(os.path.realpath(path), os.path.realpath(root)) for path in own_files if path is not None}
    findings = [
        *found.findings,
        *findings,
        *(Finding(code="not_in_labels", path=path, detail=unlisted_detail) for path in unlisted),
        *(Finding(code="stray_file", path=path) for path in found.others if path not in own),
        *(Finding(code="empty_class", path=path) for path in found.empty_folders),
    ]
    return Listing(
        rows=tuple(sorted(rows, key=lambda row: row.path)),
        files=found.photographs,
        findings=tuple(findings),
        unlisted=tuple(unlisted),
    )


def _unused_columns(table: Table, names: TableColumns) -> Iterator[Finding]:
    """Only those whose own name says what they are for: others are the user's business."""
    for name, column in names.model_dump(exclude={"ranks", "path", "species"}).items():
        if column is None and name in table.columns and any(table.columns[name]):
            yield Finding(code="unused_column", path=name, detail=f"dataset.source.columns.{name}={name} uses it")


def _each(tidied: Callable[[str], _T], column: Sequence[str]) -> list[_T]:
    """Columns repeat themselves: every text is looked at once."""
    known = {written: tidied(written) for written in sorted(set(column))}
    return [known[written] for written in column]


def _split_name(written: str) -> SplitName | None:
    name = written.strip().lower()
    if name not in _SPLIT_NAMES:
        raise DataError(
            f"{written!r} is no split",
            where=f"{_KEY}.columns.split",
            allowed="train, val, test, or an empty cell.",
            remedy=did_you_mean(name, filter(None, _SPLIT_NAMES)),
        )
    return _SPLIT_NAMES[name]


def _text(cell: str) -> str | None:
    return cell.strip() or None


def _why_empty(findings: Iterable[Finding]) -> str:
    missing = [finding.path for finding in findings if finding.code == "missing_file"]
    if missing:
        return f"None of the table's {len(missing)} paths is there, for instance {missing[0]!r}: is it the right root?"
    return "Check the folder."
