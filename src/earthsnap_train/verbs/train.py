"""``train``: the whole plan, from photographs to a release that waits for approval."""

import json
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from earthsnap_train.evaluation.figures import Estimate
from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.run import Finished, StageOutcome, keep_grouping, new_run_folder, write_declaration
from earthsnap_train.pipeline.run import run as run_plan
from earthsnap_train.pipeline.store import Store, write_atomically
from earthsnap_train.pipeline.told import told
from earthsnap_train.spec.launcher import SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.tracking.choice import tell_all, trackers
from earthsnap_train.tracking.port import Tracker
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.telling import tell
from earthsnap_train.verbs.terminal import console as console_for_people
from launchers.machine import Sampler
from launchers.progress import Follower

SWEEP_VARIABLE = "EARTHSNAP_SWEEP"  # the name of the sweep's folder, for a run that is one of a sweep's


def run(spec: RunSpec) -> tuple[int, dict[str, object]]:
    """The summary and its folder: what ``--json`` prints, and what a sweep takes its figures from."""
    console = console_for_people(stderr=spec.json_output)
    signal.signal(signal.SIGTERM, _interrupt)
    launcher = import_module(spec.launcher.module)
    launcher.check(spec.launcher)
    store = Store(Path(spec.paths.store))
    if isinstance(spec.launcher, SageMaker) and not spec.launcher.wait:
        return 0, _send(spec, store, console)
    chosen = trackers(spec.tracking)
    folder = new_run_folder(spec)

    def launch(prepared: Prepared, store: Store, *, only: Collection[str] | None = None) -> Mapping[str, StageOutcome]:
        plan, states = prepared.plan, prepared.states
        estimates = {name: s.seconds_left for name, s in states.items() if s.seconds_left is not None}
        if only is None:
            running = sum(state.status != "cached" for state in states.values())
            console.print(f"{running} of {len(plan.stages)} stages to run at most, in {folder}", markup=False)
        with Follower(plan, console, folder / "events.jsonl", estimates=estimates) as follower:
            outcomes: Mapping[str, StageOutcome] = launcher.launch(
                plan, spec.launcher, store, prepared.places, follower, only=only
            )
        return outcomes

    is_here = not isinstance(spec.launcher, SageMaker) or spec.launcher.execute is not None
    with Sampler(folder) if is_here else nullcontext():  # elsewhere, this machine's figures say nothing of the work
        finished = run_plan(spec, folder, launch, store, open_registry(spec))
    tell(spec)  # whoever is to approve does not wait for an upload
    _track(spec, finished, store, chosen, console)
    everything = finished.summary | {"folder": str(folder)}
    if spec.json_output:
        print(json.dumps(everything, indent=1))  # noqa: T201
    else:
        _closing(finished, console)
    return 0, everything


def _send(spec: RunSpec, store: Store, console: Console) -> dict[str, object]:
    """Starts the run elsewhere and says where to look; the run's folder here knows what ``stop`` ends."""
    from launchers.sagemaker.account import account
    from launchers.sagemaker.forecast import require_cheap
    from launchers.sagemaker.send import send

    assert isinstance(spec.launcher, SageMaker)
    prepared = prepare(spec, store)
    require_cheap(prepared.plan, store, spec.launcher)
    keep_grouping(spec, prepared)
    folder = new_run_folder(spec)
    write_declaration(spec, prepared, folder)
    with account(spec.launcher, store.root / "sagemaker") as (bucket, service):
        sent = send(spec, prepared, store, bucket, service, run=f"{spec.name}-{folder.name}".replace("_", "-"))
    told: dict[str, object] = {
        "pipeline": sent.pipeline,
        "execution": sent.execution,
        "link": sent.link,
        "home": sent.home,
    }
    row = {"at": time.time(), "stage": "", "event": "execution", **told}
    write_atomically(folder / "events.jsonl", f"{json.dumps(row)}\n".encode())
    if spec.json_output:
        print(json.dumps(told | {"folder": str(folder)}, indent=1))  # noqa: T201
    else:
        for note in prepared.survey.notes:
            console.print(f"note     {note}", markup=False, soft_wrap=True)
        console.print(f"started  {sent.pipeline}; it starts and follows all other pipelines", markup=False)
        console.print(f"look     {sent.link}", markup=False, soft_wrap=True)
        console.print(f"result   {sent.home}", markup=False, soft_wrap=True)
        console.print(f"end it   earthsnap stop run={folder.name}", markup=False)
    return told | {"folder": str(folder)}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _track(spec: RunSpec, finished: Finished, store: Store, chosen: Sequence[Tracker], console: Console) -> None:
    """Tells the trackers of what this run did; a run that found everything in the store has nothing to tell."""
    if not chosen or (everything := told(spec, finished, store, sweep=os.environ.get(SWEEP_VARIABLE))) is None:
        return
    for line in tell_all(chosen, everything, finished.folder):
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
            "" if row.seconds is None else f"{row.seconds:.1f}",
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
    for reason in (*release.reasons, *(gate.reason for gate in data.gates if gate.verdict == "unjudged")):
        console.print(f"         {reason}", markup=False)
    console.print(f"champion {finished.champion}", markup=False, soft_wrap=True)
    if data.parent:
        console.print(f"parent   {data.parent}", markup=False, soft_wrap=True)
    for note in finished.notes:
        console.print(f"note     {note}", markup=False, soft_wrap=True)
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
