"""What a rollout does next, and whether a canary may go on. Decisions alone: no network, no file, no clock.

A canary is compared with the champion in the same window of time, by shares of requests that carry bounds (``evidence``).
It is sent back when its lower bound lies beyond the champion's upper bound by more than is allowed: never for chance,
however often one looks. A step has seven bounds in play, each of them wrong once in 10,000 rollouts at most, so that a
healthy release is sent back in less than 0.15 % of rollouts in two steps. In 5000 simulated ones none was, with bursts,
series of one plant, hiccups of the machine, rare errors and a canary that starts cold (``tests/release/test_rollout.py``;
no more than 0.06 %, then, at 95 %). A canary whose every answer is an error went after 13 of its requests at most, one
that is ten times slower after 68, one that names other species after 21.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import erfc, log, sqrt
from typing import Literal

from earthsnap_train.errors import ConfigError
from earthsnap_train.release.catalogue import State
from earthsnap_train.release.deployments import Rollout
from earthsnap_train.release.endpoint import Latency, Observed, Served
from earthsnap_train.release.evidence import at_least, at_most
from earthsnap_train.release.ledger import Entry
from earthsnap_train.spec.rollout import Limits, Step

PATIENCE = 4

Do = Literal["serve", "begin", "test", "wait", "canary", "go live"]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that the next action depends on. ``under_way``: the family's; ``beside``: what a canary is compared with."""

    release: str
    state: State
    champion: str | None
    under_way: Rollout | None
    beside: str | None
    confirm: Literal["auto", "person"]
    num_steps: int


@dataclass(frozen=True, kw_only=True)
class Action:
    """``serve``: it is live, see that it is served; ``canary``: ``step`` counted from 0."""

    do: Do
    step: int = 0


def next_action(now: Situation) -> Action:
    """stage -> tests -> [a person] -> canary steps -> live; a first release has no champion to be a canary beside.

    Raises ConfigError where the release is not approved, or another of its family is on its way.
    """
    rollout = now.under_way
    if now.state != "Approved":
        raise ConfigError(
            f"{now.release} is {'rejected' if now.state == 'Rejected' else 'not approved'}",
            where="release",
            allowed="an approved release",
            remedy=f"earthsnap approve release={now.release}" + (" anyway=true" if now.state == "Rejected" else ""),
        )
    if now.champion == now.release:
        return Action(do="serve")
    if rollout is None:
        return Action(do="begin")
    if rollout.release != now.release:
        raise ConfigError(
            f"{rollout.release} is on its way to production (phase {rollout.phase})",
            where="release",
            allowed="one rollout of a family at a time",
            remedy=f"earthsnap rollout release={rollout.release} goes on with it, "
            f"earthsnap rollback release={rollout.release} undoes it",
        )
    if rollout.phase == "stage":
        return Action(do="test")
    if rollout.phase == "waiting" and now.confirm == "person":
        return Action(do="wait")
    if now.champion is None:
        return Action(do="go live")
    # What was measured beside another champion says nothing.
    behind = rollout.step if rollout.phase == "canary" and now.beside == now.champion else 0
    return Action(do="canary", step=behind) if behind < now.num_steps else Action(do="go live")


def due(
    log: Sequence[Entry], approved: Collection[str], champion: str | None, under_way: Rollout | None, *, left_over: bool
) -> str | None:
    """The release of a family that should be driven without anybody asking, by the family's ``log``.

    What a person promoted goes on; ``left_over``: so does what was killed half way. Else the newest approval that stands, and
    that no rollout began after: each that begins has been chosen among all that were approved before it. So lines may be seen
    late or again, and nothing happens twice.
    """
    if under_way is not None:
        goes_on = under_way.phase == "promoted" or (left_over and under_way.phase != "waiting")
        return under_way.release if goes_on else None
    unseen: list[str] = []
    for entry in log:
        if entry.action == "staged":
            unseen = []
        elif entry.action == "approved":
            unseen.append(entry.release)
    newest = next((release for release in reversed(unseen) if release in approved), None)
    return newest if newest != champion else None


def asked_for(
    release: str, log: Sequence[Entry], approved: Collection[str], champion: str | None, under_way: Rollout | None
) -> bool:
    """Whether a message that this release was approved still asks for anything: such messages come late, and again.

    Not where a rollout began after its approval and ended, and not where a later approval is due.
    """
    return release == champion or due(log, approved, champion, under_way, left_over=True) == release


