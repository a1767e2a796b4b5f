"""What is asked of SageMaker and CloudWatch: against moto where it knows the call, else against botocore's own shapes."""

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from earthsnap_train.errors import EnvironmentProblem
from launchers.sagemaker.bucket import FolderBucket
from launchers.sagemaker.clients import client, in_our_words
from launchers.sagemaker.service import NotNow
from launchers.sagemaker.service_aws import AwsService

ROLE = "arn:aws:iam::123456789012:role/earthsnap"
EXECUTION = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/plants-parent/execution/abc123def456"
TOKEN = "t" * 64
NOW = datetime.datetime(2026, 11, 26)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.fixture
def service(tmp_path: Path) -> AwsService:
    return AwsService(
        FolderBucket(tmp_path),
        name="photographs",
        prefix="earthsnap",
        region="eu-west-1",
        tags={"team": "botany"},
    )


Answer = tuple[str, dict[str, Any], dict[str, Any]]


@contextmanager
def answering(one: Any, *answers: Answer) -> Iterator[None]:
    """(operation, what must be asked, what is answered): both are held against botocore's model."""
    with Stubber(one) as stub:
        for operation, asked, answered in answers:
            if "Code" in answered:
                stub.add_client_error(operation, answered["Code"], answered["Message"], expected_params=asked)
            else:
                stub.add_response(operation, answered, asked)
        yield
        stub.assert_no_pending_responses()


def test_a_pipeline_is_made_changed_and_read(service: AwsService) -> None:
    with mock_aws():
        service = AwsService(FolderBucket(Path()), name="b", prefix="p", region="eu-west-1", tags={"team": "botany"})
        made = {
            "PipelineName": "plants-parent",
            "PipelineDefinition": "{}",
            "RoleArn": ROLE,
            "ClientRequestToken": TOKEN,
        }
        assert service.definition("plants-parent") is None
        service._sagemaker.create_pipeline(**made)
        service.put("plants-parent", '{"Version": "2020-12-01", "Steps": [1]}', role=ROLE)
        execution = service.start("plants-parent", {"Run": "r"}, token=TOKEN)

        assert service.definition("plants-parent") == '{"Version": "2020-12-01", "Steps": [1]}'
        assert service.definition_of(execution) == '{"Version": "2020-12-01", "Steps": [1]}'


def test_a_long_definition_goes_through_the_bucket(service: AwsService, tmp_path: Path) -> None:
    long = '{"Metadata": "' + "x" * 100_000 + '"}'
    absent = {"Code": "ResourceNotFound", "Message": "none"}
    made = {"PipelineName": "p", "RoleArn": ROLE, "Tags": [{"Key": "team", "Value": "botany"}],
            "ClientRequestToken": ANY, "PipelineDefinitionS3Location": {"Bucket": "photographs", "ObjectKey": ANY}}  # fmt: skip
    with answering(
        service._sagemaker, ("describe_pipeline", {"PipelineName": "p"}, absent), ("create_pipeline", made, {})
    ):
        service.put("p", long, role=ROLE)

    (written,) = (tmp_path / "earthsnap" / "pipelines" / "p").iterdir()
    assert written.read_text() == long


def test_a_start_says_which_steps_and_how_many_at_once(service: AwsService) -> None:
    asked = {
        "PipelineName": "plants-data", "PipelineParameters": [{"Name": "Run", "Value": "r"}], "ClientRequestToken": TOKEN,
        "SelectiveExecutionConfig": {"SelectedSteps": [{"StepName": "draw"}]},
        "ParallelismConfiguration": {"MaxParallelExecutionSteps": 4},
    }  # fmt: skip
    with answering(service._sagemaker, ("start_pipeline_execution", asked, {"PipelineExecutionArn": EXECUTION})):
        assert service.start("plants-data", {"Run": "r"}, token=TOKEN, steps=["draw"], at_once=4) == EXECUTION


