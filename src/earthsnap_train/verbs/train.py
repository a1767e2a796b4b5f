"""``train``: the whole plan, from photographs to a release that waits for approval."""

import json
import signal
from collections.abc import Collection, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from earthsnap_train.evaluation.figures import Estimate
from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.resolve import resolve
from earthsnap_train.pipeline.run import Finished, StageOutcome, new_run_folder
from earthsnap_train.pipeline.run import run as run_plan
from earthsnap_train.pipeline.store import Store
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.tracking import TrackedRun, tracker
from earthsnap_train.verbs.telling import tell
from earthsnap_train.verbs.terminal import console as console_for_people
from launchers.progress import Follower


def run(spec: RunSpec) -> tuple[int, float]:
    """The objective of a sweep is the family's top-1."""
    console = console_for_people(stderr=spec.json_output)
    signal.signal(signal.SIGTERM, _interrupt)
    launcher = import_module(spec.launcher.module)
    launcher.check(spec.launcher)
    store = Store(Path(spec.paths.store))
    folder = new_run_folder(spec)

    def launch(
        plan: Plan, store: Store, places: Mapping[str, Path], *, only: Collection[str] | None = None
    ) -> Mapping[str, StageOutcome]:
        states = resolve(plan, store)
        estimates = {name: s.seconds for name, s in states.items() if s.seconds is not None}
        if only is None:
            running = sum(state.status != "cached" for state in states.values())
            console.print(f"{running} of {len(plan.stages)} stages to run at most, in {folder}", markup=False)
        with Follower(plan, console, folder / "events.jsonl", estimates=estimates) as follower:
            outcomes: Mapping[str, StageOutcome] = launcher.launch(
                plan, spec.launcher, store, places, follower, only=only
            )
        return outcomes

    finished = run_plan(spec, folder, launch, store, Registry(Path(spec.paths.registry)))
    _track(spec, finished, console)
    tell(spec)
    if spec.json_output:
        print(json.dumps(finished.summary | {"folder": str(folder)}, indent=1))  # noqa: T201
    else:
        _closing(finished, console)
    return 0, finished.data.metrics.top1.value


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _track(spec: RunSpec, finished: Finished, console: Console) -> None:
    """Tells the tracker of what this run taught; a run that found everything in the store has nothing to tell."""
    taught = [name for name, stage in finished.outcomes.items() if name.startswith("train/") and not stage.cached]
    if not taught:
        return
    store = Store(Path(spec.paths.store))
    rows: dict[str, list[tuple[int, dict[str, float]]]] = {}
    for name in taught:
        # The artifact's own curve, for it is whole even where this run only went on with what a killed one began.
        curve = store.path(finished.outcomes[name].artifact.key) / "notes" / "curves.json"
        rows[name] = [(row.pop("step"), row) for row in json.loads(curve.read_text())]
    nodes = {row.node: row for row in finished.data.nodes}
    runs = [
        TrackedRun(
            name=name,
            job_type=f"train-{name.split('/')[1]}",
            rows=rows[name],
            summary={
                "test_top1": nodes[node].top1.value,
                "test_top5": nodes[node].top5.value,
                "test_ece": nodes[node].ece,
            },
        )
        for name in taught
        for node in [name.removeprefix("train/")]
    ]
    runs.append(TrackedRun(name="evaluate", job_type="evaluate", rows=[], summary=finished.data.metrics.summary()))
    group = f"{spec.name}/{finished.folder.name}"
    line = tracker(spec.tracking).tell(runs, group=group, config=spec.model_dump(mode="json"), folder=finished.folder)
    if line:
        console.print(line, markup=False, soft_wrap=True)


def _closing(finished: Finished, console: Console) -> None:
    """The table, the report and the next command: what a person wants to see when a run has ended."""
    data = finished.data
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (
        ("node", "left"),
        ("species", "right"),
        ("test images", "right"),
        ("top-1", "right"),
        ("top-5", "right"),
        ("seconds", "right"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in data.nodes:
        table.add_row(
            row.node,
            str(row.num_species),
            str(row.num_images),
            _share(row.top1),
            _share(row.top5),
            f"{row.seconds or 0:.1f}",
        )
    table.add_section()
    metrics = data.metrics
    table.add_row(
        "family",
        str(data.dataset.num_species),
        str(metrics.num_images),
        _share(metrics.top1),
        _share(metrics.top5),
        "",
        style="bold",
    )
    if metrics.flat is not None:
        table.add_row(
            "flat baseline",
            str(data.dataset.num_species),
            str(metrics.num_images),
            _share(metrics.flat.top1),
            _share(metrics.flat.top5),
            "",
        )
    console.print()
    console.print(table)
    console.print()
    release = finished.release
    known = "" if finished.is_new else ", as it was already"
    state = {
        "PendingApproval": "waits for approval",
        "Rejected": "was rejected by its gates",
        "Approved": "is approved",
    }[release.state]
    console.print(f"release  {release.name} {state}{known}", markup=False)
    for reason in release.reasons:
        console.print(f"         {reason}", markup=False)
    console.print(f"champion {finished.champion}", markup=False, soft_wrap=True)
    console.print(f"report   {finished.report}", markup=False, soft_wrap=True)
    console.print(f"checks   {finished.folder / 'qa.html'}", markup=False, soft_wrap=True)
    console.print(f"next     {data.next_command}", markup=False, soft_wrap=True)
    if release.state == "PendingApproval":
        console.print(f"then     earthsnap approve release={release.name}", markup=False, soft_wrap=True)
    seconds = finished.summary["seconds"]
    if isinstance(seconds, float):
        console.print(f"took     {short_time(seconds)}", markup=False)
    with suppress(OSError):
        console.file.flush()


def _share(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} %"
