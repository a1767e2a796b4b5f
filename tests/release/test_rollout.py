"""What a rollout does next, for every situation; and canaries that are bad, healthy, or somewhere between."""

import itertools
import random
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earthsnap_train.errors import ConfigError
from earthsnap_train.release.deployments import Phase, Rollout
from earthsnap_train.release.endpoint import Latency, Observed, Served
from earthsnap_train.release.evidence import ALPHA, at_least, at_most
from earthsnap_train.release.rollout import Action, Situation, Verdict, judge, next_action, share_above
from earthsnap_train.spec.deployment import Canary
from earthsnap_train.spec.rollout import Step

CANARY = Canary(
    min_requests=50,
    max_more_errors=0.01,
    max_latency_ratio=1.5,
    max_more_unsure=0.1,
    min_agreement=0.8,
    shadow_share=0.2,
)
STEP = Step(share=0.1, bake_s=10)


# ---- what comes next


def under_way(phase: Phase, step: int = 0, number: int = 7) -> Rollout:
    return Rollout(
        id=1, family="plants", number=number, phase=phase, step=step, started=0, since=0, outcome=None, why=""
    )


def now(**changes: Any) -> Situation:
    usual = Situation(
        release="plants-7",
        state="Approved",
        champion="plants-6",
        under_way=None,
        beside="plants-6",
        confirm="auto",
        num_steps=2,
    )
    return Situation(**(vars(usual) | changes))


@pytest.mark.parametrize(
    ("situation", "action"),
    [
        (now(), Action(do="begin")),
        (now(champion=None, beside=None), Action(do="begin")),
        (now(champion="plants-7"), Action(do="serve")),
        (now(under_way=under_way("stage")), Action(do="test")),
        (now(under_way=under_way("stage"), confirm="person"), Action(do="test")),
        (now(under_way=under_way("waiting"), confirm="person"), Action(do="wait")),
        (now(under_way=under_way("waiting"), confirm="auto"), Action(do="canary", step=0)),
        (now(under_way=under_way("promoted"), confirm="person"), Action(do="canary", step=0)),
        (now(under_way=under_way("promoted"), champion=None, beside=None), Action(do="go live")),
        (now(under_way=under_way("promoted"), num_steps=0), Action(do="go live")),
        (now(under_way=under_way("canary", 0)), Action(do="canary", step=0)),
        (now(under_way=under_way("canary", 1)), Action(do="canary", step=1)),
        (now(under_way=under_way("canary", 2)), Action(do="go live")),
        (now(under_way=under_way("canary", 3)), Action(do="go live")),
        (now(under_way=under_way("canary", 1), beside="plants-5"), Action(do="canary", step=0)),
        (now(under_way=under_way("canary", 2), beside="plants-5"), Action(do="canary", step=0)),
        (now(under_way=under_way("canary", 0), champion=None, beside="plants-7"), Action(do="go live")),
    ],
)  # fmt: skip
def test_what_comes_next(situation: Situation, action: Action) -> None:
    assert next_action(situation) == action


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("PendingApproval", "earthsnap approve release=plants-7$"),
        ("Rejected", "earthsnap approve release=plants-7 anyway=true"),
    ],
)
def test_what_is_not_approved_goes_nowhere(state: Any, remedy: str) -> None:
    for rollout in (None, under_way("canary", 1)):
        with pytest.raises(ConfigError, match=remedy):
            next_action(now(state=state, under_way=rollout))


def test_a_second_release_waits_until_the_first_has_arrived() -> None:
    with pytest.raises(ConfigError, match="plants-5 is on its way to production \\(phase canary\\)"):
        next_action(now(under_way=under_way("canary", number=5)))


def test_whatever_is_true_there_is_one_next_action_and_the_champion_is_never_a_canary() -> None:
    names = ("plants-6", "plants-7", None)
    phases = [None, *(under_way(phase, step) for phase in get_args(Phase) for step in range(4))]
    for champion, beside, rollout, confirm, num_steps in itertools.product(
        names, names, phases, ("auto", "person"), range(4)
    ):
        situation = now(champion=champion, beside=beside, under_way=rollout, confirm=confirm, num_steps=num_steps)
        action = next_action(situation)
        if action.do == "canary":
            assert champion == "plants-6"
            assert 0 <= action.step < num_steps
        assert (action.do == "serve") == (champion == "plants-7")


# ---- the canary


