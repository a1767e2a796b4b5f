"""What ``conf/tracking/`` declares: who else is told of a run's curves and results."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.model import SpecModel


class NoTracking(SpecModel):
    kind: Literal["none"]


class Wandb(SpecModel):
    """Weights & Biases. ``auto`` is online where a key is found, else offline; nothing ever prompts."""

    kind: Literal["wandb"]
    mode: Literal["auto", "online", "offline"]
    project: str
    entity: str | None


TrackingSpec = Annotated[NoTracking | Wandb, Field(discriminator="kind")]
