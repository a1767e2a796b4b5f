"""What requests of all jobs have alike, written from the launcher's settings."""

from typing import Any

from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker import places

Json = dict[str, Any]


def joined(*values: object) -> Json:
    """With slashes between them."""
    return {"Std:Join": {"On": "/", "Values": list(values)}}


def environment(settings: SageMaker) -> Json:
    """Where a container finds the bucket."""
    return {
        places.BUCKET_VARIABLE: settings.bucket,
        places.PREFIX_VARIABLE: settings.prefix,
        "AWS_DEFAULT_REGION": settings.region,
        **({places.KMS_VARIABLE: settings.kms_key} if settings.kms_key else {}),
    }


def vpc(settings: SageMaker) -> Json:
    return {"SecurityGroupIds": list(settings.security_groups), "Subnets": list(settings.subnets)}


def tagged(settings: SageMaker) -> Json:
    tags = [{"Key": key, "Value": value} for key, value in settings.tags.items()]
    return {"Tags": tags} if tags else {}
