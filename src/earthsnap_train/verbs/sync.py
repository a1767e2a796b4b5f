"""``sync``: takes what runs wrote offline for W&B up to its service."""

import time
from pathlib import Path

from earthsnap_train.errors import EnvironmentProblem, NotFoundError
from earthsnap_train.spec.job import Sync
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.tracking.links import Links
from earthsnap_train.tracking.service import key_is_there, service_url
from earthsnap_train.tracking.upload import report, upload, waits
from earthsnap_train.tracking.wandb_report import require_reports
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    """Exit code 3 where something did not go up; the same command goes on from there."""
    job = spec.job
    assert isinstance(job, Sync)
    console = console_for_people()
    folders = (
        [_named(Path(job.run))] if job.run is not None else _waiting(Path(spec.paths.outputs), with_report=job.report)
    )
    if not folders:
        console.print("nothing waits to be uploaded")
        return 0, None
    if not key_is_there():
        raise EnvironmentProblem(
            "there is no key to W&B",
            where=service_url(),
            remedy="wandb login, or set WANDB_API_KEY; then run this again",
        )
    if job.report:
        require_reports()
    until = time.monotonic() + 60 * job.minutes
    code = 0
    for folder in folders:
        uploaded = upload(folder, most_s=until - time.monotonic())
        there = f"{uploaded.num_runs} runs are there" if uploaded.num_runs else "everything was there"
        console.print(f"{folder}  {uploaded.missing or there}", markup=False, soft_wrap=True)
        why = ""
        if job.report and not uploaded.missing:
            page, why = report(folder, most_s=until - time.monotonic())
            console.print(f"{folder}  report {page or f'is missing, for {why}'}", markup=False, soft_wrap=True)
        if uploaded.missing or why:
            code = EnvironmentProblem.exit_code
    return code, None


def _named(folder: Path) -> Path:
    if Links.read(folder) is None:
        raise NotFoundError(
            "this folder holds nothing for W&B",
            where=str(folder),
            allowed="the folder of a run that was made with tracking=wandb",
            remedy="earthsnap status lists runs; earthsnap sync alone takes all that wait",
        )
    return folder


def _waiting(outputs: Path, *, with_report: bool) -> list[Path]:
    """Oldest first. ``with_report``: also those that are up there and have no report yet."""
    folders = sorted(path.parents[1] for path in outputs.glob("**/wandb/links.json"))
    return [folder for folder in folders if waits(folder) or (with_report and not _has_report(folder))]


def _has_report(folder: Path) -> bool:
    links = Links.read(folder)
    return links is not None and links.report is not None
