"""What ``conf/deployment/`` declares: the endpoints, the tests in stage, the steps to production, and who is told.

``module`` is the module under ``launchers`` that rolls releases out.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from earthsnap_train.errors import ConfigError
from earthsnap_train.spec.deployment_sagemaker import Hosting, SageMakerProd, SageMakerStage
from earthsnap_train.spec.model import SpecModel
from earthsnap_train.spec.rollout import Limits, StageTests, Step

EndpointName = Literal["stage", "prod"]
Port = Annotated[int, Field(ge=1, le=65535)]


class StageEndpoint(SpecModel):
    host: str
    port: Port
    tests: StageTests


class Canary(Limits):
    """``shadow_share``: of the champion's requests, that the new release answers too, unseen."""

    shadow_share: Annotated[float, Field(ge=0, le=1)]


class ProdEndpoint(SpecModel):
    """``confirm: person`` waits in stage. ``standby`` keeps the previous champion loaded."""

    host: str
    port: Port
    confirm: Literal["auto", "person"]
    steps: list[Step]
    canary: Canary
    standby: bool


def _is_address(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("an address begins with http:// or https://")
    return value


class Messages(SpecModel):
    """Who is told that a release awaits approval, failed, is live, or was rolled back. The webhook's address is in no log."""

    console: bool
    file: str | None
    webhook: Annotated[SecretStr, AfterValidator(_is_address)] | None


class Local(SpecModel):
    """Processes of this machine."""

    module: Literal["launchers.rollout"]
    stage: StageEndpoint
    prod: ProdEndpoint
    messages: Messages


class SageMaker(Hosting):
    """Hosted endpoints, each with the settings that all of them share."""

    module: Literal["launchers.sagemaker.rollout"]
    stage: SageMakerStage
    prod: SageMakerProd
    messages: Messages


Prod = ProdEndpoint | SageMakerProd
Deployment = Annotated[Local | SageMaker, Field(discriminator="module")]


def local(deployment: Local | SageMaker) -> Local:
    """Raises ConfigError where endpoints are hosted, for what is done on this machine alone."""
    if isinstance(deployment, Local):
        return deployment
    raise ConfigError(
        "its endpoints are on SageMaker, which starts and ends them",
        where="deployment",
        allowed="deployment=local, for an endpoint of this machine",
        remedy="earthsnap rollout release=NAME deployment=sagemaker takes a release there",
    )
