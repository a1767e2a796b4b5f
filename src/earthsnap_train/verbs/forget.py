"""``forget``: removes a photograph everywhere, and names the releases that learnt from it."""

from pathlib import Path

from earthsnap_train.pipeline.forget import find_traces, forget
from earthsnap_train.pipeline.store import Store
from earthsnap_train.spec.job import Forget
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.terminal import console as console_for_people


def run(spec: RunSpec) -> tuple[int, None]:
    job = spec.job
    assert isinstance(job, Forget)
    store = Store(Path(spec.paths.store))
    registry = open_registry(spec)
    traces = find_traces(job.image, store, registry, Path(spec.paths.outputs))
    if not job.dry_run:
        forget(traces, store, registry)
    console = console_for_people()
    removed = "would be removed" if job.dry_run else "removed"
    num_folders = len(traces.tracked)
    made = f"{len(traces.artifacts)} artifacts, {len(traces.reports)} pages and {num_folders} folders of trackers"
    console.print(f"photograph {traces.image_id}", markup=False)
    console.print(f"  {made} {removed}; the next run makes them anew without it", markup=False)
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
    return 0, None
