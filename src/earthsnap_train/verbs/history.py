"""``history``: the audit log. Who, when, what, why, from where, and on which figures."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from earthsnap_train.release.ledger import Entry
from earthsnap_train.spec.job import History
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console

DIGEST_LENGTH = 64


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, History)
    registry = open_registry(spec)
    name = None if job.release is None else registry.get(job.release).name
    registry.hear()
    everything = registry.ledger.history(name)
    shown = everything[-job.last :]
    if spec.json_output:
        print(json.dumps([entry.model_dump() for entry in shown], indent=1))  # noqa: T201
        return 0, None
    out = console()
    if not shown:
        out.print("nothing has been registered or decided yet", markup=False)
        return 0, None
    out.print(log_table(shown, of_one=name is not None))
    if len(shown) < len(everything):
        out.print(f"\n{len(everything) - len(shown):,} earlier; last={len(everything)} shows them too", markup=False)
    return 0, None


def log_table(entries: Sequence[Entry], *, of_one: bool = False) -> Table:
    """Oldest first, by day. ``of_one``: all are about one release, which need not be said."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("time", "what", "release", "who", "why"):
        table.add_column(overflow="fold", no_wrap=column in ("time", "what", "release"))
    for day, of_day in groupby(entries, key=lambda entry: time.strftime("%Y-%m-%d", time.localtime(entry.at))):
        table.add_row(Text(day, style="bold"))
        for entry in of_day:
            table.add_row(
                Text(time.strftime("  %H:%M:%S", time.localtime(entry.at)), style="dim"),
                Text(entry.action, style=STYLES.get(entry.action, "")),
                "" if of_one else Text(entry.release),
                Text(entry.who),
                Text("\n").join([*([Text(entry.why)] if entry.why else []), *_about(entry)]),
            )
    return table


STYLES: Mapping[str, str] = {
    "approved": "green", "live": "bold green", "rejected": "red", "failed": "red", "rolled back": "red", "waiting": "yellow",
}  # fmt: skip


def _about(entry: Entry) -> Iterator[Text]:
    """From where, and on what: a line for the figures, and one for each part of them that has a name."""
    yield Text(f"from {entry.origin}", style="dim")
    if plain := compact({name: value for name, value in entry.figures.items() if not isinstance(value, Mapping)}):
        yield Text(plain, style="dim")
    for name, part in entry.figures.items():
        if isinstance(part, Mapping):
            said = part["said"] if isinstance(part.get("said"), str) else compact(part)
            yield Text(f"{name}: {said}", style="red" if part.get("passed") is False else "dim")


def compact(figures: Mapping[str, object]) -> str:
    """``p99_ms 31.2, errors 0``"""
    return ", ".join(f"{name} {_short(value)}" for name, value in figures.items() if value is not None)


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value[:12] if isinstance(value, str) and len(value) == DIGEST_LENGTH else str(value)
