"""Who may do what, on what, and why. Policies are made of this table alone, and tests hold it against recorded calls."""

from collections.abc import Iterator

from launchers.sagemaker.infrastructure.endpoint_permissions import endpoint_permissions, server
from launchers.sagemaker.infrastructure.permission import Permission, passing
from launchers.sagemaker.infrastructure.site import ENDPOINTS, Principal, Site

# Folders below the prefix, as ``places`` draws them.
_WORK = ("store", "shards", "runs", "checkpoints")  # what jobs make
_SENT = ("externals", "declarations", "families", "plans", "pipelines", "heads")  # what they are made and told of
_DECIDED = ("registry", "releases")
_SEEN = (*_WORK, *_SENT, "registry")
# Who reads what, writes what, and why.
_FOLDERS: tuple[tuple[Principal, tuple[str, ...], tuple[str, ...], str], ...] = (
    ("job", (*_WORK, "externals", "plans"), _WORK, "reads what it is told and given, and writes what it makes"),
    ("conductor", _SEEN, _SEEN, "sends jobs, reads what they made, registers"),
    ("build", _SEEN, ("store", "runs", *_SENT), "sends a run"),
    ("rollout", (*_DECIDED, "captured"), _DECIDED, "writes the log, the champion, and what endpoints load"),
)
JOBS = "pipelines-*"  # as the service names the jobs of any pipeline
_KINDS_OF_JOB = ("processing-job", "training-job", "hyper-parameter-tuning-job")


def permissions(site: Site) -> tuple[Permission, ...]:
    return (
        *_objects(site), *_images(site), *_logs(site), *_jobs(site), *_pipelines(site), *_registry(site),
        *(row for part in ENDPOINTS for row in endpoint_permissions(site, part)),
        *_starting(site),
    )  # fmt: skip


# ---- the bucket


def _objects(site: Site) -> Iterator[Permission]:
    everybody: tuple[Principal, ...] = ("job", "conductor", "build", "rollout")
    yield Permission(
        who=everybody, may=("s3:ListBucket",), on=(site.bucket_arn,), asked_by="service",
        because="channels are listed; and without it an object that is not there is answered as one that is forbidden",
    )  # fmt: skip
    for who, reads, writes, because in _FOLDERS:
        yield Permission(
            who=(who,), may=("s3:GetObject",), on=tuple(site.objects(f"{folder}/") for folder in reads), because=because
        )
        yield Permission(
            who=(who,), may=("s3:PutObject", "s3:AbortMultipartUpload"), because=because,
            on=tuple(site.objects(f"{folder}/") for folder in writes),
        )  # fmt: skip
    if site.infra.sources:
        split = [one.partition("/") for one in site.infra.sources]
        sources = [(site.s3_arn(name), below) for name, _, below in split]
        yield Permission(
            who=("job", "conductor"), may=("s3:GetObject",), because="reads photographs",
            on=tuple(f"{bucket}/{below}/*" if below else f"{bucket}/*" for bucket, below in sources),
        )  # fmt: skip
        yield Permission(
            who=("build", "job", "conductor"), may=("s3:ListBucketVersions",), because="lists photographs",
            on=tuple(dict.fromkeys(bucket for bucket, _ in sources)),
        )  # fmt: skip
        yield Permission(
            who=("job", "conductor"), may=("s3:ListBucket",), on=tuple(dict.fromkeys(bucket for bucket, _ in sources)),
            asked_by="service", because="a channel of photographs is listed",
        )  # fmt: skip
    if site.key_arn is not None:
        yield Permission(
            who=(*everybody, *map(server, ENDPOINTS)), may=("kms:Decrypt", "kms:GenerateDataKey"), on=(site.key_arn,),
            asked_by="service", because="S3 opens and closes objects with the key, for whoever reads and writes them",
        )  # fmt: skip
        disks: tuple[Principal, ...] = ("job", "conductor", *map(server, ENDPOINTS))
        yield Permission(
            who=disks, may=("kms:CreateGrant",), on=(site.key_arn,), asked_by="service",
            because="disks are encrypted with the key", when={"Bool": {"kms:GrantIsForAWSResource": True}},
        )  # fmt: skip
        yield Permission(
            who=disks, may=("kms:DescribeKey",), on=(site.key_arn,), asked_by="service", because="the same, before that"
        )


# ---- images and logs


