"""Pipelines as the service reads them: plain JSON, the same for the same plan and settings.

A step's ``Arguments`` are a request of CreateProcessingJob, CreateTrainingJob or CreateHyperParameterTuningJob; ``Get``
and ``Std:Join`` stand for what is known only when it runs. Jobs name where they read and write, so that steps wait for
each other by ``DependsOn``. The service's own cache is off, for it compares arguments and not content: a job with nothing
to do ends by itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from earthsnap_train.errors import ConfigError
from earthsnap_train.pipeline.plan import Plan
from earthsnap_train.spec.launcher import Machine, SageMaker, TrainingMachine
from launchers.photographs import are_in_a_bucket
from launchers.sagemaker import places
from launchers.sagemaker.description import JobDescription, describe, descriptions_digest
from launchers.sagemaker.entry_pipeline import entry_name, entry_pipeline
from launchers.sagemaker.fields import environment, joined, tagged, vpc
from launchers.sagemaker.machines import check_overrides, image_of, machine_of, machines_at_once, num_machines_of
from launchers.sagemaker.photographs import chosen_by
from launchers.sagemaker.room import Uses, require_room
from launchers.sagemaker.steps import Job, Pipeline, pipelines_of
from launchers.sagemaker.tuning import search_steps

Json = dict[str, Any]

VERSION = "2020-12-01"  # of the language in which the service reads definitions
MOST_BYTES = 1024 * 1024
MOST_CHANNELS = {"processing": 10, "training": 20}
MODULE = "launchers.sagemaker.job"
RUN = {"Get": "Parameters.Run"}
JOBS = "Jobs"  # the folder of the jobs' descriptions, below the prefix
RETRIED = (
    ["Step.SERVICE_FAULT", "Step.THROTTLING"],
    ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"],
)


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """``definitions``: pipeline -> its JSON, in the order in which they run. ``descriptions``: key in the bucket -> job.

    ``parameters``: pipeline -> what an execution of this plan is started with, besides ``Run``.
    """

    pipelines: tuple[Pipeline, ...]
    definitions: Mapping[str, str]
    descriptions: Mapping[str, JobDescription]
    parameters: Mapping[str, Mapping[str, str]]
    machines: Mapping[tuple[str, str], Machine]
    uses: Uses


def compile_definitions(plan: Plan, settings: SageMaker) -> Compiled:
    """Raises ConfigError for machines that cannot be or never will be free, or a plan that is too large for the service."""
    check_overrides(settings, plan)
    pipelines = pipelines_of(plan, data_jobs=settings.data_jobs, fuse=settings.fuse, qa_instances=settings.qa_instances)
    described = {(p.name, job.name): describe(plan, p, job, settings) for p in pipelines for job in p.jobs}
    machines = {(p.name, job.name): machine_of(job, settings) for p in pipelines for job in p.jobs}
    uses = {
        (p.name, job.name): machines_at_once(job, machines[p.name, job.name], settings)
        for p in pipelines
        for job in p.jobs
    }
    require_room(uses, settings)
    folder = places.plan_folder(descriptions_digest(list(described.values())))
    definitions = {}
    for pipeline in pipelines:
        writer = _Writer(settings, pipeline, photographs_are_listed=are_in_a_bucket(plan))
        text = json.dumps(writer.definition(machines), indent=1)
        if len(text.encode()) >= MOST_BYTES:
            raise ConfigError(
                f"the definition of {pipeline.name} has {len(text.encode()):,} bytes",
                where="launcher=sagemaker",
                allowed=f"less than {MOST_BYTES:,}",
                remedy="launcher.fuse=true or a smaller launcher.data_jobs makes fewer jobs",
            )
        definitions[pipeline.name] = text
    entry = {"Version": VERSION, "Metadata": {}, **entry_pipeline(plan.family, settings)}
    definitions[entry_name(plan.family)] = json.dumps(entry, indent=1)
    descriptions = {f"{folder}/{p}/{job}/{places.JOB_FILE}": one for (p, job), one in described.items()}
    return Compiled(
        pipelines=pipelines,
        definitions=definitions,
        descriptions=descriptions,
        parameters={one.name: _values(plan, one, folder) for one in pipelines},
        machines=machines,
        uses=uses,
    )


def _values(plan: Plan, pipeline: Pipeline, folder: str) -> dict[str, str]:
    outside = {
        places.external_channel(name): places.external(name, plan.externals[name]) for name in pipeline.externals
    }
    return {JOBS: folder} | outside


class _Writer:
    """What every step of one pipeline is made from."""

    def __init__(self, settings: SageMaker, pipeline: Pipeline, *, photographs_are_listed: bool) -> None:
        self.settings, self.pipeline, self.photographs_are_listed = settings, pipeline, photographs_are_listed
        self.root = f"s3://{settings.bucket}/{settings.prefix}"

    def definition(self, machines: Mapping[tuple[str, str], Machine]) -> Json:
        steps = [s for job in self.pipeline.jobs for s in self._steps(job, machines[self.pipeline.name, job.name])]
        return {
            "Version": VERSION,
            "Metadata": {},
            # Runs that differ in these alone are executions of one pipeline: they never change it under each other.
            "Parameters": [
                {"Name": name, "Type": "String"}
                for name in ("Run", JOBS, *map(places.external_channel, self.pipeline.externals))
            ],
            "Steps": steps + [self._gate(job) for job in self.pipeline.jobs if job.judges],
        }

    # ---- steps

    def _steps(self, job: Job, machine: Machine) -> list[Json]:
        if job.on != "tuning":
            return [self._step(job, machine)]
        assert isinstance(machine, TrainingMachine)
        # The small jobs compute a key, which takes no more than what the run has noted of the stages before.
        small = replace(job, on="processing", earlier=())
        return search_steps(
            job.name,
            job.stages[0],
            processing=self._processing(small, self.settings.processing),
            training=self._training(replace(job, on="training"), machine),
            trials_uri=self._run_uri(self.pipeline.name, places.TRIALS_CHANNEL, ""),
            found_uri=self._run_uri(self.pipeline.name, "found"),
            at_once=self.settings.trials_at_once,
            retries=self._retries(),
            key=self.settings.kms_key,
        )

    def _retries(self) -> list[Json]:
        retries = self.settings.retries
        return [
            {"ExceptionType": types, "IntervalSeconds": retries.interval_s, "BackoffRate": retries.backoff_rate,
             "MaxAttempts": retries.max_attempts}
            for types in RETRIED
        ]  # fmt: skip

    def _step(self, job: Job, machine: Machine) -> Json:
        if isinstance(machine, TrainingMachine):
            step: Json = {"Name": job.name, "Type": "Training", "Arguments": self._training(job, machine)}
        else:
            step = {"Name": job.name, "Type": "Processing", "Arguments": self._processing(job, machine)}
        step["RetryPolicies"] = self._retries()
        if job.before:
            step["DependsOn"] = list(job.before)
        if job.judges:
            step["PropertyFiles"] = [
                {"PropertyFileName": "gates", "OutputName": "gates", "FilePath": places.GATES_FILE}
            ]
        return step

    def _gate(self, job: Job) -> Json:
        """Ends the pipeline as failed where a gate was missed; everything that was made is there all the same."""
        passed = {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{job.name}.PropertyFiles.gates"}, "Path": "passed"}}
        others = [one.name for one in self.pipeline.jobs if one.name != job.name and job.name in one.before]
        said = f"{self.pipeline.name} misses a gate; all of them are in {self.root}/runs/"
        words = [said, RUN, f"/{self.pipeline.name}/gates/{places.GATES_FILE}"]
        fail = {
            "Name": "gate-missed",
            "Type": "Fail",
            "Arguments": {"ErrorMessage": {"Std:Join": {"On": "", "Values": words}}},
        }
        condition = {"Type": "Equals", "LeftValue": passed, "RightValue": True}
        arguments = {"Conditions": [condition], "IfSteps": [], "ElseSteps": [fail]}
        step: Json = {"Name": "gates", "Type": "Condition", "Arguments": arguments}
        # A release is made whole before it is judged: one that misses a gate is looked at too.
        return step | ({"DependsOn": others} if others else {})

    # ---- arguments

    def _processing(self, job: Job, machine: Machine) -> Json:
        settings = self.settings
        inputs = [
            {"InputName": name, "S3Input": {
                "S3Uri": uri, "LocalPath": f"{places.ROOT}/{places.PROCESSING_INPUTS}/{name}", "S3DataType": kind,
                "S3InputMode": settings.input_mode, "S3DataDistributionType": _distribution(job, name)}}
            for name, kind, uri in self._channels(job)
        ]  # fmt: skip
        cluster: Json = {
            "InstanceCount": num_machines_of(job, machine, settings),
            "InstanceType": machine.instance_type,
            "VolumeSizeInGB": machine.volume_gb,
            **({"VolumeKmsKeyId": settings.kms_key} if settings.kms_key else {}),
        }
        arguments: Json = {
            "ProcessingResources": {"ClusterConfig": cluster},
            "AppSpecification": {"ImageUri": image_of(job, settings), **_command(job)},
            "RoleArn": settings.role,
            "ProcessingInputs": inputs,
            "StoppingCondition": {"MaxRuntimeInSeconds": machine.max_minutes * 60},
            "Environment": {places.RUN_VARIABLE: RUN, **environment(settings)},
        }
        if job.judges:
            output = {
                "S3Uri": self._run_uri(self.pipeline.name, "gates"),
                "LocalPath": f"{places.ROOT}/{places.GATES_FOLDER}",
                "S3UploadMode": "EndOfJob",
            }
            arguments["ProcessingOutputConfig"] = {
                "Outputs": [{"OutputName": "gates", "S3Output": output}],
                **({"KmsKeyId": settings.kms_key} if settings.kms_key else {}),
            }
        if settings.subnets:
            arguments["NetworkConfig"] = {"VpcConfig": vpc(settings)}
        return arguments | tagged(settings)

    def _training(self, job: Job, machine: TrainingMachine) -> Json:
        settings = self.settings
        key = {"KmsKeyId": settings.kms_key} if settings.kms_key else {}
        channels = [
            {"ChannelName": name, "InputMode": settings.input_mode, "DataSource": {"S3DataSource": {
                "S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}}}
            for name, kind, uri in self._channels(job)
        ]  # fmt: skip
        keeps = machine.warm_minutes and job.on == "training"  # a search by the service has no warm pools
        stopping = {"MaxRuntimeInSeconds": machine.max_minutes * 60}
        if machine.spot:
            stopping["MaxWaitTimeInSeconds"] = machine.max_wait_minutes * 60
        arguments: Json = {
            "AlgorithmSpecification": {
                "TrainingImage": settings.image, "TrainingInputMode": settings.input_mode, **_command(job)
            },
            "RoleArn": settings.role,
            "InputDataConfig": channels,
            "OutputDataConfig": {"S3OutputPath": self._run_uri(self.pipeline.name, "output"), **key},
            "ResourceConfig": {
                "InstanceCount": num_machines_of(job, machine, settings),
                "InstanceType": machine.instance_type,
                "VolumeSizeInGB": machine.volume_gb,
                **({"VolumeKmsKeyId": settings.kms_key} if settings.kms_key else {}),
                **({"KeepAlivePeriodInSeconds": machine.warm_minutes * 60} if keeps else {}),
            },
            "StoppingCondition": stopping,
            "EnableManagedSpotTraining": machine.spot,
            "CheckpointConfig": {
                "S3Uri": joined(f"{self.root}/checkpoints", RUN, self.pipeline.name, job.name),
                "LocalPath": f"{places.ROOT}/{places.CHECKPOINTS}",
            },
            "Environment": {places.RUN_VARIABLE: RUN, **environment(settings)},
        }  # fmt: skip
        if settings.subnets:
            arguments["VpcConfig"] = vpc(settings)
        return arguments | tagged(settings)

    # ---- pieces

    def _channels(self, job: Job) -> list[tuple[str, str, Any]]:
        """(name, S3DataType, S3Uri). All that jobs before it made is one channel, and so is all of earlier pipelines."""
        # The slash at its end, for a prefix without it takes in every name that only begins so: records-1, records-10.
        told = joined(self.root, {"Get": f"Parameters.{JOBS}"}, self.pipeline.name, job.name, "")
        channels: list[tuple[str, str, Any]] = [(places.JOB_CHANNEL, "S3Prefix", told)]
        for name in job.externals:
            channel = places.external_channel(name)
            lies = (self.root, {"Get": f"Parameters.{channel}"})
            if name == "photographs" and chosen_by(job):
                uri = self._run_uri(self.pipeline.name, f"{job.name}.photographs.manifest")
                channels.append((channel, "ManifestFile", uri))
            elif name == "photographs" and self.photographs_are_listed:
                channels.append((channel, "ManifestFile", joined(*lies, places.LISTED)))
            else:
                channels.append((channel, "S3Prefix", joined(*lies, "")))
        if job.before:
            # Of several, the one that ends last has listed what all of them made.
            writer = job.before[0] if len(job.before) == 1 else f"{job.name}.{places.BEFORE_CHANNEL}"
            uri = self._run_uri(self.pipeline.name, f"{writer}.manifest")
            channels.append((places.BEFORE_CHANNEL, "ManifestFile", uri))
        if job.earlier:
            uri = self._run_uri(self.pipeline.name, f"{job.name}.{places.EARLIER_CHANNEL}.manifest")
            channels.append((places.EARLIER_CHANNEL, "ManifestFile", uri))
        assert len(channels) <= MOST_CHANNELS[job.on], [name for name, _, _ in channels]
        return channels

    def _run_uri(self, *parts: str) -> Json:
        return joined(f"{self.root}/runs", RUN, *parts)


def _distribution(job: Job, channel: str) -> str:
    is_shared_out = job.maps and channel == places.external_channel("photographs")
    return "ShardedByS3Key" if is_shared_out else "FullyReplicated"


def _command(job: Job) -> Json:
    return {"ContainerEntrypoint": ["python", "-m", MODULE], "ContainerArguments": [job.on]}