@pytest.mark.parametrize("code", ["ResourceLimitExceeded", "ConflictException"])
def test_a_limit_is_no_failure_but_a_matter_of_time(code: str, service: AwsService) -> None:
    refused = {"Code": code, "Message": "100 executions are the limit"}
    asked = {"PipelineName": "p", "PipelineParameters": [], "ClientRequestToken": TOKEN}
    asking = answering(service._sagemaker, ("start_pipeline_execution", asked, refused))
    with asking, pytest.raises(NotNow, match="100 executions are the limit"):
        service.start("p", {}, token=TOKEN)


def test_progress_is_that_of_every_step_in_its_last_attempt(service: AwsService) -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/pipelines-abc-train-1"
    whole = {"PipelineExecutionArn": EXECUTION, "PipelineExecutionStatus": "Failed", "FailureReason": "Step failure"}
    steps = [
        {"StepName": "train", "StepStatus": "Failed", "FailureReason": "no memory", "AttemptCount": 2,
         "Metadata": {"TrainingJob": {"Arn": arn}}},
        {"StepName": "train", "StepStatus": "Failed", "AttemptCount": 1},
    ]  # fmt: skip
    later = [{"StepName": "select", "StepStatus": "Succeeded", "AttemptCount": 1, "Metadata": {"ProcessingJob": {
        "Arn": "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/pipelines-abc-select"}}}]  # fmt: skip
    asked = {"PipelineExecutionArn": EXECUTION}
    with answering(
        service._sagemaker,
        ("describe_pipeline_execution", asked, whole),
        ("list_pipeline_execution_steps", asked, {"PipelineExecutionSteps": steps, "NextToken": "more"}),
        ("list_pipeline_execution_steps", {**asked, "NextToken": "more"}, {"PipelineExecutionSteps": later}),
    ):
        progress = service.progress(EXECUTION)

    assert not progress.is_running
    assert (progress.steps["train"].reason, progress.steps["train"].job) == (
        "no memory",
        "TrainingJob/pipelines-abc-train-1",
    )
    assert progress.steps["select"].status == "Succeeded"


def test_a_log_is_read_from_its_end(service: AwsService) -> None:
    group = "/aws/sagemaker/TrainingJobs"
    with mock_aws():
        service = AwsService(FolderBucket(Path()), name="b", prefix="p", region="eu-west-1", tags={})
        logs = client("logs", region="eu-west-1")
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="job-1/algo-1-17")
        now_ms = int(datetime.datetime.now().timestamp() * 1000)
        events = [{"timestamp": now_ms + at, "message": f"line {at}"} for at in range(30)]
        logs.put_log_events(logGroupName=group, logStreamName="job-1/algo-1-17", logEvents=events)

        assert list(service.log("TrainingJob/job-1", 2)) == ["line 28", "line 29"]
        assert list(service.log("TuningJob/job", 2)) == ["line 28", "line 29"]  # which names its trials job-1, job-2
        assert list(service.log("ProcessingJob/job-1", 2)) == []


def test_machines_at_work_are_counted_without_our_own(service: AwsService) -> None:
    listed = {"TrainingJobSummaries": [
        {"TrainingJobName": name, "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/x",
         "CreationTime": NOW, "TrainingJobStatus": "InProgress"} for name in ("theirs", "ours")]}  # fmt: skip
    training = {
        "TrainingJobName": "theirs", "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/theirs",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}, "TrainingJobStatus": "InProgress", "SecondaryStatus": "Training",
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1},
        "StoppingCondition": {}, "CreationTime": NOW, "AlgorithmSpecification": {"TrainingInputMode": "File"},
    }  # fmt: skip
    with answering(
        service._sagemaker,
        ("list_training_jobs", {"StatusEquals": "InProgress"}, listed),
        ("describe_training_job", {"TrainingJobName": "theirs"}, training),
        ("list_processing_jobs", {"StatusEquals": "InProgress"}, {"ProcessingJobSummaries": []}),
    ):
        assert service.busy(without={"TrainingJob/ours"}) == {"ml.g5.xlarge": 2}


