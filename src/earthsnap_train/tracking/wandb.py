"""Weights & Biases: a run a job, all of one group. The only file that imports wandb.

Everything is written offline first, into the run's folder, and what is written can go up from there at any time and from
any machine: at once where there is a key and the service answers, else with ``earthsnap sync`` (``upload``).
"""

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earthsnap_train.spec.tracking import Wandb
from earthsnap_train.tracking.links import Link, Links
from earthsnap_train.tracking.port import Asset, Confusion, Gallery, Table, TrackedFamily, TrackedRun
from earthsnap_train.tracking.service import key_is_there
from earthsnap_train.tracking.upload import upload
from earthsnap_train.tracking.wandb_file import read_records, write_records

if TYPE_CHECKING:
    from wandb import Api
    from wandb.sdk.wandb_run import Run

INIT_TIMEOUT_S = 5
UPLOAD_MOST_S = 120.0  # at the end of a run; what is then missing is in the run's folder
API_TIMEOUT_S = 5
OFFLINE = ("offline", "disabled", "dryrun")  # what W&B's own variable may say
MOST_CLASSES = 60  # of a confusion matrix that a person can read


class WandbTracker:
    """Offline unless a key is there and the service answers; no prompt, and nothing waits for a silent network."""

    def __init__(self, spec: Wandb) -> None:
        self._spec = spec

    def tell(self, told: TrackedFamily, folder: Path) -> str:
        self._write(told, folder)
        command = f"earthsnap sync run={folder}"
        if self._spec.mode == "offline" or os.environ.get("WANDB_MODE") in OFFLINE:
            return f"W&B      offline; to upload: {command}"
        if not key_is_there():
            return f"W&B      offline, for there is no key; to upload: {command}"
        uploaded = upload(folder, most_s=UPLOAD_MOST_S)
        if uploaded.missing:
            return f"W&B      {uploaded.missing}; to upload: {command}"
        return f"W&B      online, project {self._spec.project}, group {told.group}"

    def _write(self, told: TrackedFamily, folder: Path) -> None:
        # Beside the runs, so that a folder copied to another machine can be uploaded from there with nothing lost.
        os.environ["WANDB_DATA_DIR"] = str(folder.resolve() / "wandb")
        os.environ["WANDB_SILENT"] = "true"
        import wandb

        settings = wandb.Settings(
            console="off", disable_git=True, disable_code=True, disable_job_creation=True, init_timeout=INIT_TIMEOUT_S,
            x_disable_stats=True, x_disable_meta=True,
        )  # fmt: skip
        links: list[Link] = []
        for tracked in told.runs:
            run = wandb.init(
                mode="offline", project=self._spec.project, entity=self._spec.entity, group=told.group,
                job_type=tracked.job_type, name=f"{told.family}/{told.run} {tracked.name}", config=dict(told.config),
                tags=[name for name in (told.family, told.sweep) if name], dir=str(folder), settings=settings,
            )  # fmt: skip
            _log(wandb, run, tracked)
            for asset in tracked.makes:
                run.log_artifact(self._artifact(wandb, asset), aliases=[asset.version])
                if asset.kind == "model" and self._spec.registry is not None:
                    links.append(
                        Link(kind="register", asset=asset.reference, run_id=run.id, target=self._spec.registry)
                    )
            links += [Link(kind="use", asset=reference, run_id=run.id) for reference in tracked.uses]
            run.finish()
        wandb.teardown()  # ends W&B's own process, which until then may still be writing
        for file in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
            _make_movable(file, folder)
        Links(
            project=self._spec.project,
            entity=self._spec.entity,
            group=told.group,
            job_types=tuple(sorted({run.job_type for run in told.runs})),
            waiting=tuple(links),
        ).write(folder)

    def _artifact(self, wandb: Any, asset: Asset) -> Any:
        artifact = wandb.Artifact(asset.name, asset.kind, metadata=dict(asset.facts))
        wanted = {**asset.files, **asset.networks} if self._spec.release_files == "all" else asset.files
        for name, path in wanted.items():
            artifact.add_file(str(path), name=name)
        return artifact


