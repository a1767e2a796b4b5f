"""``releases``: all of them; one; or one beside another."""

import json
from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from earthsnap_train.evaluation.wording import WORDS, percent
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.ledger import local_time
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.release.standing import Standing, Tone, families, family_of
from earthsnap_train.spec.job import Releases
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.history import log_table
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console, say

PAGES = {"report": "report.html", "compared": "comparison.html", "notes": "NOTES.md"}
STYLES: Mapping[Tone, str] = {"waiting": "yellow", "good": "bold green", "moving": "cyan", "bad": "red", "quiet": "dim"}


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Releases)
    registry = open_registry(spec)
    if job.release is None:
        _list(registry, spec)
    elif job.against is None:
        _show(registry, job.release, json_output=spec.json_output)
    else:
        from earthsnap_train.evaluation.compare import as_text, compare_releases  # a list need not wait for Parquet

        comparison = compare_releases(registry.get(job.release), registry.get(job.against))
        text = json.dumps(comparison.summary(), indent=1) if spec.json_output else as_text(comparison)
        print(text)  # noqa: T201
    return 0, None


def _list(registry: Registry, spec: RunSpec) -> None:
    found = [
        standing
        for family in families(registry, Deployments(registry.ledger))
        if spec.name in ("any", family.name)
        for standing in family.releases
    ]
    if spec.json_output:
        print(json.dumps([as_json(one) for one in found], indent=1))  # noqa: T201
    elif found:
        console().print(release_table(found))
    else:
        console().print("no release yet; the first: earthsnap +experiment=plants", markup=False)


def as_json(standing: Standing) -> dict[str, object]:
    release = standing.release
    return release.model_dump(mode="json", exclude={"folder"}) | {
        "path": str(release.folder), "name": release.name,
        "stands": standing.words, "live": standing.is_live, "served": list(standing.served),
    }  # fmt: skip


def release_table(standings: Iterable[Standing]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("release", "stands", "top-1", "top-5", "registered", "decided by"):
        table.add_column(name, overflow="fold", no_wrap=name not in ("stands", "decided by"))
    for one in standings:
        release, figures = one.release, one.release.summary
        table.add_row(
            Text(release.name, style="bold" if one.is_live else ""),
            Text(
                "\n".join([one.words, *(f"in {place}" for place in one.served if place != "prod")]),
                style=STYLES[one.tone],
            ),
            *(percent(figures[name]) if name in figures else "" for name in ("top1", "top5")),
            local_time(release.created),
            Text(_decided_by(one)),
        )
    return table


def _decided_by(standing: Standing) -> str:
    said = [entry for entry in standing.log if entry.action in ("approved", "rejected")]
    return said[-1].who if said else "its gates" if standing.release.reasons else ""


def _show(registry: Registry, name: str, *, json_output: bool) -> None:
    family = family_of(registry, name)
    standing = family.standing(name)
    release = standing.release
    lineage: dict[str, str] = json.loads((release.path / "release.json").read_bytes())["lineage"]
    pages = {what: path for what, file in PAGES.items() if (path := release.path / "report" / file).is_file()}
    if json_output:
        found = as_json(standing) | {
            "lineage": lineage,
            "pages": {what: str(path) for what, path in pages.items()},
            "back": family.back.release.name if family.back is not None and standing.is_live else None,
            "log": [entry.model_dump() for entry in standing.log],
        }
        print(json.dumps(found, indent=1))  # noqa: T201
        return
    out = console()
    out.print(Text.assemble((name, "bold"), "  ", (standing.words, STYLES[standing.tone])))
    out.print()
    lines = {
        "state": f"{release.state}{registry.by_whom(name)}",
        "gates": "; ".join(release.reasons) or "none failed",
        "figures": _figures(release),
        "served": ", ".join(f"in {place}" for place in standing.served) or "nowhere",
        "made": f"{local_time(release.created)}, "
        + ", ".join(f"{what} {value[:12]}" for what, value in lineage.items()),
        "digest": release.digest[:12],
        **{what: str(path) for what, path in pages.items()},
    }
    if family.live is not None and not standing.is_live:
        lines["beside"] = f"earthsnap releases release={name} against={family.live.release.name}"
    if family.back is not None and standing.is_live:
        lines["before"] = f"{family.back.release.name}, which a rollback would bring back"
    say(lines, style="")
    out.print()
    out.print(log_table(standing.log, of_one=True))


def _figures(release: Release) -> str:
    return ", ".join(f"{WORDS.get(name, name)} {percent(value)}" for name, value in release.summary.items())