def served(**changes: Any) -> Served:
    usual = Served(state="ready", requests=200, errors=0, unsure=20, latency_ms=Latency(p50=20, p95=40, p99=60),
                   compared=100, agreed=95)  # fmt: skip
    return usual.model_copy(update=changes)


def seen(new: Served, old: Served | None = None, **changes: Any) -> Observed:
    usual = Observed(
        family="plants", endpoint="prod", revision=3, stable="plants-6", canary="plants-7", share=0.1, standby=None,
        ready=True, releases={"plants-6": served(requests=1800, unsure=180) if old is None else old, "plants-7": new},
    )  # fmt: skip
    return usual.model_copy(update=changes)


def verdict(observed: Observed, elapsed_s: float = 5.0, **changes: Any) -> Verdict:
    return judge(observed, CANARY, elapsed_s=elapsed_s, step=STEP, **changes)


def test_a_step_is_passed_when_its_time_is_over_and_enough_was_answered() -> None:
    assert verdict(seen(served()), 9.9).decision == "go on"
    assert verdict(seen(served()), 10.0).decision == "passed"
    assert verdict(seen(served(requests=49, unsure=3)), 100.0).decision == "go on"
    assert verdict(seen(served(requests=50, unsure=3)), 100.0).decision == "passed"


def test_a_step_is_passed_only_while_all_is_loaded_but_a_breach_is_one_at_any_time() -> None:
    assert verdict(seen(served(), ready=False), 100.0).decision == "go on"
    assert verdict(seen(served(errors=60), ready=False), 1.0).decision == "breach"
    assert verdict(seen(served(errors=60), canary=None), 100.0).decision == "go on"
    assert verdict(seen(served(errors=60), stable=None), 100.0).decision == "go on"


def test_a_doubt_has_it_watched_on_until_it_is_settled_or_four_times_as_many_were_answered() -> None:
    slow = Latency(p50=20, p95=70, p99=90)
    doubtful = verdict(seen(served(requests=60, unsure=3, latency_ms=slow)), 100.0)
    assert doubtful.decision == "go on"
    assert doubtful.doubts == ("slow: a p95 of 70 ms in 60 requests, the champion's 40 ms; 1.5 times that is allowed",)
    settled = served(requests=60, unsure=3, latency_ms=Latency(p50=20, p95=60, p99=90))
    assert verdict(seen(settled), 100.0).decision == "passed"
    assert verdict(seen(served(requests=199, latency_ms=slow)), 100.0).decision == "go on"
    assert verdict(seen(served(requests=200, latency_ms=slow)), 100.0).decision == "passed"
    for changes in ({"errors": 1}, {"unsure": 30}, {"compared": 40, "agreed": 30}):
        assert verdict(seen(served(**{"requests": 60, "unsure": 3, **changes})), 100.0).doubts != (), changes


def test_the_figures_of_a_verdict_are_both_sides_of_the_comparison() -> None:
    figures = verdict(seen(served()), 5.0).figures
    assert figures["share"] == 0.1
    assert figures["canary"] == {
        "requests": 200, "errors": 0, "unsure": 20, "compared": 100, "agreed": 95, "memory_mb": 0.0,
        "p50_ms": 20, "p95_ms": 40, "p99_ms": 60,
    }  # fmt: skip
    assert isinstance(figures["champion"], dict)


def test_a_canary_that_does_not_start_is_sent_back_with_the_reason() -> None:
    said = verdict(seen(served(state="failed", reason="nodes/parent.onnx is not what was registered"), ready=False))
    assert (said.decision, said.reasons) == (
        "breach", ("it does not start: nodes/parent.onnx is not what was registered",),
    )  # fmt: skip


def test_one_wrong_golden_answer_is_enough() -> None:
    said = verdict(seen(served()), 100.0, wrong="a golden photograph of rosa-canina was called quercus-ilex")
    assert said.decision == "breach"
    assert said.reasons == ("a golden photograph of rosa-canina was called quercus-ilex",)


