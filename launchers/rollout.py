"""Takes an approved release to production on this machine: makes true what ``release.rollout`` decides.

Everything that matters is in the ledger, so this process may be killed at any moment: the next call goes on, and meanwhile
the champion answers, for a canary gets traffic only while somebody watches it.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, NoReturn

from earthsnap_train.errors import ConfigError, EnvironmentProblem, StageError
from earthsnap_train.release.deployments import Deployments, Rollout, Wanted
from earthsnap_train.release.endpoint import Endpoint, Observed
from earthsnap_train.release.golden import read_golden
from earthsnap_train.release.locks import Held, Locks
from earthsnap_train.release.registry import Registry
from earthsnap_train.release.rollout import PATIENCE, Action, Situation, Verdict, judge, next_action
from earthsnap_train.release.stage_tests import Check, run_tests
from earthsnap_train.release.transport import HttpTransport, Transport
from earthsnap_train.serving.runtimes import Precision
from earthsnap_train.spec.deployment import Deployment, EndpointName, ProdEndpoint, local
from launchers.loading import LOAD_WITHIN_S, is_up, not_loaded, observe_or_start
from launchers.probes import Probes
from launchers.rollout_progress import Follower, Watched

LOOK_EVERY_S = 0.1
WATCH_EVERY_S = 1.0
WATCHED_AHEAD_S = 3.0
MOST_TEST_RUNS = 3  # where the endpoint died in the middle of them
LOCK_TIMEOUT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """Where a rollout is when nothing is left to do for now. ``now``: this call did it; ``url``: where to look at it."""

    release: str
    at: Literal["live", "waiting"]
    now: bool
    url: str


class DrivenElsewhere(ConfigError):
    """Another process takes a release of this family to production just now."""


def roll_out(
    name: str,
    registry: Registry,
    deployment: Deployment,
    endpoints: Mapping[EndpointName, Endpoint],
    follower: Follower,
    *,
    precision: Precision,
    origin: str,
    stop: threading.Event | None = None,
    kind: "type[Driver] | None" = None,
) -> Arrived:
    """Goes on from wherever the rollout of this release is. ``stop``: leaves it where it is, by KeyboardInterrupt.

    ``precision``: in which the endpoints compute. ``kind``: of driver; None: that of endpoints of this machine.

    Raises ConfigError where it may not go on, DrivenElsewhere while another process drives one of this family, StageError
    when the release fails and is sent back, EnvironmentProblem where an endpoint cannot be brought up.
    """
    family = registry.get(name).family
    with _only_driver(registry.locks, family):
        driver = (kind or Driver)(
            name, registry, deployment, endpoints, follower, precision, origin, stop or threading.Event()
        )
        try:
            return driver.drive()
        except KeyboardInterrupt:
            follower.line(driver.left_alone())
            raise


@contextmanager
def _only_driver(locks: Locks, family: str) -> Iterator[None]:
    held = ExitStack()
    try:
        held.enter_context(locks.hold(f"{family}/rollout.lock", timeout_s=LOCK_TIMEOUT_S))
    except Held:
        raise DrivenElsewhere(
            f"another process is rolling out a release of {family}",
            where="release",
            remedy="earthsnap status shows how far it is",
        ) from None
    with held:
        yield


class Driver:
    """Makes true what ``next_action`` says, until nothing is left to do. Other places than this machine override how."""

    load_within_s = LOAD_WITHIN_S

    def __init__(
        self, name: str, registry: Registry, deployment: Deployment, endpoints: Mapping[EndpointName, Endpoint],
        follower: Follower, precision: Precision, origin: str, stop: threading.Event,
    ) -> None:  # fmt: skip
        self.name, self.registry, self.deployment = name, registry, deployment
        self.stage, self.prod = endpoints["stage"], endpoints["prod"]
        self.follower, self.origin, self.stop = follower, origin, stop
        self.precision = precision
        self.deployments = Deployments(registry.ledger)
        self.release = registry.get(name)
        self.family = self.release.family
        self.went_live = False
        self.figures: Mapping[str, object] = {}  # of the last step that was passed

    def drive(self) -> Arrived:
        while True:
            action = next_action(self._situation())
            match action.do:
                case "begin":
                    self.deployments.begin(self.family, self.release.number, origin=self.origin)
                case "test":
                    self._test(self._rollout())
                case "wait":
                    self._load_in_stage(self._rollout())
                    return Arrived(release=self.name, at="waiting", now=True, url=self.stage.url)
                case "canary":
                    self._canary(self._rollout(), action)
                case "go live":
                    self._go_live(self._rollout())
                case "serve":
                    self._serve()
                    return Arrived(release=self.name, at="live", now=self.went_live, url=self.prod.url)

    def left_alone(self) -> str:
        rollout = self.deployments.under_way(self.family)
        if rollout is None or rollout.release != self.name:
            return f"{self.name} is live" if self.went_live else f"nothing is under way for {self.name}"
        canary = "; its canary is not watched any more and gets no traffic" if rollout.phase == "canary" else ""
        return (
            f"{self.name} is half way{canary}; earthsnap rollout release={self.name} goes on, "
            f"earthsnap rollback release={self.name} undoes it"
        )

    def _situation(self) -> Situation:
        self.release = self.registry.get(self.name)
        champion = self.deployments.champion(self.family)
        wanted = self.deployments.wanted(self.family, "prod")
        return Situation(
            release=self.name,
            state=self.release.state,
            champion=None if champion is None else f"{self.family}-{champion}",
            under_way=self.deployments.under_way(self.family),
            beside=wanted.stable if wanted is not None else None,
            confirm=self.deployment.prod.confirm,
            num_steps=len(self.deployment.prod.steps),
        )

    def _rollout(self) -> Rollout:
        rollout = self.deployments.under_way(self.family)
        if rollout is None or rollout.release != self.name:
            self._over()
        return rollout

    # ---- stage

    def _load_in_stage(self, rollout: Rollout) -> None:
        wish = self.deployments.wanted(self.family, "stage")
        if wish is None or wish.releases != (self.name,):
            self.deployments.want(self.family, "stage", Wanted(stable=self.name))
        self.follower.line(f"{self.name} is being loaded in stage, at {self.stage.url}")
        self._until_loaded("stage", rollout)

    def _test(self, rollout: Rollout) -> None:
        tests = self.deployment.stage.tests
        checks: list[Check] = []
        for _ in range(MOST_TEST_RUNS):
            self._load_in_stage(rollout)
            checks = run_tests(self._transport(), self.release, tests, self.precision, partial(self._heard, rollout))
            if all(check.passed for check in checks) or is_up(self.stage):
                break
            self.follower.line("the stage endpoint ended meanwhile; the tests begin anew")
        figures = {check.name: {"passed": check.passed, "said": check.said, **check.figures} for check in checks}
        failed = [check for check in checks if not check.passed]
        if failed:
            why = "; ".join(f"{check.name}: {check.said}" for check in failed)
            self._fail(rollout, f"it failed its tests in stage: {why}", figures, outcome="failed")
        rollout = self.deployments.advance(rollout, "stage", said="tests passed", origin=self.origin, figures=figures)
        if self.deployment.prod.confirm == "person":
            self.deployments.advance(rollout, "waiting", said="waiting", origin=self.origin)
        else:
            self.deployments.advance(rollout, "promoted", origin=self.origin)

    def _transport(self) -> Transport:
        return HttpTransport(self.stage.url, self.name)

    def _heard(self, rollout: Rollout, check: Check) -> None:
        self.follower.line(f"{check.name}: {check.said}", good=check.passed)
        self._goes_on(rollout)

    # ---- production

    @property
    def _prod(self) -> ProdEndpoint:
        return local(self.deployment).prod

    def _keeps_standby(self) -> bool:
        return self._prod.standby

    def _canary(self, rollout: Rollout, action: Action) -> None:
        """One step: watched until it is passed; sent back at the first breach."""
        prod, number = self._prod, action.step
        step = prod.steps[number]
        champion = f"{self.family}-{self.deployments.champion(self.family)}"
        before = self.deployments.wanted(self.family, "prod")
        self.prod.ensure()
        about = {"step": number + 1, "of": len(prod.steps), "share": step.share, "bake_s": step.bake_s}
        wish = Wanted(
            stable=champion, canary=self.name, share=step.share, watched_until=time.time() + WATCHED_AHEAD_S,
            standby=before.standby if before is not None and before.standby not in (champion, self.name) else None,
        )  # fmt: skip
        rollout = self.deployments.advance(
            rollout, "canary", number, prod=wish, said="canary", origin=self.origin, figures=about
        )
        self.follower.line(
            f"canary: step {number + 1} of {len(prod.steps)}, {100 * step.share:g} % of the requests for {step.bake_s:g} s"
        )
        golden = read_golden(self.release.path, self.precision)
        with Probes(self.prod.url, canary=self.name, stable=champion, golden=golden) as probes:
            verdict = self._watch(rollout, action, probes)
        figures = {**about, **verdict.figures, "golden photographs": probes.num}
        if verdict.decision == "breach":
            self._fail(rollout, "; ".join(verdict.reasons), figures, outcome="rolled back")
        self.figures = figures
        self.deployments.advance(
            rollout, "canary", number + 1, said="canary", origin=self.origin, figures={"passed": True, **figures}
        )

    def _watch(self, rollout: Rollout, action: Action, probes: Probes) -> Verdict:
        prod, step = self._prod, self._prod.steps[action.step]
        wish = self._wish("prod")
        begun = watched = time.monotonic()
        opened: float | None = None
        while True:
            now = time.monotonic()
            if now - watched >= WATCH_EVERY_S:
                self.deployments.still_watched(self.family, wish.revision, time.time() + WATCHED_AHEAD_S)
                watched = now
            self._goes_on(rollout)
            try:
                seen = self.prod.observe()
            except EnvironmentProblem:
                self.follower.line("the endpoint does not answer; it is started again, and the step begins anew")
                self.prod.ensure()
                begun, opened = time.monotonic(), None
                continue
            if seen.revision == wish.revision:
                if seen.ready and opened is None:
                    opened = now
                elapsed_s = now - opened if opened is not None else 0.0
                verdict = judge(seen, prod.canary, elapsed_s=elapsed_s, step=step, wrong=probes.wrong)
                if verdict.decision != "go on":
                    return verdict
                if opened is not None:
                    self._probe(probes, seen, elapsed_s, step.bake_s)
                self.follower.watching(
                    Watched(step=action.step + 1, num_steps=len(prod.steps), share=step.share,
                            left_s=None if opened is None else max(0.0, step.bake_s - elapsed_s), verdict=verdict)
                )  # fmt: skip
            if opened is None and now - begun > self.load_within_s:
                raise self._not_loaded("prod", seen)
            self._pause()

    def _probe(self, probes: Probes, seen: Observed, elapsed_s: float, bake_s: float) -> None:
        """Once a second, and more often where users alone would not make it by the end, or not settle a doubt after it."""
        assert seen.canary is not None
        due = self._prod.canary.min_requests
        if elapsed_s < bake_s:
            due = min(due, int(due * (elapsed_s + 1) / bake_s))
        elif seen.releases[seen.canary].requests >= due:
            due *= PATIENCE
        probes.send(max(due - seen.releases[seen.canary].requests, int(elapsed_s) + 1 - probes.num, 0))

    def _go_live(self, rollout: Rollout) -> None:
        if self.deployments.champion(self.family) is None:
            # Nothing answers yet, so nothing is risked; it is the champion only once it does.
            rollout = self.deployments.advance(
                rollout, "canary", rollout.step, prod=Wanted(stable=self.name), origin=self.origin
            )
            self._until_loaded("prod", rollout)
        self.deployments.go_live(rollout, standby=self._keeps_standby(), origin=self.origin, figures=self.figures)
        self.went_live = True

    def _serve(self) -> None:
        """It is the champion: it must answer, too."""
        begun = time.monotonic()
        self.prod.ensure()
        while (seen := observe_or_start(self.prod)) is None or seen.stable != self.name:
            if time.monotonic() - begun > self.load_within_s:
                raise self._not_loaded("prod", seen)
            if self.deployments.champion(self.family) != self.release.number:
                raise ConfigError(f"{self.name} was taken back meanwhile", where="release", remedy="earthsnap history")
            self._pause()

    # ---- looking

    def _until_loaded(self, name: EndpointName, rollout: Rollout) -> None:
        """Until the endpoint does what is wanted of it. A release that does not start fails."""
        endpoint = self.stage if name == "stage" else self.prod
        endpoint.ensure()
        wish, begun = self._wish(name), time.monotonic()
        while (seen := observe_or_start(endpoint)) is None or seen.revision < wish.revision or not seen.ready:
            own = seen.releases.get(self.name) if seen is not None and seen.revision >= wish.revision else None
            if own is not None and own.state == "failed":
                self._fail(rollout, f"it does not start: {own.reason}", {}, outcome="failed")
            if time.monotonic() - begun > self.load_within_s:
                raise self._not_loaded(name, seen)
            self._goes_on(rollout)
            self._pause()

    def _wish(self, name: EndpointName) -> Wanted:
        wish = self.deployments.wanted(self.family, name)
        if wish is None:
            self._over()
        return wish

    def _goes_on(self, rollout: Rollout) -> None:
        """Raises where somebody ended the rollout, here or in the catalogue, or who drives it."""
        self._maybe_stop()
        self.registry.hear(self.family)
        now = self.deployments.under_way(self.family)
        if now is None or now.id != rollout.id:
            self._over()

    def _maybe_stop(self) -> None:
        if self.stop.is_set():
            raise KeyboardInterrupt

    def _pause(self) -> None:
        self._maybe_stop()
        self.stop.wait(LOOK_EVERY_S)

    # ---- ends

    def _not_loaded(self, name: EndpointName, seen: Observed | None) -> EnvironmentProblem:
        return not_loaded(self.registry.root, self.family, name, seen)

    def _fail(
        self, rollout: Rollout, why: str, figures: Mapping[str, object], *, outcome: Literal["failed", "rolled back"]
    ) -> NoReturn:
        self.deployments.fail(rollout, why, origin=self.origin, figures=figures, outcome=outcome)
        champion = self.deployments.champion(self.family)
        answers = f"{self.family}-{champion} answers all of production" if champion is not None else "nothing is live"
        raise StageError(
            f"{self.name} {'was sent back' if outcome == 'rolled back' else 'does not go live'}: {why}",
            where="stage" if outcome == "failed" else "canary",
            allowed=f"{answers}, as before",
            remedy=f"earthsnap history release={self.name} has the figures; once the cause is mended, the same command again",
        )

    def _over(self) -> NoReturn:
        last = [one for one in self.deployments.rollouts(self.family) if one.release == self.name][-1:]
        how = f"{last[0].outcome}" + (f": {last[0].why}" if last[0].why else "") if last else "it never began"
        raise ConfigError(
            f"the rollout of {self.name} was ended meanwhile ({how})",
            where="release",
            remedy=f"earthsnap history release={self.name} tells who did that",
        )
