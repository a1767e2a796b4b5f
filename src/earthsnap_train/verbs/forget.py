"""``forget``: removes a photograph everywhere, and names the releases that learnt from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from earthsnap_train.pipeline.forget import find_traces, forget
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.job import Forget
from earthsnap_train.spec.launcher import SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console as console_for_people

if TYPE_CHECKING:
    from launchers.sagemaker.forgetting import Holdings


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Forget)
    store = Store(Path(spec.paths.store))
    registry = open_registry(spec)
    with _bucket(spec) as bucket:
        rows = bucket.rows() if bucket is not None else ()
        traces = find_traces(job.image, store, registry, Path(spec.paths.outputs), elsewhere=rows)
        copies = bucket.copies(traces) if bucket is not None else None
        if bucket is not None and copies is not None and not job.dry_run:
            bucket.forget(copies)  # first, for what is here says what to look for there
        if not job.dry_run:
            forget(traces, store, registry)
    console = console_for_people()
    removed = "would be removed" if job.dry_run else "removed"
    num_folders = len(traces.tracked)
    made = f"{len(traces.artifacts)} artifacts, {len(traces.reports)} pages and {num_folders} folders of trackers"
    console.print(f"photograph {traces.image_id}", markup=False)
    console.print(f"  {made} {removed}; the next run makes them anew without it", markup=False)
    if copies is not None:
        there = f"{len(copies.artifacts)} artifacts and {len(copies.objects)} other objects"
        console.print(f"  in the bucket {there} {removed}, with their earlier versions", markup=False)
    elif not isinstance(spec.launcher, SageMaker):
        what = (
            "a bucket that pipelines work in is not touched; launcher=sagemaker aws.bucket=... has it forgotten there"
        )
        console.print(f"  {what}", markup=False, soft_wrap=True)
    for release in traces.taught:
        advice = "reject or replace it if its weights must go too"
        console.print(f"  {release.name} was taught with it ({release.state}); {advice}", markup=False)
    for release in traces.judged:
        console.print(f"  {release.name} was judged on it, not taught", markup=False)
    for upload in traces.uploads:
        what = f"if {upload} was uploaded to W&B, remove its runs and what they logged there"
        console.print(f"  {what}: nothing up there is changed from here", markup=False, soft_wrap=True)
    for uri in traces.uris:
        console.print(f"  your own file {uri} is left to you; it will not be read into a manifest again", markup=False)
    if copies is not None and traces.uris:
        what = "pipelines are sent a folder as it is: remove your own file first, or the next run sends it again"
        console.print(f"  {what}", markup=False, soft_wrap=True)
    return 0, None


@contextmanager
def _bucket(spec: RunSpec) -> "Iterator[Holdings | None]":
    """That of the launcher; None where all it has is in the store."""
    on = spec.launcher
    if not isinstance(on, SageMaker) or on.execute is not None:
        yield None
        return
    from launchers.sagemaker.account import account
    from launchers.sagemaker.forgetting import Holdings

    with TemporaryDirectory() as folder, account(on, Path(spec.paths.store) / "sagemaker") as (bucket, _):
        yield Holdings(bucket, name=on.bucket, prefix=on.prefix, folder=Path(folder))
