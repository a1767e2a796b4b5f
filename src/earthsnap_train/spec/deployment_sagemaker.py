"""What ``conf/deployment/sagemaker.yaml`` declares: hosted endpoints, how production moves, and what watches it meanwhile."""

import re
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from earthsnap_train.spec.aws import BucketName, KmsKey, Prefix, Region, SecurityGroups, Subnets, Tags
from earthsnap_train.spec.launcher import Arn
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.rollout import Limits, Positive, Share, StageTests, Step

MAX_WAIT_S = 3600  # SageMaker's, of any step
Count = Annotated[int, Field(ge=1, le=1000)]
InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
Wait = Annotated[int, Field(ge=0, le=MAX_WAIT_S)]


class Capture(SpecModel):
    """What is kept of users' requests. ``inputs``, which are their photographs, need ``consent``: that they agreed."""

    outputs: Annotated[float, Field(gt=0, le=1)]
    consent: bool
    inputs: bool

    @field_validator("inputs")
    @classmethod
    def _only_with_consent(cls, inputs: bool, info: ValidationInfo) -> bool:
        if inputs and not info.data.get("consent"):
            raise ValueError("false, unless consent is true: users have agreed that their photographs are kept")
        return inputs


class Floor(SpecModel):
    """From each moment of ``cron`` on, at least ``min_instances``."""

    cron: str
    min_instances: Count

    @field_validator("cron")
    @classmethod
    def _has_six_fields(cls, cron: str) -> str:
        if not re.fullmatch(r"[0-9A-Z*?,/#-]+( [0-9A-Z*?,/#-]+){5}", cron):
            raise ValueError(
                "six fields: minute, hour, day of month, month, day of week, year, as in 0 6 ? * MON-FRI *"
            )
        return cron


class Autoscaling(SpecModel):
    """``invocations_per_instance``: in a minute, that the service keeps to by adding and taking away instances."""

    min_instances: Annotated[int, Field(ge=2)]
    max_instances: Count
    invocations_per_instance: Positive
    floors: list[Floor]
    timezone: str

    @model_validator(mode="after")
    def _least_is_not_above_most(self) -> Self:
        if max([self.min_instances, *(floor.min_instances for floor in self.floors)]) > self.max_instances:
            raise ValueError("max_instances is below a least number of instances")
        return self


class Alarms(SpecModel):
    """Any of them in a minute of an update brings back what was there. ``also``: names of alarms that exist already."""

    max_4xx_share: Share
    max_5xx_share: Share
    max_p95_ms: Positive
    also: Annotated[list[str], Field(max_length=6)]


class Shadow(Limits):
    """Before production moves: the new release answers ``share`` of its requests too, unseen, for ``duration_s``."""

    share: Annotated[float, Field(gt=0, le=1)]
    duration_s: Annotated[int, Field(ge=60)]
    instance_type: InstanceType
    instance_count: Count


class SageMakerStage(SpecModel):
    """``role: null``: that of both endpoints."""

    role: Arn | None
    instance_type: InstanceType
    instance_count: Count
    capture: Capture | None
    tests: StageTests


class SageMakerProd(SpecModel):
    """``steps``: one is SageMaker's CANARY; several, that grow evenly, its LINEAR. ``shadow: null``: none comes before.

    ``role: null``: that of both endpoints.
    """

    role: Arn | None
    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=2)]
    capture: Capture | None
    confirm: Literal["auto", "person"]
    steps: Annotated[list[Step], Field(min_length=1)]
    terminate_wait_s: Wait
    max_update_s: Annotated[int, Field(ge=600, le=28800)]
    alarms: Alarms
    autoscaling: Autoscaling | None
    shadow: Shadow | None

    @field_validator("steps")
    @classmethod
    def _the_service_can_take_them(cls, steps: list[Step]) -> list[Step]:
        first = steps[0]
        if len(steps) == 1:
            if not 0.01 <= first.share <= 0.5:
                raise ValueError("one step of 0.01 to 0.5 of the requests (SageMaker's CANARY)")
        else:
            even = all(abs(b.share - a.share - first.share) < 1e-6 for a, b in pairwise(steps))
            if not even or not 0.1 <= first.share <= 0.5 or steps[-1].share + first.share < 1 - 1e-6:
                raise ValueError(
                    "one step, or even ones of 0.1 to 0.5 up to the last before 1: 0.25, 0.5, 0.75 (SageMaker's LINEAR)"
                )
        if any(step.bake_s != first.bake_s or step.bake_s > MAX_WAIT_S for step in steps):
            raise ValueError(f"steps that all take as long as the first (bake_s), {MAX_WAIT_S} at most")
        return steps


class Hosting(SpecModel):
    """What both endpoints share. ``role``: what instances act as, of an endpoint that names none of its own."""

    region: Region
    bucket: BucketName
    prefix: Prefix
    kms_key: KmsKey | None
    tags: Tags
    image: Annotated[str, Field(pattern=r"^[^\s/]+(/[^\s/]+)*$", max_length=255)]
    role: Arn
    subnets: Subnets
    security_groups: SecurityGroups
