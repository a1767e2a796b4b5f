"""``status``: runs, releases, and what is live."""

import json
import time
from pathlib import Path

from rich.table import Table

from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.terminal import console as console_for_people

MOST_RUNS = 10


def run(spec: RunSpec) -> tuple[int, None]:
    releases = Registry(Path(spec.paths.registry)).releases()
    runs = _runs(Path(spec.paths.outputs))
    if spec.json_output:
        found = {
            "releases": [r.model_dump(mode="json") | {"name": r.name} for r in releases],
            "runs": runs,
            "live": None,
        }
        print(json.dumps(found, indent=1))  # noqa: T201
        return 0, None
    console = console_for_people()
    if releases:
        table = _table("release", "state", "top-1", "top-5", "registered", "why")
        for release in reversed(releases):
            table.add_row(
                release.name, release.state, _share(release.summary.get("top1")), _share(release.summary.get("top5")),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(release.created)), "\n".join(release.reasons),
            )  # fmt: skip
        console.print(table)
        console.print("\nlive     nothing: no release has been rolled out", markup=False)
    else:
        console.print("no release yet; the first: earthsnap +experiment=plants", markup=False)
    if runs:
        table = _table("run", "release", "top-1", "took")
        for one in runs[:MOST_RUNS]:
            seconds = one["seconds"]
            took = short_time(seconds) if isinstance(seconds, float) else ""
            table.add_row(str(one["run"]), str(one["release"] or "did not end"), _share(one["top1"]), took)
        console.print()
        console.print(table)
        last = next((one["report"] for one in runs if one["report"]), None)
        if last is not None:
            console.print(f"\nreport   {last}", markup=False, soft_wrap=True)
    return 0, None


def _table(*columns: str) -> Table:
    """The last column gives way where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name != columns[-1])
    return table


def _share(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else ""


def _runs(outputs: Path) -> list[dict[str, object]]:
    """Newest first. A folder without ``summary.json`` is of a run that goes on or did not end."""
    found = []
    for folder in sorted(outputs.glob("*/*"), key=lambda p: (p.name, p.parent.name), reverse=True):
        if not (folder / "config.json").is_file():
            continue
        summary = folder / "summary.json"
        said = json.loads(summary.read_bytes()) if summary.is_file() else {}
        report = folder / "report.html"
        found.append(
            {
                "run": f"{folder.parent.name}/{folder.name}",
                "release": said.get("release", {}).get("name"),
                "top1": said.get("family", {}).get("top1"),
                "seconds": said.get("seconds"),
                "report": str(report) if report.is_file() else None,
            }
        )
    return found
