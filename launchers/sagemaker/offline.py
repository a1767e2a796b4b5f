"""``launcher.execute``: a plan's pipelines run on this machine, from the very definitions that would be sent.

Whatever a container needs and makes goes through a folder that stands in for S3, below the store. What stages made is
then brought into the store, where the run, the report and the registry find it as if it had been made there.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from earthsnap_train.data.source_s3 import fetch, read_listing
from earthsnap_train.errors import IntegrityError
from earthsnap_train.pipeline.plan import Plan, Stage, digest_of
from earthsnap_train.pipeline.resolve import explain
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.local import Event, Listener, Outcome
from launchers.photographs import are_in_a_bucket
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.definition import Compiled, compile_definitions
from launchers.sagemaker.execution import Execution
from launchers.sagemaker.faults import Faults
from launchers.sagemaker.shelf import ARTIFACT_FILE, Shelf
from launchers.sagemaker.steps import Pipeline
from launchers.sagemaker.submit import gather, submit


def run_pipelines(
    plan: Plan,
    settings: SageMaker,
    store: Store,
    here: Mapping[str, Path],
    listen: Listener,
    *,
    only: Collection[str] | None = None,
    faults: Mapping[str, Faults] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Outcome]:
    """Raises the first failing job's error. A pipeline that misses a gate is told of, and those after it run all the same.

    ``faults``: by pipeline, what is to go wrong. ``sleep``: for the seconds before a job is tried again.
    """
    run = _Offline(plan, settings, store, listen, faults or {}, sleep)
    if are_in_a_bucket(plan) and (listing := read_listing(here["photographs"])) is not None:
        fetch(listing, run.root / "s3" / listing.bucket / listing.prefix)
    submit(run.compiled, plan, here, run.bucket, prefix=settings.prefix)
    for pipeline in run.compiled.pipelines:
        jobs = [job.name for job in pipeline.jobs if only is None or all(stage.name in only for stage in job.stages)]
        if jobs:
            run.pipeline(pipeline, jobs)
    return run.outcomes


class _Offline:
    def __init__(
        self, plan: Plan, settings: SageMaker, store: Store, listen: Listener, faults: Mapping[str, Faults],
        sleep: Callable[[float], None],
    ) -> None:  # fmt: skip
        self.plan, self.store, self.listen, self.faults, self.sleep = plan, store, listen, faults, sleep
        self.in_containers = settings.execute == "containers"
        self.root = store.root / "sagemaker"
        self.bucket = FolderBucket(self.root / "s3" / settings.bucket)
        self.shelf = Shelf(self.bucket, name=settings.bucket, prefix=settings.prefix)
        self.compiled: Compiled = compile_definitions(plan, settings)
        # The same plan goes on with what it began: its checkpoints lie under this name.
        self.name = digest_of(plan.model_dump(mode="json"))[:16]
        self.outcomes: dict[str, Outcome] = {}

    def pipeline(self, pipeline: Pipeline, jobs: Collection[str]) -> None:
        gather(pipeline, jobs, self.shelf, self.name)
        definition = json.loads(self.compiled.definitions[pipeline.name])
        if len(jobs) < len(pipeline.jobs):
            definition["Steps"] = [step for step in definition["Steps"] if step["Name"] in jobs]
        # A search by the service's own tuning is several steps, of which one alone or two make its result.
        searches = [job for job in pipeline.jobs if job.on == "tuning"]
        stages = {job.name: job.makes for job in pipeline.jobs if job not in searches}
        execution = Execution(
            definition, {"Run": self.name}, s3=self.root / "s3", work=self.root / "jobs" / pipeline.name,
            about=lambda step: self._begin(stages.get(step, ())), after=lambda step: self._conclude(stages.get(step, ())),
            told=lambda job, text: self._say(stages[job][0], "note", {"text": f"{job}: {text}"}),
            in_containers=self.in_containers, faults=self.faults.get(pipeline.name), sleep=self.sleep,
        )  # fmt: skip
        for job in searches:
            self._begin(job.stages)
        failed = execution.run()
        for job in searches:
            self._conclude(job.stages)
        if failed is not None:
            self._say(pipeline.jobs[-1].stages[-1], "note", {"text": failed})

    def _begin(self, stages: tuple[Stage, ...]) -> None:
        for stage in stages:
            self._say(stage, "started", {"reason": "", "num_images": stage.num_images})

    def _conclude(self, stages: tuple[Stage, ...]) -> None:
        for stage in stages:
            done = self.shelf.told(self.name, stage.name)
            there = self.shelf.find(done.key) if done is not None else None
            assert done is not None, stage.name
            assert there is not None, stage.name
            last = self.store.head(self.plan.family, stage.name)
            artifact = self._bring_home(there)
            self.store.set_head(self.plan.family, stage.name, artifact.key)
            self.store.used(artifact.key)
            reason = "" if done.cached else explain(artifact.ingredients, last)
            self.outcomes[stage.name] = Outcome(artifact=artifact, cached=done.cached, reason=reason)
            values = {"seconds": artifact.seconds, "num_images": stage.num_images}
            self._say(stage, "cached" if done.cached else "done", values)

    def _bring_home(self, artifact: Artifact) -> Artifact:
        with self.store.lock(artifact.key):
            found = self.store.find(artifact.key)
            if found is None:
                with self.store.building(artifact.key) as folder:
                    self.shelf.fetch(artifact, folder)
                    (folder / ARTIFACT_FILE).unlink()
                    found = self.store.publish(
                        folder, key=artifact.key, kind=artifact.kind, stage=artifact.stage,
                        made_of=artifact.ingredients, seconds=artifact.seconds, num_images=artifact.num_images,
                    )  # fmt: skip
        if found.digest != artifact.digest:
            raise IntegrityError(
                f"{artifact.stage} came out otherwise in its container than in the store, for the same inputs",
                where=str(self.store.path(artifact.key)),
                remedy="remove that folder and run again",
            )
        return found

    def _say(self, stage: Stage, kind: str, values: Mapping[str, object]) -> None:
        self.listen(Event(stage=stage.name, kind=kind, values=values, at=time.time()))
