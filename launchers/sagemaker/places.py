"""Where things lie: in the bucket, and in a container.

::

    <prefix>/externals/<name>/<digest>/...        what comes from outside: photographs, tables, weights
    <prefix>/declarations/<digest>.manifest       what the entry pipeline is given: <digest>/declaration.json, and all it reads
    <prefix>/families/<family>.manifest           the one that was sent last
    <prefix>/plans/<digest>/<pipeline>/<job>/job.json   what a container is told to do
    <prefix>/store/<key>/...                      artifacts, each whole once its artifact.json is there
    <prefix>/runs/<run>/stages/<stage>.json       which artifact a stage has in this run
    <prefix>/runs/<run>/<pipeline>/<job>.manifest     the objects that a job made, or (``.earlier.manifest``) is to read
    <prefix>/runs/<run>/<pipeline>/gates/gates.json   whether what a pipeline made is good enough
    <prefix>/runs/<run>/<pipeline>/execution.json   which execution of a pipeline is this run's
    <prefix>/heads/<family>/ingest.json           the family's last manifest, from which its next one grows
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
DATASET_VERSION_VARIABLE = "EARTHSNAP_DATASET_VERSION"
WANDB_SECRET_VARIABLE = "EARTHSNAP_WANDB_SECRET"  # noqa: S105
S3_VARIABLE = "EARTHSNAP_S3_ROOT"  # a folder that stands in for S3; a bucket is a folder in it
PROCESSING_INPUTS = "processing/input"
TRAINING_INPUTS = "input/data"
GATES_FOLDER = "processing/output/gates"
HOME_FOLDER = "processing/output/home"  # what the entry pipeline's job leaves behind
CHECKPOINTS = "checkpoints"

# Channels, and what they hold.
JOB_CHANNEL = "job"
EARLIER_CHANNEL = "earlier"
DECLARATION_CHANNEL = "declaration"
STEP = "step-"
JOB_FILE = "job.json"
DECLARATION_FILE = "declaration.json"
OUTSIDE_FILE = "outside.json"
GATES_FILE = "gates.json"
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


def execution(run: str, pipeline: str) -> str:
    return f"runs/{run}/{pipeline}/execution.json"


def head(family: str) -> str:
    return f"heads/{family}/ingest.json"


def artifact(key: str) -> str:
    return f"store/{key}"
