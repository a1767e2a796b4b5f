"""What ``conf/launcher/`` declares: where a plan runs. ``module`` is a module under ``launchers``."""

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from earthsnap_train.spec.aws import BucketName, KmsKey, Prefix, Region, SecurityGroups, Subnets, Tags
from earthsnap_train.spec.model import SpecModel

Positive = Annotated[int, Field(ge=1)]
Arn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$", max_length=2048)]
Image = Annotated[str, Field(pattern=r"^[^\s/]+(/[^\s/]+)*$", max_length=255)]
INSTANCE_TYPE = r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"
InstanceType = Annotated[str, Field(pattern=INSTANCE_TYPE)]
DatasetVersion = Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$")]
SecretName = Annotated[str, Field(pattern=r"^[\w/+=.@:-]+$", max_length=2048)]


class Local(SpecModel):
    """This machine. ``null`` means as many as it has: ``stages`` at once, ``workers`` of one stage, GPUs.

    ``threads`` of one numerical operation is fixed, since a result's last bits depend on it.
    """

    module: Literal["launchers.local"]
    stages: Positive | None
    workers: Positive | None
    threads: Positive
    accelerator: Literal["auto", "cpu", "cuda"]
    devices: Positive | None
    devices_per_node: Positive
    devices_per_trial: Positive
    checkpoint_every_s: Annotated[float, Field(ge=0)]


class Machine(SpecModel):
    """What one job runs on. A job that takes longer than ``max_minutes`` is ended."""

    instance_type: InstanceType
    volume_gb: Annotated[int, Field(ge=1, le=16384)]
    max_minutes: Annotated[int, Field(ge=1, le=12960)]


class TrainingMachine(Machine):
    """``spot``: cheaper, may be taken away at any moment. ``max_wait_minutes``: work and waiting for capacity together.

    ``instance_count``: machines that teach one network together; a search has one. ``warm_minutes``: how long a machine
    waits for the next job, which then begins at once (a warm pool); the service has none of spot capacity.
    """

    spot: bool
    max_wait_minutes: Positive
    instance_count: Annotated[int, Field(ge=1, le=64)]
    warm_minutes: Annotated[int, Field(ge=0, le=60)]

    @field_validator("max_wait_minutes")
    @classmethod
    def _not_below_the_work(cls, wait: int, info: ValidationInfo) -> int:
        if wait < info.data.get("max_minutes", 0):
            raise ValueError(f"at least max_minutes, which is {info.data['max_minutes']}")
        return wait

    @field_validator("warm_minutes")
    @classmethod
    def _not_of_spot(cls, minutes: int, info: ValidationInfo) -> int:
        if minutes and info.data.get("spot"):
            raise ValueError("0 with spot capacity, which is never kept: spot=false allows it")
        return minutes


class Retries(SpecModel):
    """Of a job that the service failed, not we. Each wait is ``backoff_rate`` times as long as the one before."""

    max_attempts: Annotated[int, Field(ge=1, le=20)]
    interval_s: Annotated[int, Field(ge=1, le=43200)]
    backoff_rate: Annotated[float, Field(ge=1)]


class SageMaker(SpecModel):
    """Jobs of SageMaker pipelines. ``definitions``: the folder that ``plan`` writes them into.

    ``kinds`` and ``nodes``: what differs from ``processing`` and ``training`` for a kind of stage, for a node.
    ``input_mode`` has one choice: batches are drawn from all shards at random, which streaming would make many requests of.
    """

    module: Literal["launchers.sagemaker"]
    execute: Literal["offline", "containers"] | None
    wait: bool
    region: Region
    bucket: BucketName
    prefix: Prefix
    image: Image
    light_image: Image | None
    role: Arn
    entry_role: Arn | None
    kms_key: KmsKey | None
    subnets: Subnets
    security_groups: SecurityGroups
    tags: Tags
    processing: Machine
    training: TrainingMachine
    kinds: dict[str, dict[str, object]]
    nodes: dict[str, dict[str, object]]
    entry: Machine
    max_instances: dict[str, Positive]
    dataset_version: DatasetVersion | None
    wandb_secret: SecretName | None
    retries: Retries
    data_jobs: Annotated[int, Field(ge=1, le=20)]
    qa_instances: Annotated[int, Field(ge=1, le=100)]
    input_mode: Literal["File"]
    fuse: bool
    threads: Positive
    devices_per_trial: Positive
    trials_at_once: Positive
    checkpoint_every_s: Annotated[float, Field(ge=0)]
    definitions: str
    start_minutes: Annotated[float, Field(ge=0)]
    prices: str | None
    max_cost: Annotated[float, Field(gt=0)] | None

    @field_validator("max_instances")
    @classmethod
    def _of_instance_types(cls, most: dict[str, int]) -> dict[str, int]:
        if wrong := [name for name in most if not re.fullmatch(INSTANCE_TYPE, name)]:
            raise ValueError(f"instance types such as ml.g5.xlarge, and not {wrong[0]!r}")
        return most


LauncherSpec = Annotated[Local | SageMaker, Field(discriminator="module")]
