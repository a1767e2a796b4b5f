"""Where things lie: in the bucket, and in a container.

::

    <prefix>/externals/<name>/<digest>/...        what comes from outside: photographs, tables, weights
    <prefix>/externals/<name>/<digest>.whole      that all of it is there
    <prefix>/externals/photographs/<digest>/objects.manifest    which objects of another bucket they are
    <prefix>/declarations/<digest>.manifest       what the entry pipeline is given: <digest>/declaration.json, and all it reads
    <prefix>/families/<family>.manifest           the one that was sent last
    <prefix>/plans/<digest>/<pipeline>/<job>/job.json   what a container is told to do
    <prefix>/pipelines/<pipeline>/<digest>.json   a definition that is too long for a request
    <prefix>/store/<key>/...                      artifacts, each whole once its artifact.json is there
    <prefix>/shards/<key>/2-of-3.parquet          what one of three machines measured for the stage of that key
    <prefix>/runs/<run>/stages/<stage>.json       which artifact a stage has in this run
    <prefix>/runs/<run>/<pipeline>/<job>.manifest     the objects that a job made, or (``.before.manifest``: from jobs
                                                  of its pipeline; ``.earlier.manifest``: from others;
                                                  ``.photographs.manifest``: of all photographs) is to read
    <prefix>/runs/<run>/<pipeline>/gates/gates.json   whether what a pipeline made is good enough
    <prefix>/runs/<run>/<pipeline>/trials/<training job>.json   what came of a trial of the service's own tuning
    <prefix>/runs/<run>/<pipeline>/execution.json   which execution of a pipeline is this run's
    <prefix>/runs/<run>/home/                     what the entry pipeline's run leaves behind
    <prefix>/heads/<family>/ingest.json           the family's last manifest, from which its next one grows
    <prefix>/registry/registry.sqlite             the ledger: decisions, champions, rollouts and the log
    <prefix>/registry/locks/<name>                who holds what only one may do at a time
    <prefix>/registry/<family>/<digest>/...       a release, whole once its release.json is there
    <prefix>/captured/<family>/<endpoint>/...     what endpoints were asked and answered, as the service writes it
    <prefix>/checkpoints/<run>/<pipeline>/<job>/  what survives when spot capacity is taken away
"""

from urllib.parse import quote

# Inside a container.
ROOT = "/opt/ml"
ROOT_VARIABLE = "EARTHSNAP_ML_ROOT"  # another folder in its place
RUN_VARIABLE = "EARTHSNAP_RUN"
BUCKET_VARIABLE = "EARTHSNAP_BUCKET"
PREFIX_VARIABLE = "EARTHSNAP_PREFIX"
KMS_VARIABLE = "EARTHSNAP_KMS_KEY"
SERVING_VARIABLE = "EARTHSNAP_SERVING"  # of a model: overrides of serving.*, by spaces
DATASET_VERSION_VARIABLE = "EARTHSNAP_DATASET_VERSION"
WANDB_SECRET_VARIABLE = "EARTHSNAP_WANDB_SECRET"  # noqa: S105
S3_VARIABLE = "EARTHSNAP_S3_ROOT"  # a folder that stands in for S3; a bucket is a folder in it
LOSE_VARIABLE = "EARTHSNAP_LOSE_AT"  # a test tool, with a folder for S3 alone: see ``faults``
MEETING_VARIABLE = "EARTHSNAP_MEETING"  # host:port of a job's first machine, where names of hosts lead nowhere
PROCESSING_INPUTS = "processing/input"
TRAINING_INPUTS = "input/data"
GATES_FOLDER = "processing/output/gates"
FOUND_FOLDER = "processing/output/found"
TRAINING_JOB_VARIABLE = "TRAINING_JOB_NAME"  # set by the service
HYPERPARAMETERS = "input/config/hyperparameters.json"
HOME_FOLDER = "processing/output/home"  # what the entry pipeline's job leaves behind
CHECKPOINTS = "checkpoints"

# Channels, and what they hold.
JOB_CHANNEL = "job"
EARLIER_CHANNEL = "earlier"
BEFORE_CHANNEL = "before"
DECLARATION_CHANNEL = "declaration"
JOB_FILE = "job.json"
DECLARATION_FILE = "declaration.json"
OUTSIDE_FILE = "outside.json"
GATES_FILE = "gates.json"
LISTED = "objects.manifest"
LISTING = "objects.json"  # photographs in another bucket, as they were when the plan was made
TRIALS_CHANNEL = "trials"
FOUND_FILE = "found.json"
FOLDERS = ("photographs", "base")  # externals that are folders; the others are one file each


def external(name: str, digest: str) -> str:
    return f"externals/{name}/{digest[:40]}"


def external_channel(name: str) -> str:
    return f"external-{name.replace('_', '-')}"


def declaration(digest: str) -> str:
    return f"declarations/{digest[:40]}"


def family_declaration(family: str) -> str:
    return f"families/{family}.manifest"


def plan_folder(plan_digest: str) -> str:
    return f"plans/{plan_digest[:40]}"


def stage_pointer(run: str, stage: str) -> str:
    return f"runs/{run}/stages/{quote(stage, safe='')}.json"


def shard(key: str, number: int, count: int) -> str:
    return f"shards/{key}/{number}-of-{count}.parquet"


def trial(run: str, pipeline: str, training_job: str) -> str:
    return f"runs/{run}/{pipeline}/{TRIALS_CHANNEL}/{training_job}.json"


def execution(run: str, pipeline: str) -> str:
    return f"runs/{run}/{pipeline}/execution.json"


def head(family: str) -> str:
    return f"heads/{family}/ingest.json"


def release_folder(family: str, digest: str) -> str:
    """By what it is, so that two that are registered at once never mix."""
    return f"registry/{family}/{digest[:40]}"


def artifact(key: str) -> str:
    return f"store/{key}"