BREACHES = {
    "errors": (
        served(requests=20, errors=20, unsure=0, latency_ms=None, compared=0, agreed=0),
        "errors: 20 of 20 requests, the champion's 0 of 180; 1 % more are allowed",
    ),
    "slow": (
        served(latency_ms=Latency(p50=200, p95=400, p99=600)),
        "slow: a p95 of 400 ms in 200 requests, the champion's 40 ms; 1.5 times that is allowed",
    ),
    "unsure": (
        served(requests=100, unsure=70),
        "unsure: 70 of 100 answers, the champion's 18 of 180; 10 % more are allowed",
    ),
    "wrong": (
        served(compared=40, agreed=2),
        "agreement: the champion's answer to 2 of 40 photographs that both saw; 80 % is asked for",
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_told_in_words_and_figures(name: str) -> None:
    new, reason = BREACHES[name]
    said = verdict(seen(new, served(requests=180, unsure=18)))
    assert (said.decision, said.reasons) == ("breach", (reason,))


def test_a_champion_that_errs_as_much_excuses_the_canary() -> None:
    new = served(requests=100, errors=100, unsure=0, latency_ms=None)
    assert verdict(seen(new, served(requests=900, errors=900, unsure=0, latency_ms=None))).decision == "go on"


def test_a_few_unlucky_requests_send_nothing_back() -> None:
    old = served(requests=500, unsure=50)
    assert verdict(seen(served(requests=3, errors=1, unsure=2, compared=1, agreed=0), old)).decision == "go on"
    assert verdict(seen(served(requests=40, errors=2, unsure=10, compared=10, agreed=6), old)).decision == "go on"


def test_a_share_over_a_limit_is_read_off_the_percentiles() -> None:
    spread = 0.5
    p50, p95, p99 = 20.0, 20 * np.exp(1.6449 * spread), 20 * np.exp(2.3263 * spread)
    latency = Latency(p50=p50, p95=p95, p99=p99)
    drawn = 20 * np.exp(spread * np.random.default_rng(0).normal(size=200_000))
    for limit in (20.0, 25.0, 40.0, 50.0, 60.0):
        assert share_above(latency, limit) == pytest.approx((drawn > limit).mean(), abs=0.005)
    assert share_above(latency, p95) == pytest.approx(0.05, abs=1e-4)
    assert share_above(latency, p99) == 0.0
    assert share_above(latency, 1.0) == 0.5
    assert share_above(Latency(p50=5, p95=5, p99=5), 4) == 0.5


# ---- bounds


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_lie_about_the_share_and_mirror_each_other(counted: tuple[int, int]) -> None:
    hits, number = counted
    assert 0 <= at_least(hits, number) <= hits / number <= at_most(hits, number) <= 1
    assert at_most(hits, number) == pytest.approx(1 - at_least(number - hits, number))


@given(st.integers(1, 200), st.data())
def test_more_of_it_never_lowers_a_bound(number: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, number - 1))
    assert at_least(hits, number) <= at_least(hits + 1, number) + 1e-9


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.9])
def test_a_bound_that_is_looked_at_after_every_request_is_hardly_ever_wrong(share: float) -> None:
    """Ville: in 1/ALPHA ways at most one; the chance of more than three wrong ones among 2000 is under 1e-4."""
    generator = np.random.default_rng(int(1000 * share))
    wrong = 0
    for _ in range(2000):
        hits = 0
        for number, hit in enumerate(generator.random(150) < share, 1):
            hits += int(hit)
            if hits / number > share and at_least(hits, number) > share:
                wrong += 1
                break
    assert wrong <= 3
    assert ALPHA <= 1e-3


# ---- whole rollouts, simulated


