"""SageMaker's control plane: pipelines, their executions and jobs, and what these write to CloudWatch."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from earthsnap_train.pipeline.plan import digest_of
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.clients import client, code_of, is_absent
from launchers.sagemaker.service import NotNow, Progress, Step

MOST_INLINE_BYTES = 100_000  # of a definition in a request; a longer one goes through the bucket
LATER = ("ResourceLimitExceeded", "ConflictException", "ThrottlingException")
JOBS = {
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TuningJob": "/aws/sagemaker/TrainingJobs",  # its trials are training jobs, and begin with its name
}


class AwsService:
    """``bucket`` and ``name``: where definitions go that are too long for a request, below ``prefix``."""

    look_every_s = 15.0
    at_once: int | None = None
    outlives = True

    def __init__(self, bucket: Bucket, *, name: str, prefix: str, region: str, tags: Mapping[str, str]) -> None:
        self._bucket, self._name, self._prefix = bucket, name, prefix
        self._region, self._tags = region, tags
        self._sagemaker = client("sagemaker", region=region)
        self._logs = client("logs", region=region)

    # ---- pipelines

    def definition(self, pipeline: str) -> str | None:
        try:
            found: str = self._sagemaker.describe_pipeline(PipelineName=pipeline)["PipelineDefinition"]
        except self._sagemaker.exceptions.ClientError as error:
            if is_absent(error):
                return None
            raise
        return found

    def put(self, pipeline: str, definition: str, *, role: str) -> None:
        given: dict[str, Any] = {"PipelineName": pipeline, "RoleArn": role}
        if len(definition.encode()) <= MOST_INLINE_BYTES:
            given["PipelineDefinition"] = definition
        else:
            key = f"{self._prefix}/pipelines/{pipeline}/{digest_of(definition)[:40]}.json"
            self._bucket.write(key, definition.encode())
            given["PipelineDefinitionS3Location"] = {"Bucket": self._name, "ObjectKey": key}
        if self.definition(pipeline) is not None:
            self._ask("update_pipeline", **given)
            return
        tags = [{"Key": key, "Value": value} for key, value in self._tags.items()]
        token = digest_of([pipeline, definition])
        self._ask("create_pipeline", **given, ClientRequestToken=token, **({"Tags": tags} if tags else {}))

    # ---- executions

    def start(
        self, pipeline: str, parameters: Mapping[str, str], *,
        token: str, steps: Sequence[str] | None = None, at_once: int | None = None,
    ) -> str:  # fmt: skip
        given = [{"Name": name, "Value": value} for name, value in parameters.items()]
        chosen = {"SelectedSteps": [{"StepName": name} for name in steps]} if steps is not None else None
        started: str = self._ask(
            "start_pipeline_execution", PipelineName=pipeline, PipelineParameters=given, ClientRequestToken=token,
            **({"SelectiveExecutionConfig": chosen} if chosen else {}),
            **({"ParallelismConfiguration": {"MaxParallelExecutionSteps": at_once}} if at_once else {}),
        )["PipelineExecutionArn"]  # fmt: skip
        return started

    def definition_of(self, execution: str) -> str:
        answer = self._sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=execution)
        found: str = answer["PipelineDefinition"]
        return found

    def progress(self, execution: str) -> Progress:
        try:
            whole = self._sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
        except self._sagemaker.exceptions.ClientError as error:
            if is_absent(error):  # its pipeline was deleted, and it with it
                return Progress(status="Stopped", reason="it is not there any more", steps={})
            raise
        return Progress(
            status=whole["PipelineExecutionStatus"],
            reason=whole.get("FailureReason", ""),
            steps={step.name: step for step in map(_step, self._steps(execution))},
        )

    def stop(self, execution: str) -> None:
        self._ask("stop_pipeline_execution", PipelineExecutionArn=execution, ClientRequestToken=digest_of(execution))

    def link(self, execution: str) -> str:
        """The account's console; Studio shows the same under Pipelines, by the execution's name."""
        pipeline, _, one = execution.partition(":pipeline/")[2].partition("/execution/")
        place = f"/pipelines/{quote(pipeline)}/executions/{quote(one)}"
        return f"https://{self._region}.console.{_domain(execution)}/sagemaker/home?region={self._region}#{place}"

    def _steps(self, execution: str) -> list[dict[str, Any]]:
        pages = self._sagemaker.get_paginator("list_pipeline_execution_steps")
        found = [
            step for page in pages.paginate(PipelineExecutionArn=execution) for step in page["PipelineExecutionSteps"]
        ]
        # Newest first, and a step that was tried again may come twice: what it is now counts.
        return sorted(found, key=lambda step: step.get("AttemptCount", 0))

    # ---- jobs

    def log(self, job: str, num_lines: int) -> Sequence[str]:
        kind, _, name = job.partition("/")
        prefix = f"{name}-" if kind == "TuningJob" else f"{name}/"
        try:
            streams = self._logs.describe_log_streams(logGroupName=JOBS[kind], logStreamNamePrefix=prefix)
            lines: list[str] = []
            for stream in streams["logStreams"]:
                said = self._logs.get_log_events(
                    logGroupName=JOBS[kind], logStreamName=stream["logStreamName"], limit=num_lines, startFromHead=False
                )
                lines += [event["message"] for event in said["events"]]
        except self._logs.exceptions.ClientError:
            return []  # why it failed is known without its log, to which not everybody has access
        return lines[-num_lines:]

    def busy(self, *, without: Collection[str]) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for name in self._at_work("list_training_jobs", "TrainingJobSummaries", "TrainingJobName"):
            if f"TrainingJob/{name}" not in without:
                job = self._sagemaker.describe_training_job(TrainingJobName=name)
                if f"TuningJob/{_name(job.get('TuningJobArn', ''))}" in without:
                    continue
                machines = job["ResourceConfig"]
                counts[machines.get("InstanceType", "")] += machines.get("InstanceCount", 1)
        for name in self._at_work("list_processing_jobs", "ProcessingJobSummaries", "ProcessingJobName"):
            if f"ProcessingJob/{name}" not in without:
                job = self._sagemaker.describe_processing_job(ProcessingJobName=name)
                machines = job["ProcessingResources"]["ClusterConfig"]
                counts[machines["InstanceType"]] += machines["InstanceCount"]
        return counts

    def _at_work(self, operation: str, listed: str, named: str) -> list[str]:
        pages = self._sagemaker.get_paginator(operation).paginate(StatusEquals="InProgress")
        return [one[named] for page in pages for one in page[listed]]

    def _ask(self, operation: str, **given: Any) -> Any:
        try:
            return getattr(self._sagemaker, operation)(**given)
        except self._sagemaker.exceptions.ClientError as error:
            if code_of(error) in LATER:
                raise NotNow(str(error), where=operation, remedy="it is asked again until it is possible") from error
            raise


def _step(told: Mapping[str, Any]) -> Step:
    job = next(
        (f"{kind}/{_name(one['Arn'])}" for kind, one in told.get("Metadata", {}).items()
         if kind in JOBS and "Arn" in one),
        None,
    )  # fmt: skip
    return Step(name=told["StepName"], status=told["StepStatus"], reason=told.get("FailureReason", ""), job=job)


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _domain(arn: str) -> str:
    """The console of the partition that an ARN is of."""
    return {"aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}.get(arn.split(":")[1], "aws.amazon.com")