# ---- what a run says, in W&B's words


def _log(wandb: Any, run: "Run", tracked: TrackedRun) -> None:
    for step, values in tracked.rows:
        run.log(dict(values), step=step)
    # Other figures begin after the last step: W&B takes steps only in their order.
    step = max((step for step, _ in tracked.rows), default=-1) + 1
    if tracked.machine:
        run.define_metric("machine/seconds", hidden=True)
        run.define_metric("machine/*", step_metric="machine/seconds")
    for at, (seconds, values) in enumerate(tracked.machine):
        run.log({f"machine/{name}": value for name, value in {"seconds": seconds, **values}.items()}, step=step + at)
    results: dict[str, Any] = {table.name: _table(wandb, table) for table in tracked.tables}
    results |= {gallery.name: _pictures(wandb, gallery) for gallery in tracked.galleries}
    if tracked.confusion is not None and len(tracked.confusion.names) <= MOST_CLASSES:
        results["confusion_matrix"] = _matrix(wandb, tracked.confusion)
    if results:
        run.log(results, step=step + len(tracked.machine))
    run.summary.update(dict(tracked.summary))


def _table(wandb: Any, table: Table) -> Any:
    return wandb.Table(columns=list(table.columns), data=[list(row) for row in table.rows], allow_mixed_types=True)


def _pictures(wandb: Any, gallery: Gallery) -> list[Any]:
    from PIL import Image

    return [
        wandb.Image(Image.open(io.BytesIO(one.image)).convert("RGB"), caption=one.caption, file_type="jpg")
        for one in gallery.pictures
    ]


def _matrix(wandb: Any, confusion: Confusion) -> Any:
    place = {name: at for at, name in enumerate(confusion.names)}
    return wandb.plot.confusion_matrix(
        y_true=[place[truth] for truth, _ in confusion.pairs],
        preds=[place[predicted] for _, predicted in confusion.pairs],
        class_names=list(confusion.names),
        title=confusion.title,
    )


def _make_movable(file: Path, folder: Path) -> None:
    """W&B writes down where it staged a file from the root of this machine; relative to the run's folder it may travel."""
    from wandb.proto.wandb_internal_pb2 import Record

    root = f"{folder.resolve()}/"

    def moved() -> Iterable[bytes]:
        for data in read_records(file):
            record = Record.FromString(data)
            if record.WhichOneof("record_type") != "artifact":
                yield data
                continue
            for entry in record.artifact.manifest.contents:
                entry.local_path = entry.local_path.removeprefix(root)
            yield record.SerializeToString()

    write_records(file, list(moved()))


# ---- what can only be said online


def own_entity() -> str:
    """Of the account whose key is here."""
    import wandb

    return str(wandb.Api(timeout=API_TIMEOUT_S).default_entity)


def replay(folder: Path) -> None:
    """Tells W&B of the links that wait in a run folder whose runs are there already; each is told once.

    What W&B refuses goes on waiting and holds nothing up; the first refusal is raised at the end.
    """
    import wandb

    links = Links.read(folder)
    assert links is not None, folder
    api: Api = wandb.Api(timeout=API_TIMEOUT_S)
    place = f"{links.entity or api.default_entity}/{links.project}"
    done: list[Link] = []
    refused: list[Exception] = []
    for link in links.waiting:
        try:
            _tell_link(api, place, link)
        except Exception as error:  # W&B has no one class for what it refuses
            refused.append(error)
            continue
        done.append(link)
        links.without(done).write(folder)
    if refused:
        raise refused[0]


def _tell_link(api: "Api", place: str, link: Link) -> None:
    artifact = api.artifact(f"{place}/{link.asset}")
    if link.kind == "use":
        api.run(f"{place}/{link.run_id}").use_artifact(artifact)
    else:
        assert link.target is not None
        artifact.link(link.target, aliases=[link.asset.partition(":")[2]])
