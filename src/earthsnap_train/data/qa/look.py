"""One pass over the files: each is read once, in parallel; what is known already is not read at all."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from earthsnap_train.context import Context
from earthsnap_train.data.qa.facts import Facts, measure
from earthsnap_train.data.qa.facts_table import made_with, read_facts, write_facts
from earthsnap_train.data.qa.pool import work_through
from earthsnap_train.data.scan import FileStat

KEPT_EVERY = 2000  # files after which what was measured is put where a kill does not lose it


def look_at(
    root: Path, paths: Sequence[str], files: Mapping[str, FileStat], *, max_megapixels: float, context: Context
) -> dict[str, Facts]:
    """Facts of every path. The same whatever the number of workers, and whatever was known before."""
    version = made_with(max_megapixels)
    known: dict[tuple[str, int, int], Facts] = {}
    if context.previous is not None:
        known |= read_facts(context.previous / "notes" / "facts.parquet", made_with=version)
    parts = sorted(context.scratch.glob("facts-*.parquet"))
    for part in parts:
        known |= read_facts(part, made_with=version)
    facts, unknown = {}, []
    for path in paths:
        if (fact := known.get((path, files[path].size, files[path].mtime_ns))) is not None:
            facts[path] = fact
        else:
            unknown.append(path)
    if len(facts) and unknown:
        context.events.note(f"{len(facts):,} photographs are as they were; {len(unknown):,} are new or changed")
    fresh: dict[str, Facts] = {}
    work = partial(_measure_files, str(root), max_megapixels)
    for path, fact in work_through(work, unknown, num_workers=context.resources.workers):
        facts[path] = fresh[path] = fact or _ended_a_process(root / path)
        context.events.progress(len(facts), len(paths), "photographs checked")
        if len(fresh) >= KEPT_EVERY:
            _keep(context.scratch / f"facts-{len(parts):05}.parquet", fresh, files, version)
            parts.append(Path())
            fresh = {}
    return {path: facts[path] for path in paths}


def _keep(part: Path, fresh: Mapping[str, Facts], files: Mapping[str, FileStat], version: str) -> None:
    write_facts(part, fresh, files, made_with=version)


def _measure_files(root: str, max_megapixels: float, paths: Iterable[str]) -> list[Facts]:
    return [_measure_file(Path(root, path), max_megapixels) for path in paths]


def _measure_file(path: Path, max_megapixels: float) -> Facts:
    try:
        return measure(path.read_bytes(), max_megapixels=max_megapixels)
    except OSError as error:
        return Facts(sha256="", num_bytes=0, refused="undecodable", detail=f"cannot be read: {error.strerror}")


def _ended_a_process(path: Path) -> Facts:
    import hashlib

    data = path.read_bytes()
    detail = "reading it ended the process that tried"
    return Facts(sha256=hashlib.sha256(data).hexdigest(), num_bytes=len(data), refused="undecodable", detail=detail)
