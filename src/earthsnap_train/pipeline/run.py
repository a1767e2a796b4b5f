"""The whole of a run: the plan, its execution, the release, and what people read afterwards."""

import json
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from earthsnap_train import __version__
from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.evaluation.parent_check import ParentCheck
from earthsnap_train.evaluation.report import ReportData, StageRow, render
from earthsnap_train.evaluation.search_panel import SearchPanel, read_panel
from earthsnap_train.pipeline.champion import attach_evaluation, beside_champion
from earthsnap_train.pipeline.plan import Plan, digest_of
from earthsnap_train.pipeline.prepare import Prepared, prepare
from earthsnap_train.pipeline.store import Artifact, Store, write_atomically
from earthsnap_train.release.bundle_files import release_digest
from earthsnap_train.release.registry import Registry, Release
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.taxonomy.lock import lock_path, write_lock

BYTES_PER_IMAGE = 60_000  # records, features and pages of one photograph, generously
BYTES_PER_NODE = 60_000_000  # weights, checkpoints and exports of one fully taught node


class StageOutcome(Protocol):
    """What a launcher says of a stage when it is there."""

    @property
    def artifact(self) -> Artifact: ...
    @property
    def cached(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class Launcher(Protocol):
    """The port: runs what a plan lacks, somewhere, and brings every artifact into the store."""

    def __call__(
        self, prepared: Prepared, store: Store, *, only: Collection[str] | None = None
    ) -> Mapping[str, StageOutcome]: ...


@dataclass(frozen=True, kw_only=True)
class Finished:
    """``folder``: the run's own. ``is_new``: whether this run registered the release. ``champion``: how it compares.

    ``notes``: sentences for a person about what was declared.
    """

    folder: Path
    report: Path
    release: Release
    is_new: bool
    summary: dict[str, object]
    data: ReportData
    champion: str
    notes: tuple[str, ...]
    outcomes: Mapping[str, StageOutcome]


def run(spec: RunSpec, folder: Path, launch: Launcher, store: Store, registry: Registry) -> Finished:
    """Raises whatever stops it, as an EarthsnapError; what was finished before stays in the store."""
    started = time.time()
    prepared = prepare(spec, store)
    check_disk(spec, prepared, store)
    keep_grouping(spec, prepared)
    write_declaration(spec, prepared, folder)
    data_stages = [stage.name for stage in prepared.plan.stages if stage.kind in ("draw", "ingest")]
    first: Mapping[str, StageOutcome] = {}
    if any(prepared.states[name].status != "cached" for name in data_stages):
        first = launch(prepared, store, only=data_stages)
        prepared = prepare(spec, store)  # again: only now is it known what QA let through
        write_declaration(spec, prepared, folder)
    # The second launch finds the first's artifacts in the store; only the first knows that they ran.
    outcomes = {**launch(prepared, store), **first}
    return _finish(spec, folder, prepared, outcomes, store, registry, started)


def check_disk(spec: RunSpec, prepared: Prepared, store: Store) -> None:
    """Raises EnvironmentProblem before anything starts, rather than in the middle of the night."""
    waiting = [stage for stage in prepared.plan.stages if prepared.states[stage.name].status != "cached"]
    # A search looks at its photographs again and again, and keeps nothing of them.
    num_images = max((stage.num_images for stage in waiting if stage.kind != "tune"), default=0)
    nodes = sum(1 for stage in waiting if stage.kind == "train" and spec.training.method != "head")
    needed = num_images * BYTES_PER_IMAGE + nodes * BYTES_PER_NODE
    store.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store.root).free
    if free < needed:
        raise EnvironmentProblem(
            f"about {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free",
            where=f"paths.store={spec.paths.store}",
            remedy="free some space (earthsnap gc dry_run=true lists what may go), or set paths.store to another disk",
        )


def keep_grouping(spec: RunSpec, prepared: Prepared) -> None:
    """Writes the lock where species are new; everything that is in it stays as it is."""
    decision = prepared.survey.decision
    if decision.is_new or decision.appended:
        write_lock(lock_path(Path(spec.paths.groupings), spec.name), decision.grouping, family=spec.name)


