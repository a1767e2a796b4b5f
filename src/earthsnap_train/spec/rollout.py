"""What a rollout asks of a release, wherever its endpoints are: tests in stage, steps, and limits beside the champion."""

from typing import Annotated

from pydantic import Field

from earthsnap_train.spec.model import SpecModel

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class StageTests(SpecModel):
    """Load arrives open-loop: ``rate_per_s`` whether or not earlier requests were answered."""

    rate_per_s: Positive
    load_s: Positive
    max_p99_ms: Positive
    max_error_share: Share
    max_memory_mb: Positive


class Step(SpecModel):
    """``share`` of the requests go to the new release for ``bake_s``."""

    share: Annotated[float, Field(gt=0, lt=1)]
    bake_s: Annotated[float, Field(ge=0)]


class Limits(SpecModel):
    """What is allowed of a new release beside the champion in the same time; anything beyond sends it back."""

    min_requests: Annotated[int, Field(ge=1)]
    max_more_errors: Share
    max_latency_ratio: Annotated[float, Field(ge=1)]
    max_more_unsure: Share
    min_agreement: Share