class Traffic:
    """Users of a step: each request has its time, whether it erred, was unsure, and whether the two agreed.

    Users send one plant up to eight times, and unsure is then every photograph of it; the machine has hiccups that slow
    everybody down for half a second; a tenth of the latencies are of large photographs.
    """

    def __init__(self, generator: np.random.Generator, share: float, num: int, **bad: float) -> None:
        rate = float(np.exp(generator.uniform(np.log(2), np.log(50))))
        self.at_s = np.cumsum(generator.exponential(1 / rate, num))
        plant = np.repeat(np.arange(num), generator.integers(1, 9, num))[:num]
        hiccups = generator.random(int(self.at_s[-1] * 2) + 1) < 0.01
        slow = np.where(hiccups[(self.at_s * 2).astype(int)], generator.uniform(2, 10), 1.0)
        large = np.where(generator.random(num) < 0.1, 3.0, 1.0)
        self.ms = 20 * large * slow * np.exp(generator.uniform(0.1, 0.5) * generator.normal(size=num))
        self.errors = generator.random(num) < 0.003
        self.unsure = generator.random(num)[plant] < generator.uniform(0.02, 0.3)
        self.agrees = generator.random(num)[plant] < generator.uniform(0.88, 1.0)
        routed = generator.random(num)
        shadowed = (routed >= share) & (generator.random(num) < CANARY.shadow_share)
        self.by_canary = (routed < share) | shadowed
        self.by_stable = routed >= share
        self.compared = shadowed
        self.new_ms = self.ms * bad.get("slower", 1.0)
        self.new_ms[np.flatnonzero(self.by_canary)[:10]] *= 3.0  # a process that has just started
        self.new_errors = self.errors | (generator.random(num) < bad.get("errs", 0.0))
        self.new_unsure = self.unsure | (generator.random(num) < bad.get("unsure", 0.0))
        self.agrees &= generator.random(num) >= bad.get("wrong", 0.0)

    def seen(self, until: int) -> Observed:
        new, old = self.by_canary[:until], self.by_stable[:until]
        return seen(
            _side(new, self.new_errors, self.new_unsure, self.new_ms, self.compared, self.agrees),
            _side(old, self.errors, self.unsure, self.ms),
        )


def _side(
    who: Any, errors: Any, unsure: Any, ms: Any, compared: Any | None = None, agrees: Any | None = None
) -> Served:
    until = len(who)
    answered = who & ~errors[:until]
    latency = None
    if who.any():
        p50, p95, p99 = np.percentile(ms[:until][who], [50, 95, 99], method="inverted_cdf")
        latency = Latency(p50=p50, p95=p95, p99=p99)
    both = np.zeros(until, dtype=bool) if compared is None else compared[:until]
    return Served(
        state="ready", requests=int(who.sum()), errors=int((who & errors[:until]).sum()),
        unsure=int((answered & unsure[:until]).sum()), latency_ms=latency, compared=int(both.sum()),
        agreed=int(both.sum()) if agrees is None else int((both & agrees[:until]).sum()),
    )  # fmt: skip


def sent_back(seed: int, *, num: int, looks: int, **bad: float) -> int | None:
    """After how many of the canary's requests a rollout in two steps is sent back; None where it is not."""
    generator = np.random.default_rng(seed)
    behind = 0
    for share in (0.1, 0.5):
        traffic = Traffic(generator, share, num, **bad)
        for until in np.unique(np.geomspace(1, num, looks).astype(int)):
            observed = traffic.seen(int(until))
            said = judge(observed, CANARY, elapsed_s=0.0, step=Step(share=share, bake_s=1))
            if said.decision == "breach":
                return behind + observed.releases["plants-7"].requests
        behind += int(traffic.by_canary.sum())
    return None


@pytest.mark.slow
def test_a_healthy_release_is_not_sent_back() -> None:
    assert [seed for seed in range(150) if sent_back(seed, num=3000, looks=80) is not None] == []


@pytest.mark.parametrize(
    "bad", [{"errs": 1.0}, {"errs": 0.5}, {"slower": 10.0}, {"wrong": 1.0}, {"unsure": 1.0}],
    ids=["each answer an error", "each second one", "ten times slower", "wrong answers", "always unsure"],
)  # fmt: skip
def test_a_bad_canary_goes_within_200_of_its_requests(bad: dict[str, float]) -> None:
    after = [sent_back(seed, num=1500, looks=120, **bad) for seed in range(20)]
    assert all(number is not None and number <= 200 for number in after), after


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_no_figures_break_the_judge(seed: int) -> None:
    """Anything that an endpoint could say, sensible or not yet."""
    rng = random.Random(seed)

    def side() -> Served:
        requests = rng.choice([0, 1, 7, 300])
        errors = rng.randint(0, requests)
        compared = rng.randint(0, requests)
        times = sorted(rng.choice([0.0, 0.1, 5.0, 80.0, 1e5]) for _ in range(3))
        return Served(
            state=rng.choice(["starting", "ready", "failed", "draining"]), requests=requests, errors=errors,
            unsure=rng.randint(0, requests - errors), compared=compared, agreed=rng.randint(0, compared),
            latency_ms=rng.choice([None, Latency(p50=times[0], p95=times[1], p99=times[2])]),
        )  # fmt: skip

    said = verdict(seen(side(), side(), ready=rng.random() < 0.8), rng.uniform(0, 20))
    assert (said.decision == "breach") == bool(said.reasons)
