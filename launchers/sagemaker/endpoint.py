"""An endpoint on SageMaker: what the registry wants of it, made true by Model, EndpointConfig and Endpoint.

Whether it is true is read from the service each time, and nowhere else: whoever is killed leaves nothing half remembered.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.release.deployments import Wanted
from earthsnap_train.release.endpoint import Observed, Served, ServerState
from earthsnap_train.release.registry import Release
from earthsnap_train.spec.deployment import EndpointName, SageMaker
from earthsnap_train.spec.serving import Serving
from launchers.sagemaker import alarms
from launchers.sagemaker.autoscaling import assert_scaling
from launchers.sagemaker.aws import Absent, Aws, Busy, Exists
from launchers.sagemaker.bucket import Bucket
from launchers.sagemaker.hosting import Made, endpoint_name, guarded, made
from launchers.sagemaker.released import bring

LOOK_EVERY_S = 10.0
SET_OFF_EVERY = 6  # looks: an alarm that people set off is OK again within a minute
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_WENT_BACK = "the service went back to what was there, and does not say why"


@dataclass(frozen=True, kw_only=True)
class Live:
    """What the service says. ``goal``: the config that a change under way leads to; ``reason``: of a failure."""

    status: str
    config: str
    goal: str | None
    reason: str

    @property
    def is_changing(self) -> bool:
        return self.status in _CHANGING

    def serves(self, config: str) -> bool:
        return self.status == "InService" and self.config == config


class SageMakerEndpoint:
    """The port ``release.endpoint.Endpoint``.

    ``wanted`` reads the registry's wish, ``release`` finds a release by name; ``wait`` is ``Event.wait``: True where this
    process is about to end.
    """

    def __init__(
        self, family: str, endpoint: EndpointName, *, on: SageMaker, serving: Serving, aws: Aws, bucket: Bucket,
        wanted: Callable[[], Wanted | None], release: Callable[[str], Release], wait: Callable[[float], bool],
    ) -> None:  # fmt: skip
        self.name = endpoint_name(family, endpoint)
        self.url = f"https://runtime.sagemaker.{on.region}.amazonaws.com/endpoints/{self.name}/invocations"
        self.aws = aws
        self._family, self._endpoint, self._on, self._serving = family, endpoint, on, serving
        self._bucket, self._wanted, self._release, self._wait = bucket, wanted, release, wait
        self._asked: tuple[str, float] | None = None  # which config the service was asked for, and when

    def ensure(self) -> None:
        """Asks for what is wanted, where that is neither there nor on its way; waits for other changes to end before.

        Production moves to a canary under its alarms; to anything else at once, and an update that is not wanted any more
        is called back. Raises EnvironmentProblem where an alarm is set off already, or nothing is wanted.
        """
        looks = 0
        while True:
            wish = self._wish()
            target = self._target(wish)
            live = self.live()
            if live is None:
                return self._create(target)
            if live.serves(target.name):
                return self._keep_scaled()
            if live.is_changing and live.goal == target.name:
                self._asked = self._asked or (target.name, time.time())
                return None
            if live.status == "Failed":  # such an endpoint answers nothing, and takes no other order
                self.aws.call("sagemaker", "delete_endpoint", EndpointName=self.name)
            elif not live.is_changing:
                with suppress(Busy):  # somebody was faster: look again
                    return self._update(target, is_guarded=wish.canary is not None and wish.share > 0)
            elif live.status == "Updating" and self._endpoint == "prod" and wish.canary is None:
                if looks % SET_OFF_EVERY == 0:
                    alarms.set_off(self.aws, self.name, f"{wish.stable} is wanted, and nothing else any more")
                looks += 1
            self.pause()

    def observe(self) -> Observed:
        """Raises EnvironmentProblem where there is none. A release is ``failed`` where the service gave up, or went back."""
        live = self.live()
        if live is None:
            raise EnvironmentProblem(
                f"there is no endpoint {self.name}",
                where="endpoint",
                remedy="earthsnap rollout release=NAME makes it",
            )
        wish = self._wish()
        target = self._target(wish)
        state, reason = self._state(live, target.name)
        new = wish.canary or wish.stable
        return Observed(
            family=self._family,
            endpoint=self._endpoint,
            revision=wish.revision,
            stable=(new if wish.canary is None or wish.share > 0 else wish.stable) if state == "ready" else None,
            canary=wish.canary,
            share=wish.share,
            standby=None,
            ready=state == "ready",
            releases={new: Served(state=state, reason=reason)},
        )

    def was_asked(self, since: float) -> None:
        """An earlier process asked for what is wanted: where that is neither there nor on its way, the service went back."""
        self._asked = (self._target(self._wish()).name, since)

    def live(self) -> Live | None:
        """None where there is no such endpoint."""
        try:
            said = self.aws.call("sagemaker", "describe_endpoint", EndpointName=self.name)
        except Absent:
            return None
        pending: Mapping[str, Any] = said.get("PendingDeploymentSummary", {})
        first = said.get("EndpointConfigName") if said["EndpointStatus"] == "Creating" else None
        return Live(
            status=said["EndpointStatus"],
            config=said.get("EndpointConfigName", ""),
            goal=pending.get("EndpointConfigName", first),
            reason=said.get("FailureReason", ""),
        )

    def _state(self, live: Live, target: str) -> tuple[ServerState, str]:
        if live.serves(target):
            return "ready", ""
        if live.is_changing:
            return "starting", ""
        if live.status == "Failed":
            return "failed", live.reason or live.status
        if self._asked is not None and self._asked[0] == target:
            fired = ""
            if self._endpoint == "prod":
                fired = alarms.fired_since(self.aws, self._on.prod.alarms, self.name, self._asked[1])
            said = [live.reason or _WENT_BACK, *([f"alarms: {fired}"] if fired else [])]
            return "failed", f"{live.status} with {live.config} instead of {target}: {'; '.join(said)}"
        return "starting", ""

    # ---- what is wanted

    def _wish(self) -> Wanted:
        wish = self._wanted()
        if wish is None:
            raise EnvironmentProblem(
                f"nothing is wanted of {self.name}",
                where="endpoint",
                remedy="a release that goes live is wanted there; nobody needs it before: delete it in SageMaker's console",
            )
        return wish

    def _target(self, wish: Wanted) -> Made:
        """A canary with a share takes everything over in the end; one without answers unseen, beside stable."""
        shadows = wish.canary is not None and wish.share == 0
        first = wish.stable if shadows or wish.canary is None else wish.canary
        beside = wish.canary if shadows else None
        return made(
            self._release(first),
            self._on,
            self._serving,
            self._endpoint,
            beside=None if beside is None else self._release(beside),
        )

    # ---- asking

    def _create(self, target: Made) -> None:
        self._make(target)
        with suppress(Exists):
            self.aws.call(
                "sagemaker", "create_endpoint",
                EndpointName=self.name, EndpointConfigName=target.name, Tags=target.config["Tags"],
            )  # fmt: skip

    def _update(self, target: Made, *, is_guarded: bool) -> None:
        self._make(target)
        prod = self._on.prod
        request: dict[str, Any] = {"EndpointName": self.name, "EndpointConfigName": target.name}
        if self._endpoint == "prod" and prod.autoscaling is not None:
            # What autoscaling made of it stays; what is captured does not: consent may have been taken back.
            request |= {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DataCaptureConfig"}],
            }
        if self._endpoint == "prod" and is_guarded:
            alarms.make(self.aws, prod.alarms, self.name)
            alarms.require_quiet(self.aws, prod.alarms, self.name, self.pause)
            request["DeploymentConfig"] = guarded(prod, alarms.names(prod.alarms, self.name))
        asked = (target.name, time.time())
        self.aws.call("sagemaker", "update_endpoint", **request)
        self._asked = asked

    def _make(self, target: Made) -> None:
        for release in target.releases:
            bring(release, self._bucket, prefix=self._on.prefix)
        models = [("create_model", model) for model in target.models]
        for operation, request in (*models, ("create_endpoint_config", target.config)):
            with suppress(Exists):
                self.aws.call("sagemaker", operation, **request)

    def _keep_scaled(self) -> None:
        if self._endpoint == "prod" and self._on.prod.autoscaling is not None:
            assert_scaling(self.aws, self._on.prod.autoscaling, self.name)

    def pause(self) -> None:
        if self._wait(LOOK_EVERY_S):
            raise KeyboardInterrupt
