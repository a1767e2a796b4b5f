"""What ``conf/tracking/`` declares: who else is told of a run's curves and results."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.model import SpecModel


class Wandb(SpecModel):
    """Weights & Biases. ``auto`` is online where a key is found, else offline; nothing ever prompts.

    ``release_files``: whether a release's artifact holds its networks, or only what describes them. ``registry``: the
    collection of W&B's registry to which releases are linked.
    """

    mode: Literal["auto", "offline"]
    project: str
    entity: str | None
    release_files: Literal["description", "all"]
    registry: str | None


class TensorBoard(SpecModel):
    """``num_pictures``: of each gallery, at most."""

    num_pictures: Annotated[int, Field(ge=0)]


class Csv(SpecModel):
    separator: Literal["comma", "semicolon", "tab"]


class Tracking(SpecModel):
    """Several at once; whoever is absent is not told. Each choice of ``conf/tracking/`` fills in its own."""

    wandb: Wandb | None = None
    tensorboard: TensorBoard | None = None
    csv: Csv | None = None
