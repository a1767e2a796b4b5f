"""The entry pipeline, named as the family: one job that runs the conductor, so that whatever can start a pipeline can
start a whole run.

Its parameters are names and no addresses: ``Declaration`` is a key below the prefix, by default what was last sent for
the family; ``DatasetVersion`` is what nothing else may be taught on; ``Run`` is the folder of what the job leaves behind.
"""

from typing import Any

from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker import places
from launchers.sagemaker.fields import environment, joined, tagged, vpc
from launchers.sagemaker.names import PIPELINE, short

Json = dict[str, Any]
MODULE = "launchers.sagemaker.entry_job"
STEP = "conduct"
ANY_VERSION = "any"


def entry_name(family: str) -> str:
    return short(family, PIPELINE)


def entry_pipeline(family: str, settings: SageMaker) -> Json:
    """Parameters and steps."""
    return {
        "Parameters": [
            {"Name": "Run", "Type": "String"},
            {"Name": "Declaration", "Type": "String", "DefaultValue": places.family_declaration(family)},
            {"Name": "DatasetVersion", "Type": "String", "DefaultValue": ANY_VERSION},
        ],
        "Steps": [{"Name": STEP, "Type": "Processing", "Arguments": _arguments(settings)}],
    }


def _arguments(settings: SageMaker) -> Json:
    root = f"s3://{settings.bucket}/{settings.prefix}"
    key = {"KmsKeyId": settings.kms_key} if settings.kms_key else {}
    machine = settings.entry
    cluster: Json = {
        "InstanceCount": 1,
        "InstanceType": machine.instance_type,
        "VolumeSizeInGB": machine.volume_gb,
        **({"VolumeKmsKeyId": settings.kms_key} if settings.kms_key else {}),
    }
    declared = {
        "S3Uri": joined(root, {"Get": "Parameters.Declaration"}),
        "LocalPath": f"{places.ROOT}/{places.PROCESSING_INPUTS}/{places.DECLARATION_CHANNEL}",
        "S3DataType": "ManifestFile",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
    }
    left = {
        "S3Uri": joined(f"{root}/runs", {"Get": "Parameters.Run"}, "home"),
        "LocalPath": f"{places.ROOT}/{places.HOME_FOLDER}",
        "S3UploadMode": "Continuous",  # what it said so far is there even where it is ended
    }
    arguments: Json = {
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {
            "ImageUri": settings.image,
            "ContainerEntrypoint": ["python", "-m", MODULE],
            "ContainerArguments": ["processing"],
        },
        "RoleArn": settings.entry_role or settings.role,
        "ProcessingInputs": [{"InputName": places.DECLARATION_CHANNEL, "S3Input": declared}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "home", "S3Output": left}], **key},
        "StoppingCondition": {"MaxRuntimeInSeconds": machine.max_minutes * 60},
        "Environment": _environment(settings),
    }
    if settings.subnets:
        arguments["NetworkConfig"] = {"VpcConfig": vpc(settings)}
    return arguments | tagged(settings)


def _environment(settings: SageMaker) -> Json:
    """A secret's name and never what it holds."""
    return {
        places.DATASET_VERSION_VARIABLE: {"Get": "Parameters.DatasetVersion"},
        **environment(settings),
        **({places.WANDB_SECRET_VARIABLE: settings.wandb_secret} if settings.wandb_secret else {}),
    }
