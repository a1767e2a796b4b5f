"""``export-records``: one node's records with that node's labels, for MXNet, DALI and SageMaker."""

import json
import shutil
from pathlib import Path

from earthsnap_train.context import Silence
from earthsnap_train.data.export_records import export_records
from earthsnap_train.errors import NotFoundError, did_you_mean
from earthsnap_train.pipeline.prepare import prepare
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.job import ExportRecords
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    """Raises NotFoundError for an unknown node, for a folder that is not empty, and where nothing was trained yet."""
    job = spec.job
    assert isinstance(job, ExportRecords)
    store = Store(Path(spec.paths.store))
    prepared = prepare(spec, store)
    nodes = [stage.name.removeprefix("select/") for stage in prepared.plan.stages if stage.kind == "select"]
    if job.node not in nodes:
        raise NotFoundError(
            f"{job.node} has no examples of its own: it sees those of all groups" if job.node in prepared.plan.nodes
            else f"no node is called {job.node!r}", where="node", allowed=", ".join(nodes),
            remedy=did_you_mean(job.node, nodes),
        )  # fmt: skip
    select = f"select/{job.node}"
    groups = [stage.name for stage in prepared.plan.stages if stage.kind == "records"]
    if job.node.startswith("child/"):
        groups = [f"records/{job.node.removeprefix('child/')}"]
    missing = [name for name in (select, *groups) if prepared.states[name].artifact is None]
    if missing:
        raise NotFoundError(
            f"{missing[0]} is not in the store for this declaration",
            where="node",
            remedy="run it first: the same command without export-records",
        )
    out = Path(job.out)
    if out.exists() and any(out.iterdir()):
        raise NotFoundError(
            "the folder is not empty", where=f"out={out}", remedy="name a new one; nothing is overwritten"
        )
    places = {name: store.path(str(prepared.states[name].key)) for name in (select, *groups)}
    incoming = out.with_name(f".{out.name}.incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    classes = json.loads((places[select] / "classes.json").read_text())
    export_records(
        examples=places[select],
        classes=classes,
        folders=[places[name] for name in groups],
        out=incoming,
        events=Silence(),
    )
    if out.exists():
        out.rmdir()
    incoming.rename(out)
    console_for_people().print(f"records of {job.node}, {len(classes)} classes: {out}", markup=False)
    return 0, None
