"""What has to lie in the bucket before pipelines run: job descriptions, what comes from outside, lists of what to read."""

from collections.abc import Collection, Mapping
from pathlib import Path

from earthsnap_train.pipeline.plan import Plan
from launchers.photographs import are_in_a_bucket
from launchers.sagemaker import places
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.definition import Compiled
from launchers.sagemaker.photographs import (
    chosen_by,
    chosen_photographs,
    photographs_digest,
    point_at_photographs,
)
from launchers.sagemaker.shelf import Shelf
from launchers.sagemaker.steps import Pipeline


def submit(
    compiled: Compiled, plan: Plan, here: Mapping[str, Path], bucket: Bucket, *, prefix: str, region: str
) -> None:
    """``here``: where the plan's externals lie on this machine. What is in the bucket already is left as it is."""
    for name, digest in plan.externals.items():
        if name == "photographs" and are_in_a_bucket(plan):
            point_at_photographs(plan, here, bucket, prefix=prefix, region=region)
            continue
        upload_external(bucket, prefix, places.external(name, digest), here[name])
    for key, description in compiled.descriptions.items():
        bucket.write(f"{prefix}/{key}", description.model_dump_json(indent=1).encode())


def gather(pipeline: Pipeline, jobs: Collection[str], shelf: Shelf, run: str) -> None:
    """Lists for each of ``jobs`` what it reads from pipelines before this one, which must have run."""
    for job in pipeline.jobs:
        if job.name not in jobs or not job.earlier:
            continue
        made = {}
        for stage in job.earlier:
            done = shelf.told(run, stage)
            artifact = shelf.find(done.key) if done is not None else None
            assert artifact is not None, f"{pipeline.name} was started before {stage} was done"
            made[stage] = artifact
        shelf.write_channel(run, f"{pipeline.name}/{job.name}.{places.EARLIER_CHANNEL}", made)
        if chosen := chosen_by(job):
            uris = chosen_photographs([made[name] for name in chosen], made["ingest"], shelf)
            shelf.write_photographs(run, f"{pipeline.name}/{job.name}", photographs_digest(made["ingest"]), uris)


def upload_external(bucket: Bucket, prefix: str, place: str, here: Path) -> list[str]:
    """Returns the keys of its objects, below ``prefix``."""
    files = sorted(path for path in here.rglob("*") if path.is_file()) if here.is_dir() else [here]
    root = here if here.is_dir() else here.parent
    keys = {f"{place}/{file.relative_to(root).as_posix()}": file for file in files}
    whole = f"{prefix}/{place}.whole"  # beside the folder and not in it: no channel shows it to a job
    if bucket.read(whole) is None:
        for key, file in keys.items():
            bucket.upload(f"{prefix}/{key}", file)
        bucket.write(whole, b"")
    return list(keys)