def test_a_search_is_known_by_its_tuning_job_and_its_trials_are_its_own(service: AwsService) -> None:
    of_account = "arn:aws:sagemaker:eu-west-1:123456789012"
    search = f"{of_account}:hyper-parameter-tuning-job/pipelines-abc-tune-1"
    steps = [{"StepName": "tune", "StepStatus": "Failed", "Metadata": {"TuningJob": {"Arn": search}}}]
    arn = f"{of_account}:training-job/pipelines-abc-tune-1-001"
    trial = {
        "TrainingJobName": "pipelines-abc-tune-1-001", "TrainingJobArn": arn, "TuningJobArn": search,
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}, "TrainingJobStatus": "InProgress", "SecondaryStatus": "Training",
        "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {}, "CreationTime": NOW, "AlgorithmSpecification": {"TrainingInputMode": "File"},
    }  # fmt: skip
    listed = {"TrainingJobName": trial["TrainingJobName"], "TrainingJobArn": arn, "CreationTime": NOW,
              "TrainingJobStatus": "InProgress"}  # fmt: skip
    asked = {"PipelineExecutionArn": EXECUTION}
    whole = {"PipelineExecutionArn": EXECUTION, "PipelineExecutionStatus": "Failed"}
    at_work: list[Answer] = [
        ("list_training_jobs", {"StatusEquals": "InProgress"}, {"TrainingJobSummaries": [listed]}),
        ("describe_training_job", {"TrainingJobName": trial["TrainingJobName"]}, trial),
        ("list_processing_jobs", {"StatusEquals": "InProgress"}, {"ProcessingJobSummaries": []}),
    ]
    with answering(
        service._sagemaker,
        ("describe_pipeline_execution", asked, whole),
        ("list_pipeline_execution_steps", asked, {"PipelineExecutionSteps": steps}),
        *at_work,
        *at_work,
    ):
        job = service.progress(EXECUTION).steps["tune"].job
        assert job is not None
        ours, theirs = service.busy(without={job}), service.busy(without={"TuningJob/another"})

    assert (ours, theirs) == ({}, {"ml.g5.xlarge": 1})


def test_an_execution_is_stopped_and_looked_at_in_its_own_console(service: AwsService) -> None:
    with answering(
        service._sagemaker,
        ("stop_pipeline_execution", {"PipelineExecutionArn": EXECUTION, "ClientRequestToken": ANY}, {}),
    ):
        service.stop(EXECUTION)

    link = service.link(EXECUTION)
    assert link.startswith("https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#")
    assert link.endswith("/pipelines/plants-parent/executions/abc123def456")
    china = EXECUTION.replace("arn:aws:", "arn:aws-cn:")
    assert service.link(china).startswith("https://eu-west-1.console.amazonaws.cn/")


# ---- errors


@pytest.mark.parametrize(
    ("code", "said", "remedy"),
    [
        ("AccessDeniedException", "was refused: why", "needs the permission for DescribePipeline"),
        ("ExpiredTokenException", "was refused: why", "aws sso login"),
        ("ValidationException", "why (ValidationException)", "the same command goes on"),
    ],
)
def test_what_aws_refuses_is_told_in_our_words(code: str, said: str, remedy: str, service: AwsService) -> None:
    refused = {"Code": code, "Message": "why"}
    asking = answering(service._sagemaker, ("describe_pipeline", {"PipelineName": "p"}, refused))
    with asking, pytest.raises(EnvironmentProblem) as caught, in_our_words():
        service.definition("p")

    assert said in caught.value.what
    assert remedy in caught.value.remedy
    assert caught.value.where == "DescribePipeline"


def test_every_client_has_a_region_and_limits_of_time() -> None:
    made: Callable[..., Any] = client("sagemaker", region="us-east-2")

    config: Any = made.meta.config  # type: ignore[attr-defined]
    assert (config.region_name, config.connect_timeout, config.read_timeout) == ("us-east-2", 10, 60)
    assert config.retries["mode"] == "adaptive"
