"""What the verbs that drive a rollout share: how they show it, and how they end."""

import json
import signal
import threading
from collections.abc import Mapping
from types import FrameType

from earthsnap_train.release.endpoint import Endpoint
from earthsnap_train.release.registry import Registry
from earthsnap_train.spec.deployment import EndpointName, Local, SageMaker
from earthsnap_train.spec.run import RunSpec
from earthsnap_train.verbs.opening import open_registry
from earthsnap_train.verbs.telling import tell
from earthsnap_train.verbs.terminal import ORIGIN, console, say
from launchers.endpoint import LocalEndpoint
from launchers.rollout import Arrived, Driver, roll_out
from launchers.rollout_progress import Follower


def endpoints(spec: RunSpec, registry: Registry, family: str, stop: threading.Event) -> Mapping[EndpointName, Endpoint]:
    """Of this machine, or hosted, as is declared."""
    if isinstance(spec.deployment, SageMaker):
        from launchers.sagemaker.rollout import endpoints as hosted

        return hosted(spec.deployment, spec.serving, registry, family, stop.wait)
    return {"stage": LocalEndpoint(spec, family, "stage"), "prod": LocalEndpoint(spec, family, "prod")}


def kind_of_driver(spec: RunSpec) -> type[Driver]:
    if isinstance(spec.deployment, SageMaker):
        from launchers.sagemaker.rollout import HostedDriver

        return HostedDriver
    return Driver


def drive(spec: RunSpec, release: str) -> Arrived:
    """As far as it goes by itself, shown on the terminal; messages are sent however it ends."""
    stop = told_to_end()
    registry = open_registry(spec)
    with Follower(console(stderr=spec.json_output)) as follower:
        try:
            return roll_out(
                release,
                registry,
                spec.deployment,
                endpoints(spec, registry, registry.get(release).family, stop),
                follower,
                precision=spec.serving.precision,
                origin=ORIGIN,
                stop=stop,
                kind=kind_of_driver(spec),
            )
        finally:
            tell(spec)


def conclude(spec: RunSpec, arrived: Arrived) -> None:
    if spec.json_output:
        print(json.dumps({"release": arrived.release, "at": arrived.at, "url": arrived.url}, indent=1))  # noqa: T201
    elif arrived.at == "live":
        say({"live": f"{arrived.release}{'' if arrived.now else ', as it was already'}", "at": arrived.url})
    else:
        say(
            {
                "waits": f"{arrived.release} passed its tests and waits for a person",
                **({"try it": f"{arrived.url}/"} if isinstance(spec.deployment, Local) else {"at": arrived.url}),
                "next": f"earthsnap promote release={arrived.release}",
            }
        )


def told_to_end() -> threading.Event:
    """Set by an interrupt and by SIGTERM, which raise KeyboardInterrupt besides.

    An exception that arises while Python clears up an object is lost; whoever looks at the event ends all the same.
    """
    told = threading.Event()

    def tell_it(number: int, frame: FrameType | None) -> None:
        told.set()
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, tell_it)
    return told