def new_run_folder(spec: RunSpec) -> Path:
    """``outputs/<family>/<timestamp>``, made by this call alone however many start at once."""
    parent = Path(spec.paths.outputs) / spec.name
    parent.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in range(1000):
        folder = parent / (stamp if attempt == 0 else f"{stamp}_{attempt + 1}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise EnvironmentProblem("a thousand runs began in one second", where=str(parent))


def write_declaration(spec: RunSpec, prepared: Prepared, folder: Path) -> None:
    """What a run's folder holds from its beginning."""
    write_atomically(folder / "config.json", spec.model_dump_json(indent=1, by_alias=True).encode())
    write_atomically(folder / "plan.json", prepared.plan.model_dump_json(indent=1).encode())


def _finish(
    spec: RunSpec,
    folder: Path,
    prepared: Prepared,
    outcomes: Mapping[str, StageOutcome],
    store: Store,
    registry: Registry,
    started: float,
) -> Finished:
    folders = {name: store.path(outcome.artifact.key) for name, outcome in outcomes.items()}
    plan = prepared.plan
    data = ReportData.model_validate_json((folders["report"] / "report.json").read_bytes())
    plan_digest = digest_of({name: outcome.artifact.key for name, outcome in sorted(outcomes.items())})
    lineage = {"dataset": data.dataset.version, "plan": plan_digest, "code": __version__}
    figures = data.metrics.summary()
    digest = release_digest(folders["bundle"])
    beside = beside_champion(
        plan, folders, prepared.places, registry, digest, spec.evaluation.champion_gates, base=spec.base
    )
    check = _parent_check(folders)
    parent = check.in_words(spec.base or "") if check else ""
    data = data.model_copy(update={"gates": (*data.gates, *beside.gates), "champion": beside.link, "parent": parent})
    release, is_new = registry.register(
        spec.name,
        digest,
        folders["bundle"],
        reasons=data.reasons,
        summary={name: figures[name] for name in ("top1", "top5", "macro_recall", "ece") if name in figures},
        lineage=lineage,
    )
    seconds = {name: outcome.artifact.seconds for name, outcome in outcomes.items()}
    data = data.model_copy(
        update={
            "run": folder.name,
            "release": release.name,
            "date": time.strftime("%Y-%m-%d", time.localtime(started)),
            "next_command": next_command(spec, release),
            "searches": tuple(_searches(plan, folders)),
            "nodes": tuple(
                row.model_copy(update={"seconds": _node_seconds(row.node, plan, seconds)}) for row in data.nodes
            ),
            "lineage": tuple(
                StageRow(name=name, key=outcome.artifact.key, seconds=outcome.artifact.seconds, cached=outcome.cached)
                for name, outcome in outcomes.items()
            ),
        }
    )
    html = render(data)
    write_atomically(folder / "report.html", html.encode())
    write_atomically(folder / "qa.html", (folders["ingest"] / "notes/qa.html").read_bytes())
    registry.attach_report(release, html)
    gates = json.dumps([gate.model_dump() for gate in data.gates], indent=1)
    registry.attach(release, "report/gates.json", gates.encode())
    attach_evaluation(registry, release, folders["evaluate/family"])
    beside = beside.named(release)
    for name, page in beside.pages(data.date).items():
        write_atomically(folder / name, page.encode())
        registry.attach(release, f"report/{name}", page.encode())
    summary: dict[str, object] = {
        "family": figures,
        **({"flat": data.metrics.flat.summary()} if data.metrics.flat else {}),
        "nodes": {
            row.node: {"num_species": row.num_species, "num_images": row.num_images, "top1": row.top1.value,
                       "top5": row.top5.value, "ece": row.ece, "temperature": row.temperature, "seconds": row.seconds}
            for row in data.nodes
        },
        "gates": [gate.model_dump() for gate in data.gates],
        "notes": list(prepared.survey.notes),
        "champion": beside.summary(),
        **({"base": {"release": spec.base, "kept": check.kept, **check.model_dump()}} if check else {}),
        "release": {"name": release.name, "digest": release.digest, "state": release.state, "new": is_new},
        "stages": {
            name: {"seconds": outcome.artifact.seconds, "cached": outcome.cached, "reason": outcome.reason}
            for name, outcome in outcomes.items()
        },
        "lineage": lineage,
        "seconds": round(time.time() - started, 2),
    }  # fmt: skip
    write_atomically(folder / "summary.json", json.dumps(summary, indent=1).encode())
    return Finished(
        folder=folder,
        report=folder / "report.html",
        release=release,
        is_new=is_new,
        summary=summary,
        data=data,
        champion=beside.line,
        notes=prepared.survey.notes,
        outcomes=outcomes,
    )


def _parent_check(folders: Mapping[str, Path]) -> ParentCheck | None:
    """Where the release has a base: what became of its parent."""
    if "check/parent" not in folders:
        return None
    return ParentCheck.model_validate_json((folders["check/parent"] / "check.json").read_bytes())


def _searches(plan: Plan, folders: Mapping[str, Path]) -> Iterator[SearchPanel]:
    """What was tried in this run's searches: another search may find the same, and nothing after it then runs again."""
    for stage in plan.stages:
        if stage.kind == "tune":
            nodes = dict.fromkeys(one.node for one in plan.stages if one.inputs.get("tune") == stage.name and one.node)
            yield read_panel(stage.name.removeprefix("tune/"), list(nodes), folders[stage.name])


def next_command(spec: RunSpec, release: Release) -> str:
    return f"earthsnap predict PHOTO.jpg release={release.name}"


def _node_seconds(node: str, plan: Plan, seconds: Mapping[str, float]) -> float | None:
    """None for a node that was taught together with others."""
    own = [stage.name for stage in plan.stages if stage.node == node and stage.kind != "select"]
    return round(sum(seconds.get(name, 0.0) for name in own), 2) if own else None
