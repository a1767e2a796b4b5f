"""Takes a plan through its pipelines: starts those that lack something, follows them, and brings home what they make.

It keeps nothing to itself. Which execution of a pipeline is a run's, and what its stages made, lies in the bucket, and a
run is named by its plan; so whoever asks for the same plan, after whatever end of the one before, goes on from there.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from earthsnap_train.errors import ConfigError, EarthsnapError, IntegrityError, StageError
from earthsnap_train.pipeline.plan import Plan, Stage, digest_of
from earthsnap_train.pipeline.resolve import explain, key_of, stage_ingredients
from earthsnap_train.pipeline.store import Artifact, Store
from earthsnap_train.spec.launcher import SageMaker
from launchers.local import Event, Listener, Outcome
from launchers.sagemaker import places
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.definition import Compiled, compile_definitions
from launchers.sagemaker.home import bring_home
from launchers.sagemaker.room import Share, share_of
from launchers.sagemaker.running import Record, Running
from launchers.sagemaker.service import NotNow, Progress, Service
from launchers.sagemaker.shelf import Done, Shelf
from launchers.sagemaker.steps import Job, Pipeline
from launchers.sagemaker.submit import gather, submit
from launchers.sagemaker.tuning import FIND

NUM_LOG_LINES = 20


def run_name(plan: Plan) -> str:
    """By what is to be done and from what; neither by how many photographs there seem to be, nor by who asks where."""
    stages = [stage.model_dump(mode="json", exclude={"num_images"}) for stage in plan.stages]
    return digest_of({"family": plan.family, "stages": stages, "externals": plan.externals})[:16]


class Conductor:
    """``bucket`` and ``service``: where the plan's jobs find things, and who runs them."""

    def __init__(
        self, plan: Plan, settings: SageMaker, store: Store, bucket: Bucket, service: Service, listen: Listener
    ) -> None:
        self.plan, self.settings, self.store = plan, settings, store
        self.bucket, self.service, self.listen = bucket, service, listen
        self.shelf = Shelf(bucket, name=settings.bucket, prefix=settings.prefix)
        self.compiled: Compiled = compile_definitions(plan, settings)
        self.run = run_name(plan)
        self.outcomes: dict[str, Outcome] = {}
        self.digests = {f"@{name}": digest for name, digest in plan.externals.items()}
        self.absent: set[str] = set()  # keys that were looked for in the bucket
        self.running: list[Running] = []
        self.failure: EarthsnapError | None = None
        self.waited_for: set[str] = set()

    def go(self, here: Mapping[str, Path], only: Collection[str] | None) -> dict[str, Outcome]:
        """Raises the first failing job's error, after the executions beside it have ended."""
        scope = {stage.name for stage in self.plan.stages if only is None or stage.name in only}
        waiting = {
            pipeline.name: (pipeline, jobs)
            for pipeline in self.compiled.pipelines
            if (jobs := tuple(job for job in pipeline.jobs if all(stage.name in scope for stage in job.stages)))
        }
        submitted = False
        try:
            while True:
                self._settle(stage for _, jobs in waiting.values() for job in jobs for stage in job.makes)
                waiting = {name: one for name, one in waiting.items() if self._lacks(one[1])}
                if not waiting:
                    return self.outcomes
                if not submitted:
                    prefix, region = self.settings.prefix, self.settings.region
                    submit(self.compiled, self.plan, here, self.bucket, prefix=prefix, region=region)
                    submitted = True
                waits = self.failure is None and self._start(waiting.values())
                if self.failure is not None and not self.running:
                    raise self.failure
                assert self.running or waits, "what lacks something is at work, or waits for a machine"
                for one in list(self.running):
                    self._look(one)
                time.sleep(self.service.look_every_s)
        except KeyboardInterrupt:
            self._leave()
            raise

    # ---- what is there already

    def _settle(self, stages: Iterable[Stage]) -> None:
        """Finds what the store or the bucket has; what is in the bucket alone comes home."""
        for stage in stages:
            needed = [reference.partition(":")[0] for reference in stage.inputs.values()]
            if stage.name in self.outcomes or any(name not in self.digests for name in needed):
                continue
            key = key_of(stage_ingredients(stage, self.digests))
            found = self.store.find(key)
            cached = True
            if found is None and key not in self.absent:
                there = self.shelf.find(key)
                self.absent |= {key} if there is None else set()
                if there is not None:
                    found, cached = bring_home(there, self.shelf, self.store), not self._is_this_runs(stage, key)
            if found is not None:
                self._conclude(stage, found, cached=cached, last=self.store.head(self.plan.family, stage.name))

    def _is_this_runs(self, stage: Stage, key: str) -> bool:
        """Whether a job of this run made it, for one that was not there to see it."""
        done = self.shelf.told(self.run, stage.name)
        return done is not None and done.key == key and not done.cached

    def _lacks(self, jobs: Iterable[Job]) -> bool:
        return any(stage.name not in self.outcomes for job in jobs for stage in job.makes)

    # ---- starting

    def _start(self, waiting: Iterable[tuple[Pipeline, tuple[Job, ...]]]) -> bool:
        """Starts what can start now. Returns whether something could but for want of machines."""
        waits = False
        at_work = {one.pipeline.name for one in self.running}
        busy: Mapping[str, int] | None = None
        for pipeline, jobs in waiting:
            if pipeline.name in at_work or any(name not in self.outcomes for job in jobs for name in job.earlier):
                continue
            if self.service.at_once is not None and len(self.running) >= self.service.at_once:
                break
            if (record := self._record(pipeline)) is not None and self._adopt(pipeline, record):
                continue
            if busy is None:
                busy = self._busy()
            share = share_of(
                pipeline, self.compiled.uses, most=self.settings.max_instances, busy=busy,
                given=[one.share for one in self.running],
            )  # fmt: skip
            if share is None:
                waits = self._wait(jobs[0], f"launcher.max_instances leaves no machine for {pipeline.name} now")
                continue
            try:
                self._begin(pipeline, self._chosen(pipeline, jobs), share, attempt=record.attempt + 1 if record else 1)
            except NotNow as limit:
                waits = self._wait(jobs[0], f"{pipeline.name} cannot start yet: {limit.what}")
                break
        return waits

    def _begin(self, pipeline: Pipeline, jobs: tuple[Job, ...], share: Share, *, attempt: int) -> None:
        """Raises NotNow. Killed at any point of this, the next one does the same again, and nothing is started twice."""
        self._hand_over(jobs)
        names = tuple(job.name for job in jobs)
        gather(pipeline, names, self.shelf, self.run)
        definition = self.compiled.definitions[pipeline.name]
        if self.service.definition(pipeline.name) != definition:
            self.service.put(pipeline.name, definition, role=self.settings.role)
        values = {"Run": self.run, **self.compiled.parameters[pipeline.name]}
        is_part = len(jobs) < len(pipeline.jobs)
        token = digest_of({"pipeline": pipeline.name, "attempt": attempt, "values": values, "jobs": names})
        execution = self.service.start(
            pipeline.name, values, steps=names if is_part else None, at_once=share.steps, token=token
        )
        record = Record(attempt=attempt, execution=execution, jobs=names, machines=dict(share.machines))
        self.bucket.write(self._place(pipeline), record.model_dump_json(indent=1).encode())
        if self.service.definition_of(execution) != definition:
            self.service.stop(execution)
            raise NotNow("another run changed the pipeline at this very moment", where=pipeline.name)
        self._follow(pipeline, record, share)

    def _hand_over(self, jobs: Sequence[Job]) -> None:
        """What this machine has and the bucket lacks goes there, and the run's jobs are told where to find it."""
        stages = [stage.name for job in jobs for stage in job.stages] + [name for job in jobs for name in job.earlier]
        for name in dict.fromkeys(stages):
            if name not in self.outcomes:
                continue
            artifact = self.outcomes[name].artifact
            if self.shelf.find(artifact.key) is None:
                self.shelf.put(self.store.path(artifact.key), artifact)
            if (told := self.shelf.told(self.run, name)) is None or told.key != artifact.key:
                self.shelf.tell(self.run, Done(stage=name, key=artifact.key, cached=True))

    def _chosen(self, pipeline: Pipeline, jobs: tuple[Job, ...]) -> tuple[Job, ...]:
        """Jobs that lack something, with all that they wait for, so that the service needs no earlier execution for them.

        A pipeline that ends with a condition is taken whole: it judges what its jobs made in that very execution.
        """
        if any(job.judges for job in pipeline.jobs):
            return jobs
        needed = {job.name for job in jobs if self._lacks([job])}
        for job in reversed(pipeline.jobs):
            if job.name in needed:
                needed |= set(job.before)
        return tuple(job for job in jobs if job.name in needed)

    def _busy(self) -> Mapping[str, int]:
        if not self.settings.max_instances:
            return {}
        return self.service.busy(without={name for one in self.running for name in one.machines})

    def _wait(self, job: Job, why: str) -> bool:
        """Says it once."""
        if why not in self.waited_for:
            self._say(job.stages[0], "note", {"text": why})
        self.waited_for.add(why)
        return True

    # ---- following

    def _record(self, pipeline: Pipeline) -> Record | None:
        content = self.bucket.read(self._place(pipeline))
        return Record.model_validate_json(content) if content is not None else None

    def _adopt(self, pipeline: Pipeline, record: Record) -> bool:
        """Follows an execution that an earlier conductor of this run started, if it is still at work."""
        if not self.service.progress(record.execution).is_running:
            return False
        self._follow(pipeline, record, Share(steps=None, machines=record.machines))
        return True

    def _follow(self, pipeline: Pipeline, record: Record, share: Share) -> None:
        jobs = tuple(job for job in pipeline.jobs if job.name in record.jobs)
        self.running.append(Running(pipeline, record.execution, jobs, share))
        told = {"pipeline": pipeline.name, "execution": record.execution, "link": self.service.link(record.execution)}
        self._say(jobs[0].stages[0], "execution", told)

    def _look(self, one: Running) -> None:
        progress = self.service.progress(one.execution)
        one.machines |= {step.job for step in progress.steps.values() if step.job is not None}
        for text in progress.notes[one.num_notes :]:
            self._say(one.jobs[0].stages[0], "note", {"text": text})
        one.num_notes = len(progress.notes)
        for job in one.jobs:
            begins = f"{job.name}-{FIND}" if job.on == "tuning" else job.name
            step = progress.steps.get(begins)
            if step is None or step.status == "Starting":
                continue
            if job.name not in one.begun:
                one.begun.add(job.name)
                self._tell_begun(job)
            if step.status == "Succeeded" and job.on != "tuning":
                self._conclude_job(job)
        if not progress.is_running:
            self.running.remove(one)
            # Of a search's steps a branch is left out, so that none of them is its end.
            if progress.status == "Succeeded":
                for job in one.jobs:
                    self._conclude_job(job)
            self._end(one, progress)

    def _end(self, one: Running, progress: Progress) -> None:
        """What was made decides: a missed gate ends a pipeline as failed after everything is there."""
        failed = [step for step in progress.steps.values() if step.status == "Failed"]
        why = failed[0].reason if failed and failed[0].reason else progress.reason
        if not self._lacks(one.jobs):
            if progress.status == "Failed":
                self._say(one.jobs[-1].stages[-1], "note", {"text": why})
            return
        job = next((job for step in failed for job in one.jobs if job.name == step.name), None)
        job = job or next(job for job in one.jobs if self._lacks([job]))
        stage = next((stage for stage in job.stages if stage.name not in self.outcomes), job.stages[-1])
        step = failed[0] if failed else progress.steps.get(job.name)
        lines = self.service.log(step.job, NUM_LOG_LINES) if step is not None and step.job is not None else ()
        error = StageError(
            why or f"its pipeline ended as {progress.status.lower()}",
            where=stage.name,
            remedy=f"{self.service.link(one.execution)} shows more; the same command goes on from here",
        )
        self._say(stage, "failed", {"error": str(error)})
        for line in (error.what, *lines):
            self._say(stage, "note", {"text": line})
        self.failure = self.failure or error

    def _leave(self) -> None:
        """Says what goes on where nobody follows it any more."""
        if self.running and self.service.outlives:
            names = ", ".join(one.pipeline.name for one in self.running)
            text = (
                f"{names} go on without this command; earthsnap stop run=NAME (the name of this run's folder) ends them"
            )
            self._say(self.running[0].jobs[0].stages[0], "note", {"text": text})

    # ---- what was made

    def _conclude_job(self, job: Job) -> None:
        for stage in job.makes:
            if stage.name in self.outcomes:
                continue
            done = self.shelf.told(self.run, stage.name)
            there = self.shelf.find(done.key) if done is not None else None
            if done is None or there is None:
                raise IntegrityError(
                    "its job ended well, and what it made is not in the bucket",
                    where=stage.name,
                    remedy="run again: it is made anew",
                )
            last = self.store.head(self.plan.family, stage.name)
            self._conclude(stage, bring_home(there, self.shelf, self.store), cached=done.cached, last=last)

    def _conclude(self, stage: Stage, artifact: Artifact, *, cached: bool, last: Artifact | None) -> None:
        self.digests[stage.name] = artifact.digest
        self.store.set_head(self.plan.family, stage.name, artifact.key)
        self.store.used(artifact.key)
        reason = "" if cached else explain(artifact.ingredients, last)
        self.outcomes[stage.name] = Outcome(artifact=artifact, cached=cached, reason=reason)
        values = {"seconds": artifact.seconds, "num_images": stage.num_images}
        self._say(stage, "cached" if cached else "done", values)
        if stage.kind == "ingest":
            self._require_version(artifact)
            if not cached:
                told = f"{self.settings.prefix}/{places.head(self.plan.family)}"
                self.bucket.write(
                    told, Done(stage=stage.name, key=artifact.key, cached=False).model_dump_json().encode()
                )

    def _require_version(self, manifest: Artifact) -> None:
        wanted = self.settings.dataset_version
        if wanted is None:
            return
        from earthsnap_train.data.manifest import HEADER_FILE, read_header

        version = read_header(self.store.path(manifest.key) / HEADER_FILE).dataset_version
        if not version.startswith(wanted):
            raise ConfigError(
                f"the photographs make version {version[:12]} of the dataset",
                where="launcher.dataset_version",
                allowed=wanted,
                remedy="launcher.dataset_version=null takes whatever there is",
            )

    # ---- words

    def _tell_begun(self, job: Job) -> None:
        for stage in job.makes:
            if stage.name not in self.outcomes:
                self._say(stage, "started", {"reason": "", "num_images": stage.num_images})

    def _say(self, stage: Stage, kind: str, values: Mapping[str, Any]) -> None:
        self.listen(Event(stage=stage.name, kind=kind, values=values, at=time.time()))

    def _place(self, pipeline: Pipeline) -> str:
        return f"{self.settings.prefix}/{places.execution(self.run, pipeline.name)}"
