"""``plan``: what would run, why, and how long it takes; where the launcher has pipelines, these too."""

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.resolve import resolve
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.launcher import SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.terminal import console as console_for_people

if TYPE_CHECKING:
    from launchers.sagemaker.forecast import Forecast


def run(spec: RunSpec) -> tuple[int, None]:
    store = Store(Path(spec.paths.store))
    prepared = prepare(spec, store)
    pipelines = _pipelines(spec, prepared, store)
    if spec.json_output:
        told = (
            as_json(prepared)
            | {"changes": prepared.changes.as_json(), "notes": list(prepared.survey.notes)}
            | ({"pipelines": pipelines.as_json()} if pipelines else {})
        )
        print(json.dumps(told, indent=1))  # noqa: T201
        return 0, None
    console = console_for_people()
    for finding in prepared.survey.findings:
        if finding.severity != "info":
            console.print(str(finding), markup=False, style="yellow")
    for note in prepared.survey.notes:
        console.print(note, markup=False, style="yellow")
    console.print(_table(prepared))
    console.print()
    for line in prepared.changes.lines():
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    console.print(_total(prepared), markup=False)
    if pipelines is not None:
        console.print()
        console.print(_pipeline_table(pipelines))
        console.print()
        for line in pipelines.lines():
            console.print(line, markup=False, soft_wrap=True)
    return 0, None


def _pipelines(spec: RunSpec, prepared: Prepared, store: Store) -> "Forecast | None":
    """Writes the pipelines where the launcher has them. Raises ConfigError where they may cost more than is allowed."""
    if not isinstance(spec.launcher, SageMaker):
        return None
    from launchers.sagemaker.forecast import forecast, write_definitions

    # A job there has no earlier artifact to take rows from, and money is counted carefully.
    found = forecast(prepared.plan, resolve(prepared.plan, store), spec.launcher)
    write_definitions(found.compiled, Path(spec.launcher.definitions))
    return found


def as_json(prepared: Prepared) -> dict[str, object]:
    return {
        "family": prepared.plan.family,
        "nodes": list(prepared.plan.nodes),
        "stages": {
            name: {"status": s.status, "reason": s.reason, "key": s.key, "seconds": s.seconds}
            for name, s in prepared.states.items()
        },
    }


def _table(prepared: Prepared) -> Table:
    """Stages of one kind in one state for one reason share a line."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "state", "images", "time"):
        table.add_column(name, justify="right" if name in ("images", "time") else "left")
    table.add_column("why", overflow="fold")
    lines: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for stage in prepared.plan.stages:
        state = prepared.states[stage.name]
        family = stage.name.split("/")[0] if "/" in stage.name else stage.name
        shown: str = state.status
        reason = state.reason.partition("/")[0] if state.status == "depends" else state.reason
        lines[family, shown, reason].append(stage.name)
    for (family, shown, reason), names in lines.items():
        stages = [prepared.plan.stage(name) for name in names]
        seconds = [prepared.states[name].seconds for name in names]
        known = [s for s in seconds if s is not None]
        time = short_time(sum(known)) if len(known) == len(seconds) and any(known) and shown != "cached" else ""
        images = sum(stage.num_images for stage in stages)
        table.add_row(
            names[0] if len(names) == 1 else f"{family}/* ({len(names)})", shown, f"{images:,}" if images else "", time, reason,
            style="dim" if shown == "cached" else "",
        )  # fmt: skip
    return table


def _pipeline_table(pipelines: "Forecast") -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("pipeline", "jobs", "machines", "machine time"):
        table.add_column(name, justify="right" if name in ("jobs", "machine time") else "left")
    for row in pipelines.rows():
        seconds = row.seconds
        table.add_row(row.name, str(row.num_jobs), row.machines, short_time(seconds) if seconds is not None else "")
    return table


def _total(prepared: Prepared) -> str:
    """What works for untouched nodes alone is counted, since a plan cannot swear to it, and takes no time."""
    waiting = [stage for stage in prepared.plan.stages if prepared.states[stage.name].status != "cached"]
    if not waiting:
        return "Nothing has to run: every stage's result is there."
    seconds = [prepared.states[stage.name].seconds for stage in waiting]
    known = [one for one in seconds if one is not None]
    work = f"about {short_time(sum(known))} of work" if known else "how long is not known before the first run"
    if known and len(known) < len(seconds):
        work += f", and what never ran before ({len(seconds) - len(known)})"
    stages = f"{len(waiting)} of {len(prepared.states)} stages to run at most"
    return f"{stages}, {work}. A stage whose inputs come out the same is left out."
