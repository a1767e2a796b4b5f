"""What ``conf/launcher/`` declares: where a plan runs. ``module`` is a module under ``launchers``."""

from typing import Annotated, Literal

from pydantic import Field

from earthsnap_train.spec.model import SpecModel

Positive = Annotated[int, Field(ge=1)]


class Local(SpecModel):
    """This machine. ``null`` means as many as it has: ``stages`` at once, ``workers`` of one stage, GPUs.

    ``threads`` of one numerical operation is fixed, since a result's last bits depend on it.
    """

    module: Literal["launchers.local"]
    stages: Positive | None
    workers: Positive | None
    threads: Positive
    accelerator: Literal["auto", "cpu", "cuda"]
    devices: Positive | None
    devices_per_node: Positive
    devices_per_trial: Positive
    checkpoint_every_s: Annotated[float, Field(ge=0)]