def _images(site: Site) -> Iterator[Permission]:
    pulling: tuple[Principal, ...] = ("job", "conductor", "build", "rollout", *map(server, ENDPOINTS))
    yield Permission(
        who=pulling, may=("ecr:GetAuthorizationToken",), on=("*",), asked_by="service",
        because="signs in to the registry of images; knows no resources",
    )  # fmt: skip
    yield Permission(
        who=pulling, may=("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        on=(site.image_arn,), asked_by="service", because="pulls the image",
    )  # fmt: skip
    yield Permission(
        who=("build",),
        may=("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"),
        on=(site.image_arn,), asked_by="service", because="pushes the image",
    )  # fmt: skip


def _logs(site: Site) -> Iterator[Permission]:
    jobs = tuple(site.arn("logs", f"log-group:/aws/sagemaker/{kind}*") for kind in ("ProcessingJobs", "TrainingJobs"))
    yield Permission(
        who=("job", "conductor"), may=("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"), on=jobs,
        asked_by="service", because="what containers print",
    )  # fmt: skip
    yield Permission(
        who=("conductor",), may=("logs:DescribeLogStreams", "logs:GetLogEvents"), on=jobs,
        because="shows the last lines of a job that failed",
    )  # fmt: skip
    for who in ("build", "rollout"):
        yield Permission(
            who=(who,), may=("logs:CreateLogStream", "logs:PutLogEvents"), asked_by="service",
            on=(site.arn("logs", f"log-group:/aws/codebuild/{site.name(who)}:*"),), because="what the build prints",
        )  # fmt: skip
    yield Permission(
        who=("job", "conductor", *map(server, ENDPOINTS)), may=("cloudwatch:PutMetricData",), on=("*",), asked_by="service",
        because="measurements of jobs and endpoints; knows no resources",
        when={"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
    )  # fmt: skip


# ---- pipelines


def _jobs(site: Site) -> Iterator[Permission]:
    jobs = tuple(site.arn("sagemaker", f"{kind}/{JOBS}") for kind in _KINDS_OF_JOB)
    creating = (
        "sagemaker:CreateHyperParameterTuningJob",
        "sagemaker:CreateProcessingJob",
        "sagemaker:CreateTrainingJob",
    )
    stopping = ("sagemaker:StopHyperParameterTuningJob", "sagemaker:StopProcessingJob", "sagemaker:StopTrainingJob")
    asking = ("sagemaker:DescribeProcessingJob", "sagemaker:DescribeTrainingJob")
    following = (*asking, "sagemaker:DescribeHyperParameterTuningJob")
    yield Permission(
        who=("job", "conductor"), may=(*creating, *stopping, *following, "sagemaker:AddTags"), on=jobs, asked_by="service",
        because="a pipeline makes, follows and ends its jobs",
    )  # fmt: skip
    yield passing(site, who=("job",), role="job", because="the jobs of pipelines act as this role", asked_by="service")
    yield Permission(who=("conductor",), may=asking, on=jobs, because="tells why a job failed")
    yield Permission(
        who=("conductor",), may=("sagemaker:ListProcessingJobs", "sagemaker:ListTrainingJobs"), on=("*",),
        because="counts the machines that are in use; these know no resources",
    )  # fmt: skip


def _pipelines(site: Site) -> Iterator[Permission]:
    """Those of the conductor; a build does what a desk does: upserts them and starts the entry."""
    every = tuple(site.arn("sagemaker", f"pipeline/{name}") for name in (site.entry, site.every_name))
    executions = tuple(f"{one}/execution/*" for one in every)
    both: tuple[Principal, ...] = ("conductor", "build")
    yield Permission(
        who=both, may=("sagemaker:CreatePipeline", "sagemaker:DescribePipeline", "sagemaker:UpdatePipeline"), on=every,
        because="upserts pipelines whose definition changed",
    )  # fmt: skip
    yield Permission(who=both, may=("sagemaker:AddTags",), on=every, because="tags what it makes, for bills")
    yield Permission(who=both, may=("sagemaker:StartPipelineExecution",), on=every, because="starts a run of them")
    yield Permission(
        who=both, may=("sagemaker:DescribePipelineExecution",), on=executions, because="sees how they stand"
    )
    yield Permission(
        who=("conductor",), on=executions, because="follows and ends them",
        may=(
            "sagemaker:DescribePipelineDefinitionForExecution", "sagemaker:ListPipelineExecutionSteps",
            "sagemaker:StopPipelineExecution",
        ),
    )  # fmt: skip
    yield passing(site, who=both, role="job", because="pipelines and their jobs act as this role")
    yield passing(site, who=both, role="conductor", because="the entry pipeline acts as this role")
    if site.infra.wandb_secret is not None:
        name = site.infra.wandb_secret
        secret = name if name.startswith("arn:") else site.arn("secretsmanager", f"secret:{name}-??????")
        yield Permission(
            who=("conductor",), may=("secretsmanager:GetSecretValue",), on=(secret,), because="tells W&B of the run"
        )


def _registry(site: Site) -> Iterator[Permission]:
    groups = (site.arn("sagemaker", f"model-package-group/{site.every_name}"),)
    packages = (site.arn("sagemaker", f"model-package/{site.every_name}"),)
    yield Permission(
        who=("conductor",), may=("sagemaker:CreateModelPackageGroup", "sagemaker:DescribeModelPackageGroup"), on=groups,
        because="a group for releases and one for each node",
    )  # fmt: skip
    yield Permission(
        who=("conductor",), may=("sagemaker:CreateModelPackage",), on=(*groups, *packages),
        because="registers a release and its nodes",
    )  # fmt: skip
    yield Permission(
        who=("conductor",), may=("sagemaker:AddTags",), on=(*groups, *packages), because="tags what it registers"
    )
    yield Permission(
        who=("conductor", "rollout"), may=("sagemaker:ListModelPackages",), on=(*groups, *packages),
        because="finds what is registered, and what was decided in Studio",
    )  # fmt: skip
    yield Permission(
        who=("conductor", "rollout"), may=("sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"), on=packages,
        because="reads the decision on a release, and writes what became of it",
    )  # fmt: skip


# ---- what others start


def _starting(site: Site) -> Iterator[Permission]:
    entry = site.arn("sagemaker", f"pipeline/{site.entry}")
    yield Permission(
        who=("api",),
        may=("sagemaker:StartPipelineExecution",),
        on=(entry,),
        asked_by="service",
        because="POST /executions",
    )
    yield Permission(
        who=("api",), may=("sagemaker:DescribePipelineExecution",), on=(f"{entry}/execution/*",), asked_by="service",
        because="GET /executions/ID",
    )  # fmt: skip
    yield Permission(
        who=("approval",), may=("codebuild:StartBuild",), on=(site.arn("codebuild", f"project/{site.name('rollout')}"),),
        asked_by="service", because="an approval or a rejection starts the rollout",
    )  # fmt: skip
    if site.infra.repository is not None:
        yield Permission(
            who=("build",), may=("codeconnections:GetConnection", "codeconnections:GetConnectionToken"),
            on=(site.infra.repository.connection,), asked_by="service", because="reads the repository",
        )  # fmt: skip
