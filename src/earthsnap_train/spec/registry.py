"""What ``conf/registry/`` declares: where releases are registered and decided about. ``module`` opens it."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.aws import BucketName, KmsKey, Prefix, Region, Tags
from earthsnap_train.spec.model import SpecModel


class LocalRegistry(SpecModel):
    """The folder ``paths.registry``."""

    module: Literal["earthsnap_train.release.registry"]


class SageMakerRegistry(SpecModel):
    """SageMaker's Model Registry, with ledger, locks and releases in a bucket. ``serve_image`` answers for a release."""

    module: Literal["launchers.sagemaker.registry"]
    region: Region
    bucket: BucketName
    prefix: Prefix
    kms_key: KmsKey | None
    tags: Tags
    serve_image: Annotated[str, Field(pattern=r"^[^\s/]+(/[^\s/]+)*$", max_length=255)]


RegistrySpec = Annotated[LocalRegistry | SageMakerRegistry, Field(discriminator="module")]
