"""``advise``: groupings worth a try, labels that look wrong, species that are too few or too alike."""

import json
import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from earthsnap_train.advice.figures import Advice, GroupingFigures
from earthsnap_train.advice.files import (
    FIGURES,
    PAGE,
    SUSPECTS,
    check_free,
    grouping_file,
    grouping_yaml,
    suspects_csv,
    write_files,
)
from earthsnap_train.advice.page import render
from earthsnap_train.evaluation.wording import percent, points
from earthsnap_train.pipeline.advised import STAGE, advice_plan, check_advisable, remember_folder
from earthsnap_train.pipeline.expected import expected
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.resolve import resolve
from earthsnap_train.pipeline.run import check_disk
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.job import Advise
from earthsnap_train.spec.launcher import Local
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.taxonomy.lock import lock_path
from earthsnap_train.verbs.terminal import console as console_for_people
from earthsnap_train.verbs.terminal import say
from launchers.local import Outcome, check, launch
from launchers.progress import Follower

OWN = ("job=", "job.", "json=", "traceback=")  # what is said to this verb alone


def run(spec: RunSpec) -> tuple[int, dict[str, object]]:
    job = spec.job
    assert isinstance(job, Advise)
    console = console_for_people(stderr=spec.json_output)
    advice = _drawn(spec, job, console)
    is_locked = lock_path(Path(spec.paths.groupings), spec.name).exists()
    use = command(sys.argv[1:], advice.best, job, is_locked=is_locked)
    files = {grouping_file(one.name): grouping_yaml(advice, one) for one in advice.groupings}
    files |= {SUSPECTS: suspects_csv(advice), FIGURES: without_pictures(advice)}
    remember_folder(Store(Path(spec.paths.store)), Path(job.out))
    write_files(Path(job.out), {**files, PAGE: render(advice, folder=job.out, use=use)})
    everything: dict[str, object] = json.loads(without_pictures(advice)) | {"folder": job.out, "use": use}
    if spec.json_output:
        print(json.dumps(everything, indent=1))  # noqa: T201
    else:
        _show(advice, job.out, use, console)
    return 0, everything


def _drawn(spec: RunSpec, job: Advise, console: Console) -> Advice:
    """Runs what is not there yet, first what decides which species are in."""
    check_advisable(spec)
    store = Store(Path(spec.paths.store))
    prepared = prepare(spec, store)
    if resolve(advice_plan(spec, job, prepared.plan), store)[STAGE].status != "cached":
        check_free(Path(job.out))
    check_disk(spec, prepared, store)
    data_stages = [stage.name for stage in prepared.plan.stages if stage.kind in ("draw", "ingest")]
    if any(prepared.states[name].status != "cached" for name in data_stages):
        _launch(spec, prepared.plan, prepared, store, console, only=data_stages)
        prepared = prepare(spec, store)  # again: only now is it known what QA let through
    plan = advice_plan(spec, job, prepared.plan)
    outcomes = _launch(spec, plan, prepared, store, console)
    return Advice.model_validate_json((store.path(outcomes[STAGE].artifact.key) / "advice.json").read_bytes())


def _launch(
    spec: RunSpec,
    plan: Plan,
    prepared: Prepared,
    store: Store,
    console: Console,
    *,
    only: Collection[str] | None = None,
) -> Mapping[str, Outcome]:
    assert isinstance(spec.launcher, Local)
    check(spec.launcher)
    states = expected(plan, resolve(plan, store), prepared.changes, store)
    estimates = {name: s.seconds_left for name, s in states.items() if s.seconds_left is not None}
    with Follower(plan, console, Path(os.devnull), estimates=estimates) as follower:
        return launch(plan, spec.launcher, store, prepared.places, follower, only=only)


def command(typed: Sequence[str], best: GroupingFigures, job: Advise, *, is_locked: bool) -> str:
    """The declaration as it was typed, with the best grouping. Once there is a lock, only ``regroup`` moves species."""
    if best.is_declared:
        own: tuple[str, ...] = OWN
        grouping = []
    elif best.rank is not None:
        own = (*OWN, "grouping=", "grouping.")
        limits = [f"grouping.min_species={job.min_species}", f"grouping.max_species={job.max_species}"]
        grouping = ["grouping=by_rank", f"grouping.rank={best.rank}", *limits]
    else:
        own = (*OWN, "grouping=", "grouping.")
        grouping = ["grouping=file", f"grouping.file={job.out}/{grouping_file(best.name)}"]
    kept = [word for word in typed if not word.lstrip("+~").startswith(own)]
    if is_locked and grouping:
        return shlex.join(["earthsnap", "regroup", *kept, *grouping, "write=true"])
    return shlex.join(["earthsnap", *kept, *grouping])


def without_pictures(advice: Advice) -> str:
    pictures = {"picture", "portrait"}
    pairs = {"first_portrait", "second_portrait"}
    return advice.model_dump_json(indent=1, exclude={"suspects": {"__all__": pictures}, "pairs": {"__all__": pairs}})


def _show(advice: Advice, folder: str, use: str, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "grouping",
        "groups",
        "largest",
        "top-1",
        "95 %",
        "beside flat",
        "routed",
        "ceiling",
        "taught again",
        "stable",
    ):
        table.add_column(name, justify="left" if name == "grouping" else "right")
    for one in advice.groupings:
        table.add_row(
            f"{one.name}{' *' if one.is_best else ''}", str(one.num_groups), str(one.largest), percent(one.top1.value),
            f"{100 * one.top1.low:.1f} to {100 * one.top1.high:.1f}", points(one.minus_flat.value),
            percent(one.routing.value), percent(one.ceiling.value), percent(one.child_share, 0), f"{one.stability:.2f}",
            style="bold" if one.is_best else "",
        )  # fmt: skip
    table.add_row(
        "one flat head", "", "", percent(advice.flat.value), f"{100 * advice.flat.low:.1f} to {100 * advice.flat.high:.1f}",
        "", "", "", "100%", "", style="dim",
    )  # fmt: skip
    console.print()
    console.print(table)
    console.print()
    inseparable = [f"{pair.first.label} and {pair.second.label}" for pair in advice.pairs if pair.is_inseparable]
    say(
        {
            "*": "most stable, then cheapest to change, of those whose top-1 is not shown to be below the highest",
            "labels": f"{len(advice.suspects)} look wrong: {folder}/{SUSPECTS}",
            "too few": f"{len(advice.scarce)} of {advice.num_species} species",
            "alike": f"not separated: {'; '.join(inseparable)}" if inseparable else "every pair can be told apart",
            "page": f"{folder}/{PAGE}",
            "next": use,
        }
    )
