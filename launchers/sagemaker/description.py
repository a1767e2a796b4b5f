"""What a container is told to do: ``job.json``, written when a plan is submitted and read by ``job``."""

from pydantic import BaseModel, ConfigDict

from earthsnap_train.pipeline.plan import Plan, Stage, digest_of
from earthsnap_train.pipeline.store import Key
from earthsnap_train.spec.evaluation import Gate
from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.gates import judged_by
from launchers.sagemaker.steps import LOOK, Job, Pipeline

FORMAT = 1


class JobDescription(BaseModel):
    """``externals``: name -> content digest of what the job reads from outside. ``gates``: on this node's own figures.

    ``maps``: its machines measure photographs, a share each, and make none of ``stages``. ``shards``: how many shares the
    job before it has measured; 0: none. ``followers``: jobs after this one that read several jobs, and which those are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    pipeline: str
    job: str
    stages: tuple[Stage, ...]
    externals: dict[Key, Key]
    gates: dict[str, Gate]
    judges: bool
    threads: int
    devices_per_trial: int
    checkpoint_every_s: float
    maps: bool = False
    shards: int = 0
    followers: dict[str, tuple[str, ...]] = {}


def describe(plan: Plan, pipeline: Pipeline, job: Job, settings: SageMaker) -> JobDescription:
    return JobDescription(
        pipeline=pipeline.name,
        job=job.name,
        stages=job.stages,
        externals={name: plan.externals[name] for name in job.externals},
        gates=_gates_of(plan, job),
        judges=job.judges,
        threads=settings.threads,
        devices_per_trial=settings.devices_per_trial,
        checkpoint_every_s=settings.checkpoint_every_s,
        maps=job.maps,
        shards=settings.qa_instances if LOOK in job.before else 0,
        followers={one.name: one.before for one in pipeline.jobs if job.name in one.before and len(one.before) > 1},
    )


def descriptions_digest(descriptions: list[JobDescription]) -> str:
    """Names the folder of a plan's descriptions: equal plans share it, and nothing in it is ever changed."""
    return digest_of([one.model_dump(mode="json") for one in descriptions])


def _gates_of(plan: Plan, job: Job) -> dict[str, Gate]:
    """Those on the figures of the nodes that it judges; those on the family's are judged by the stage that evaluates it."""
    declared = plan.stage("evaluate/family").settings["gates"]
    if not isinstance(declared, dict):
        return {}
    nodes = [node for stage in job.stages for node in judged_by(stage)]
    return {
        name: Gate.model_validate(gate)
        for name, gate in declared.items()
        if any(name.startswith(f"nodes.{node}.") for node in nodes)
    }
