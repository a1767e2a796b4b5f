"""``status``: what is live, releases, and runs."""

import json
from pathlib import Path

from rich.table import Table
from rich.text import Text

from earthsnap_train.evaluation.wording import percent, short_time
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.ledger import local_time
from earthsnap_train.release.locks import watching
from earthsnap_train.release.registry import Registry
from earthsnap_train.release.standing import Family, families
from earthsnap_train.serving.front_place import Place
from earthsnap_train.spec.deployment import EndpointName, SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.hosted import url_of
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.releases import as_json, release_table
from earthsnap_train.verbs.terminal import console, say

ENDPOINTS: tuple[EndpointName, ...] = ("prod", "stage")
MOST_RUNS = 10
MOST_RELEASES = 5


def run(spec: RunSpec) -> tuple[int, None]:
    registry = open_registry(spec)
    found = families(registry, Deployments(registry.ledger))
    runs = _runs(Path(spec.paths.outputs))
    if spec.json_output:
        everything = {
            "releases": [as_json(one) for family in found for one in reversed(family.releases)],
            "runs": runs,
            "live": {family.name: _live_as_json(spec, registry, family) for family in found},
            "watching": watching(registry.locks),
        }
        print(json.dumps(everything, indent=1))  # noqa: T201
        return 0, None
    out = console()
    for family in found:
        out.print(Text(family.name, style="bold"))
        say(_live(spec, registry, family, named=len(found) > 1), style="")
        out.print()
        out.print(release_table(family.releases[:MOST_RELEASES]))
        if len(family.releases) > MOST_RELEASES:
            out.print(f"and {len(family.releases) - MOST_RELEASES} earlier: earthsnap releases", markup=False)
        out.print()
    if not found:
        out.print("no release yet; the first: earthsnap +experiment=plants\n", markup=False)
    if runs:
        out.print(_run_table(runs[:MOST_RUNS]))
        last = next((one["report"] for one in runs if one["report"]), None)
        if last is not None:
            out.print(f"\nreport   {last}", markup=False, soft_wrap=True)
    return 0, None


def _live(spec: RunSpec, registry: Registry, family: Family, *, named: bool) -> dict[str, str]:
    """What is meant to be served where, whether a process does so, and what waits. ``named``: commands name the family."""
    lines: dict[str, str] = {}
    for endpoint in ENDPOINTS:
        if (wish := family.wanted.get(endpoint)) is not None:
            url = _where(spec, registry, family.name, endpoint)
            serve = f"earthsnap serve endpoint={endpoint}" + (f" family={family.name}" if named else "")
            if isinstance(spec.deployment, SageMaker):
                serve = "it is being changed, or earthsnap rollout release=NAME brings it there"
            lines[endpoint] = f"{wish.stable} at {url}" if url else f"{wish.stable}, not running: {serve}"
    if family.live is None:
        lines.setdefault("prod", "nothing is live yet")
    if family.under_way is not None and (rollout := family.under_way.rollout) is not None:
        step = f", step {rollout.step + 1}" if rollout.phase == "canary" else ""
        promote = f": earthsnap promote release={rollout.release}" if rollout.phase == "waiting" else ""
        since = local_time(rollout.since)
        lines["rollout"] = f"{rollout.release}, {family.under_way.words}{step}, since {since}{promote}"
    waiting = [one.release.name for one in family.waiting if not one.is_under_way]
    if waiting:
        lines["waiting"] = f"{', '.join(waiting)}: earthsnap approve release={waiting[0]}, or reject"
    return lines


def _where(spec: RunSpec, registry: Registry, family: str, endpoint: EndpointName) -> str | None:
    """Where it answers as the registry wants; None where it does not."""
    if isinstance(spec.deployment, SageMaker):
        return url_of(spec.deployment, spec, registry, family, endpoint)
    running = Place(registry.root, family, endpoint).running()
    return running.url if running is not None else None


def _live_as_json(spec: RunSpec, registry: Registry, family: Family) -> dict[str, object]:
    rollout = family.under_way.rollout if family.under_way is not None else None
    urls = {endpoint: _where(spec, registry, family.name, endpoint) for endpoint in family.wanted}
    return {
        "champion": family.live.release.name if family.live is not None else None,
        "back": family.back.release.name if family.back is not None else None,
        "rollout": rollout.model_dump() | {"release": rollout.release} if rollout is not None else None,
        "endpoints": {
            endpoint: wish.model_dump() | {"url": urls[endpoint]} for endpoint, wish in family.wanted.items()
        },
    }


def _run_table(runs: list[dict[str, object]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "release", "top-1", "took"):
        table.add_column(name, overflow="fold", no_wrap=name != "took")
    for one in runs:
        top1, seconds = one["top1"], one["seconds"]
        table.add_row(
            str(one["run"]),
            str(one["release"] or "did not end"),
            percent(top1) if isinstance(top1, float) else "",
            short_time(seconds) if isinstance(seconds, float) else "",
        )
    return table


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
