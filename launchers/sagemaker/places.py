"""Where things lie: in the bucket, and in a container.

::

    <prefix>/externals/<name>/<digest>/...        what comes from outside: photographs, tables, weights
    <prefix>/plans/<digest>/<pipeline>/<job>/job.json   what a container is told to do
    <prefix>/store/<key>/...                      artifacts, each whole once its artifact.json is there
    <prefix>/runs/<run>/stages/<stage>.json       which artifact a stage has in this run
    <prefix>/runs/<run>/<pipeline>/<job>.manifest     the objects that a job made, or (``.earlier.manifest``) is to read
    <prefix>/runs/<run>/<pipeline>/gates/gates.json   whether what a pipeline made is good enough
    <prefix>/registry/registry.sqlite             the ledger: decisions, champions, rollouts and the log
    <prefix>/registry/locks/<name>                who holds what only one may do at a time
    <prefix>/registry/<family>/<digest>/...       a release, whole once its release.json is there
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
S3_VARIABLE = "EARTHSNAP_S3_ROOT"  # a folder that stands in for S3; a bucket is a folder in it
PROCESSING_INPUTS = "processing/input"
TRAINING_INPUTS = "input/data"
GATES_FOLDER = "processing/output/gates"
CHECKPOINTS = "checkpoints"

# Channels, and what they hold.
JOB_CHANNEL = "job"
EARLIER_CHANNEL = "earlier"
STEP = "step-"
JOB_FILE = "job.json"
GATES_FILE = "gates.json"
FOLDERS = ("photographs", "base")  # externals that are folders; the others are one file each


def external(name: str, digest: str) -> str:
    return f"externals/{name}/{digest[:40]}"


def external_channel(name: str) -> str:
    return f"external-{name.replace('_', '-')}"


def plan_folder(plan_digest: str) -> str:
    return f"plans/{plan_digest[:40]}"


def stage_pointer(run: str, stage: str) -> str:
    return f"runs/{run}/stages/{quote(stage, safe='')}.json"


def release_folder(family: str, digest: str) -> str:
    """By what it is, so that two that are registered at once never mix."""
    return f"registry/{family}/{digest[:40]}"


def artifact(key: str) -> str:
    return f"store/{key}"
