"""Where a launcher's bucket and service are: in an account on AWS, or in a folder that stands in for one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from earthsnap_train.spec.launcher import SageMaker
from launchers.sagemaker.bucket import Bucket, FolderBucket, S3Bucket
from launchers.sagemaker.clients import in_our_words
from launchers.sagemaker.offline import OfflineService
from launchers.sagemaker.service import Service
from launchers.sagemaker.service_aws import AwsService


@contextmanager
def account(settings: SageMaker, folder: Path) -> Iterator[tuple[Bucket, Service]]:
    """``folder``: what stands in for an account. Raises EnvironmentProblem for what AWS refuses meanwhile."""
    if settings.execute is not None:
        s3 = folder / "s3"
        service = OfflineService(folder, s3=s3, in_containers=settings.execute == "containers")
        yield FolderBucket(s3 / settings.bucket), service
        return
    with in_our_words():
        bucket = S3Bucket(settings.bucket, kms_key=settings.kms_key, region=settings.region)
        yield bucket, AwsService(
            bucket, name=settings.bucket, prefix=settings.prefix, region=settings.region,
            tags=settings.tags,
        )  # fmt: skip
