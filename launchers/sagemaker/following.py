"""What a ``watch`` does besides where endpoints are hosted: production follows what people decided on pages or elsewhere."""

import threading
from collections.abc import Callable

from earthsnap_train.errors import EarthsnapError
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.registry import Registry
from launchers.sagemaker.endpoint import SageMakerEndpoint
from launchers.sagemaker.rollout import follow

LOOK_EVERY_S = 5.0


def follow_wishes(
    registry: Registry, prod_of: Callable[[str], SageMakerEndpoint], say: Callable[[str], None], stop: threading.Event,
    *, look_every_s: float = LOOK_EVERY_S,
) -> None:  # fmt: skip
    """Until told to stop. While a rollout is under way its driver does this; each wish is followed once."""
    deployments, followed = Deployments(registry.ledger), dict[str, int]()
    while not stop.wait(look_every_s):
        for family in sorted({release.family for release in registry.releases()}):
            wish = deployments.wanted(family, "prod")
            if wish is None or followed.get(family) == wish.revision or deployments.under_way(family) is not None:
                continue
            followed[family] = wish.revision
            try:
                follow(prod_of(family))
            except KeyboardInterrupt:
                return
            except EarthsnapError as error:
                say(f"error: {family}: {error}")