# ---- the canary


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``reasons`` of a breach and ``doubts`` that keep a step from being passed, in words and figures.

    ``figures``: of any verdict, for the log and for whoever looks on.
    """

    decision: Literal["go on", "passed", "breach"]
    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    figures: Mapping[str, object] = field(default_factory=dict)


def judge(seen: Observed, canary: Limits, *, elapsed_s: float, step: Step, wrong: str | None = None) -> Verdict:
    """``elapsed_s``: since the step's window opened; ``wrong``: a golden photograph to which the canary gave another answer.

    A step is passed only while everything that is wanted of the endpoint is loaded. A figure that is over its limit, but not
    surely so, has it watched on, up to ``PATIENCE`` times as many requests: by then what is gross is sure.
    """
    new = seen.releases.get(seen.canary) if seen.canary is not None else None
    old = seen.releases.get(seen.stable) if seen.stable is not None else None
    figures: dict[str, object] = {"share": step.share, "elapsed_s": round(elapsed_s, 1)}
    for name, side in (("canary", new), ("champion", old)):
        if side is not None:
            figures[name] = _figures(side)
    if new is not None and new.state == "failed":
        return Verdict(decision="breach", reasons=(f"it does not start: {new.reason}",), figures=figures)
    if wrong is not None:
        return Verdict(decision="breach", reasons=(wrong,), figures=figures)
    if new is None or old is None:
        return Verdict(decision="go on", figures=figures)
    rules = (_errors(new, old, canary), _slow(new, old, canary), _unsure(new, old, canary), _disagrees(new, canary))
    over = [one for one in rules if one is not None]
    reasons = tuple(one.what for one in over if one.surely)
    if reasons:
        return Verdict(decision="breach", reasons=reasons, figures=figures)
    doubts = tuple(one.what for one in over)
    enough = canary.min_requests * (PATIENCE if doubts else 1)
    passed = seen.ready and elapsed_s >= step.bake_s and new.requests >= enough
    return Verdict(decision="passed" if passed else "go on", doubts=doubts, figures=figures)


@dataclass(frozen=True, kw_only=True)
class _Over:
    """A figure beyond what is allowed. ``surely``: not by chance."""

    what: str
    surely: bool


def _more(hits: int, number: int, beside: int, beside_number: int, margin: float) -> bool:
    return number > 0 and beside_number > 0 and hits / number > beside / beside_number + margin


def _surely_more(hits: int, number: int, beside: int, beside_number: int, margin: float) -> bool:
    return at_least(hits, number) > at_most(beside, beside_number) + margin


def _errors(new: Served, old: Served, canary: Limits) -> _Over | None:
    counted = (new.errors, new.requests, old.errors, old.requests, canary.max_more_errors)
    if not _more(*counted):
        return None
    what = (
        f"errors: {_of(new.errors, new.requests)} requests, the champion's {_of(old.errors, old.requests)}; "
        f"{_percent(canary.max_more_errors)} more are allowed"
    )
    return _Over(what=what, surely=_surely_more(*counted))


def _unsure(new: Served, old: Served, canary: Limits) -> _Over | None:
    answered, answered_old = new.requests - new.errors, old.requests - old.errors
    counted = (new.unsure, answered, old.unsure, answered_old, canary.max_more_unsure)
    if not _more(*counted):
        return None
    what = (
        f"unsure: {_of(new.unsure, answered)} answers, the champion's {_of(old.unsure, answered_old)}; "
        f"{_percent(canary.max_more_unsure)} more are allowed"
    )
    return _Over(what=what, surely=_surely_more(*counted))


def _slow(new: Served, old: Served, canary: Limits) -> _Over | None:
    """Surely where more of the canary's answers are over ``max_latency_ratio`` times the champion's p95 than of the champion's
    over that p95: then it is slower by more than that ratio, whatever shape their times have."""
    if new.latency_ms is None or old.latency_ms is None:
        return None
    limit_ms = canary.max_latency_ratio * old.latency_ms.p95
    if new.latency_ms.p95 <= limit_ms:
        return None
    slower = int(share_above(new.latency_ms, limit_ms) * new.requests)
    what = (
        f"slow: a p95 of {new.latency_ms.p95:.0f} ms in {new.requests} requests, the champion's {old.latency_ms.p95:.0f} ms; "
        f"{canary.max_latency_ratio:g} times that is allowed"
    )
    return _Over(what=what, surely=_surely_more(slower, new.requests, -(-old.requests // 20), old.requests, 0.0))


def _disagrees(new: Served, canary: Limits) -> _Over | None:
    if new.agreed >= canary.min_agreement * new.compared:
        return None
    what = (
        f"agreement: the champion's answer to {_of(new.agreed, new.compared)} photographs that both saw; "
        f"{_percent(canary.min_agreement)} is asked for"
    )
    return _Over(what=what, surely=at_least(new.compared - new.agreed, new.compared) > 1 - canary.min_agreement)


def share_above(latency_ms: Latency, limit_ms: float) -> float:
    """Share of requests over a limit, log-normal between the percentiles; never more than a half, none beyond the p99."""
    known = ((0.0, latency_ms.p50), (1.6449, latency_ms.p95), (2.3263, latency_ms.p99))  # normal scores
    if limit_ms >= latency_ms.p99:
        return 0.0
    if limit_ms < latency_ms.p50:
        return 0.5
    for (score, low), (score_above, high) in pairwise(known):
        if low <= limit_ms < high:
            score += (score_above - score) * log(limit_ms / low) / log(high / low) if low > 0 else 0.0
            return 0.5 * erfc(score / sqrt(2))
    raise AssertionError(latency_ms)


def _figures(side: Served) -> dict[str, object]:
    latency = {} if side.latency_ms is None else {f"{name}_ms": ms for name, ms in side.latency_ms.model_dump().items()}
    return side.model_dump(include={"requests", "errors", "unsure", "compared", "agreed", "memory_mb"}) | latency


def _of(count: int, number: int) -> str:
    return f"{count} of {number}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
