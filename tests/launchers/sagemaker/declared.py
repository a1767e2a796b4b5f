"""Declarations for SageMaker, with an account that nobody has."""

from earthsnap_train.spec.run import RunSpec
from tests.conftest import declare

ON_SAGEMAKER = (
    "launcher=sagemaker",
    "aws.region=eu-west-1",
    "aws.bucket=photographs",
    "launcher.image=123456789012.dkr.ecr.eu-west-1.amazonaws.com/earthsnap:1",
    "launcher.role=arn:aws:iam::123456789012:role/earthsnap",
)


def declared(*typed: str) -> RunSpec:
    return declare(*ON_SAGEMAKER, *typed)
