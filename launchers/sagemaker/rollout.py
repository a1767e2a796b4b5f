"""Takes an approved release to production on SageMaker: the same phases and decisions as on this machine.

The service itself moves production, step by step, and goes back at an alarm. Here the alarms are looked at first, and what
is live afterwards is compared with what was asked for: a release is champion only then.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from math import ceil

from earthsnap_train.errors import EarthsnapError, EnvironmentProblem
from earthsnap_train.release.deployments import Deployments, Rollout, Wanted
from earthsnap_train.release.endpoint import Observed, Served
from earthsnap_train.release.golden import named, read_golden
from earthsnap_train.release.registry import Registry
from earthsnap_train.release.rollout import PATIENCE, Action, judge
from earthsnap_train.release.transport import NoAnswer, Transport
from earthsnap_train.spec.deployment import EndpointName, SageMaker
from earthsnap_train.spec.deployment_sagemaker import Shadow
from earthsnap_train.spec.rollout import Step
from earthsnap_train.spec.serving import Serving
from launchers.rollout import Arrived, Driver
from launchers.sagemaker.aws import Aws, Boto
from launchers.sagemaker.bucket import Bucket, S3Bucket
from launchers.sagemaker.endpoint import LOOK_EVERY_S, SageMakerEndpoint
from launchers.sagemaker.hosting import SHADOW, VARIANT
from launchers.sagemaker.invocations import InvokeTransport, ask
from launchers.sagemaker.measured import measured

LOAD_WITHIN_S = 3600.0  # instances are found, and load what they serve
PHOTOGRAPH = "application/octet-stream"


def endpoints(
    on: SageMaker, serving: Serving, registry: Registry, family: str, wait: Callable[[float], bool],
    *, aws: Aws | None = None, bucket: Bucket | None = None,
) -> dict[EndpointName, SageMakerEndpoint]:  # fmt: skip
    """``wait``: as ``Event.wait``, True where this process is about to end. ``aws``, ``bucket``: None for AWS itself."""
    aws = aws or Boto(on.region)
    bucket = bucket or S3Bucket(on.bucket, kms_key=on.kms_key, region=on.region)
    names: tuple[EndpointName, ...] = ("stage", "prod")
    return {
        name: SageMakerEndpoint(
            family, name, on=on, serving=serving, aws=aws, bucket=bucket, release=registry.get, wait=wait,
            wanted=partial(Deployments(registry.ledger).wanted, family, name),
        )
        for name in names
    }  # fmt: skip


class HostedDriver(Driver):
    """Both endpoints are ``SageMakerEndpoint``s."""

    load_within_s = LOAD_WITHIN_S
    _moved = False  # production, by this process
    stage: SageMakerEndpoint
    prod: SageMakerEndpoint

    @property
    def _on(self) -> SageMaker:
        assert isinstance(self.deployment, SageMaker)
        return self.deployment

    def _transport(self) -> Transport:
        return InvokeTransport(self.stage.aws, self.stage.name)

    def _keeps_standby(self) -> bool:
        return False  # the old instances end; a rollback starts them again

    def _pause(self) -> None:
        self._maybe_stop()
        self.prod.pause()

    def _canary(self, rollout: Rollout, action: Action) -> None:
        """All steps at once, for the service takes them by itself."""
        prod = self._on.prod
        champion = f"{self.family}-{self.deployments.champion(self.family)}"
        shares = ", ".join(f"{100 * step.share:g} %" for step in prod.steps)
        about = {"share": prod.steps[0].share, "bake_s": prod.steps[0].bake_s, "of": len(prod.steps)}
        if rollout.phase == "canary":
            self.prod.was_asked(rollout.since)
        else:
            if prod.shadow is not None:
                self._shadow(rollout, prod.shadow, champion)
            wish = Wanted(stable=champion, canary=self.name, share=prod.steps[0].share)
            rollout = self.deployments.advance(rollout, "promoted", prod=wish, origin=self.origin)
            self.follower.line(f"alarms are looked at, then production moves: {shares}, all")
            self._ask()
            # Only from here on is a config that is not live one that the service took back.
            rollout = self.deployments.advance(rollout, "canary", said="canary", origin=self.origin, figures=about)
        self._until_there(rollout, "production went back")
        self.figures = {**about, "passed": True}
        self.deployments.advance(
            rollout, "canary", len(prod.steps), said="canary", origin=self.origin, figures=self.figures
        )

    def _ask(self) -> None:
        self.prod.ensure()
        self._moved = True

    def _until_there(self, rollout: Rollout, what: str) -> None:
        """Until what is wanted of production is live. Sent back where the service gave up or went back."""
        waited_s = 0.0
        while True:
            seen = self.prod.observe()
            self._goes_on(rollout)
            served = seen.releases.get(self.name)  # None where somebody took it back just now
            if served is not None and served.state == "failed":
                self._fail(rollout, f"{what}: {served.reason}", {"passed": False}, outcome="rolled back")
            if served is not None and seen.ready:
                return
            if waited_s > self._on.prod.max_update_s + self.load_within_s:
                raise self._not_loaded("prod", seen)
            self._pause()
            waited_s += LOOK_EVERY_S

    def _shadow(self, rollout: Rollout, shadow: Shadow, champion: str) -> None:
        """It answers a share of production's requests too, unseen, beside the champion; judged as a canary is.

        The answers of a shadow come back to nobody. So agreement is that of golden photographs, sent to both endpoints;
        errors and latency are of users' own requests, as CloudWatch counted them.
        """
        wish = Wanted(stable=champion, canary=self.name, share=0.0)
        rollout = self.deployments.advance(rollout, "promoted", prod=wish, origin=self.origin)
        self.follower.line(
            f"{self.name} answers unseen, {100 * shadow.share:g} % of the requests for {shadow.duration_s} s"
        )
        self._ask()
        self._until_there(rollout, "it does not start beside the champion")
        compared, agreed = self._compare()
        step = Step(share=min(shadow.share, 0.99), bake_s=shadow.duration_s)
        begun = datetime.now(UTC)
        elapsed_s = 0.0
        while True:
            self._goes_on(rollout)
            self._pause()
            elapsed_s += LOOK_EVERY_S
            now = datetime.now(UTC)
            new, old = (
                measured(self.prod.aws, self.prod.name, variant, name, begun=begun, ended=now)
                for variant, name in ((SHADOW, self.name), (VARIANT, champion))
            )
            new = new.model_copy(update={"compared": compared, "agreed": agreed})
            verdict = judge(self._beside(wish, champion, new, old), shadow, elapsed_s=elapsed_s, step=step)
            figures = {**verdict.figures, "shadow": True}
            if verdict.decision == "breach":
                self._fail(rollout, "; ".join(verdict.reasons), figures, outcome="rolled back")
            if verdict.decision == "passed":
                self.deployments.advance(
                    rollout, "promoted", said="canary", origin=self.origin, figures={"passed": True, **figures}
                )
                return
            if elapsed_s > PATIENCE * shadow.duration_s:
                why = (
                    "; ".join(verdict.doubts) or f"{new.requests} requests of {shadow.min_requests} that are asked for"
                )
                self._fail(rollout, f"unseen for {elapsed_s:.0f} s: {why}", figures, outcome="rolled back")

    def _beside(self, wish: Wanted, champion: str, new: Served, old: Served) -> Observed:
        return Observed(
            family=self.family, endpoint="prod", revision=wish.revision, stable=champion, canary=self.name, share=0.0,
            standby=None, ready=True, releases={self.name: new, champion: old},
        )  # fmt: skip

    def _compare(self) -> tuple[int, int]:
        """(golden photographs that both endpoints answered, those that both named alike)."""
        compared = agreed = 0
        for photograph in read_golden(self.release.path, self.precision):
            self._maybe_stop()
            try:
                replies = [ask(at.aws, at.name, photograph.data, PHOTOGRAPH) for at in (self.stage, self.prod)]
            except NoAnswer:
                continue
            if all(reply.status == 200 for reply in replies):
                compared += 1
                agreed += named(replies[0].json) == named(replies[1].json)
        return compared, agreed

    def _serve(self) -> None:
        wish = self._wish("prod")
        if wish.stable == self.name and wish.canary is not None:
            return  # another release's update is under way, and is for its own driver to end
        follow(self.prod)

    # ---- ends

    def drive(self) -> Arrived:
        try:
            return super().drive()
        except EarthsnapError:
            rollout = self.deployments.under_way(self.family)
            if self._moved and (rollout is None or rollout.release != self.name):
                # It is over, and what this process asked for last is wanted no more.
                with suppress(EnvironmentProblem):
                    self.prod.ensure()
            raise

    def left_alone(self) -> str:
        rollout = self.deployments.under_way(self.family)
        if rollout is None or rollout.release != self.name or rollout.phase != "canary":
            return super().left_alone()
        return (
            f"SageMaker goes on with its update to {self.name}, under its alarms; earthsnap rollout release={self.name} "
            f"sees how it ends, earthsnap rollback release={self.name} calls it back"
        )

    def _not_loaded(self, name: EndpointName, seen: Observed | None) -> EnvironmentProblem:
        return _too_slow(self.stage if name == "stage" else self.prod)


def follow(endpoint: SageMakerEndpoint) -> None:
    """Brings an endpoint to what is wanted of it, at once, and returns once that is live.

    Raises EnvironmentProblem where the service does not take it.
    """
    endpoint.ensure()
    for _ in range(ceil(LOAD_WITHIN_S / LOOK_EVERY_S)):
        seen = endpoint.observe()
        if seen.ready:
            return endpoint.ensure()  # and its scaling
        failed = [f"{name}: {one.reason}" for name, one in seen.releases.items() if one.state == "failed"]
        if failed:
            raise EnvironmentProblem(
                f"the endpoint {endpoint.name} does not come to what is wanted of it: {failed[0]}",
                where="deployment.prod",
                remedy="once the cause is mended: earthsnap rollout release=NAME, of the release that is live",
            )
        endpoint.pause()
    raise _too_slow(endpoint)


def _too_slow(endpoint: SageMakerEndpoint) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the endpoint {endpoint.name} has not come to what is wanted of it within {LOAD_WITHIN_S:g} s",
        where="deployment",
        remedy="look at it and its logs in SageMaker's console, then the same command again",
    )
