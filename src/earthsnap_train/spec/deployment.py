"""What ``conf/deployment/`` declares: the endpoints, the tests in stage, the steps to production, and who is told."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from earthsnap_train.spec.model import SpecModel

EndpointName = Literal["stage", "prod"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


class StageTests(SpecModel):
    """Load arrives open-loop: ``rate_per_s`` whether or not earlier requests were answered."""

    rate_per_s: Positive
    load_s: Positive
    max_p99_ms: Positive
    max_error_share: Share
    max_memory_mb: Positive


class StageEndpoint(SpecModel):
    host: str
    port: Port
    tests: StageTests


class Step(SpecModel):
    """``share`` of the requests go to the new release for ``bake_s``."""

    share: Annotated[float, Field(gt=0, lt=1)]
    bake_s: Annotated[float, Field(ge=0)]


class Canary(SpecModel):
    """What is allowed of a new release beside the champion in the same time; anything beyond sends it back."""

    min_requests: Annotated[int, Field(ge=1)]
    max_more_errors: Share
    max_latency_ratio: Annotated[float, Field(ge=1)]
    max_more_unsure: Share
    min_agreement: Share
    shadow_share: Share


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


class Deployment(SpecModel):
    stage: StageEndpoint
    prod: ProdEndpoint
    messages: Messages
