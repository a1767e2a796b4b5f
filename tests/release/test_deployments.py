"""Once there was a champion there is always one, no rejected release becomes it, and production serves it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from earthsnap_train.errors import ConfigError
from earthsnap_train.release.deployments import Deployments, Rollout, Wanted
from earthsnap_train.release.registry import Registry
from tests.release.bundles import register

ONE, TWO, THREE = "plants-1", "plants-2", "plants-3"


class Place:
    """A registry with approved releases of one family."""

    def __init__(self, root: Path, num_releases: int = 3) -> None:
        self.registry = Registry(root / "registry")
        self.deployments = Deployments(self.registry.ledger)
        for seed in range(num_releases):
            self.registry.approve(register(self.registry, seed).name, why="", origin="test")

    @property
    def champion(self) -> int | None:
        return self.deployments.champion("plants")

    @property
    def prod(self) -> Wanted | None:
        wish = self.deployments.wanted("plants", "prod")
        return None if wish is None else wish.model_copy(update={"revision": 0})

    def begin(self, number: int) -> Rollout:
        return self.deployments.begin("plants", number, origin="test")

    def canary(self, number: int, step: int = 0) -> Rollout:
        rollout = self.begin(number)
        wish = Wanted(stable=f"plants-{self.champion}", canary=rollout.release, share=0.1)
        return self.deployments.advance(rollout, "canary", step, prod=wish, said="canary", origin="test")

    def live(self, *numbers: int, standby: bool = True) -> None:
        for number in numbers:
            self.deployments.go_live(self.begin(number), standby=standby, origin="test")

    def roll_back(self, number: int) -> str | None:
        return self.deployments.roll_back("plants", number, why="bad", origin="test", who="anna")

    def reject(self, number: int) -> bool:
        return self.registry.reject(f"plants-{number}", why="bad", origin="test", who="anna")

    def log(self) -> list[tuple[str, str]]:
        return [
            (e.action, e.release)
            for e in self.registry.ledger.history()
            if e.origin == "test" and e.action != "approved"
        ]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# ---- going live


def test_a_release_goes_live_and_the_one_before_it_stands_by(place: Place) -> None:
    assert (place.champion, place.prod) == (None, None)
    place.live(1)
    assert (place.champion, place.prod) == (1, Wanted(stable=ONE))

    place.live(2)

    assert (place.champion, place.prod) == (2, Wanted(stable=TWO, standby=ONE))
    assert place.deployments.back("plants") == 1
    assert place.deployments.under_way("plants") is None
    assert [r.outcome for r in place.deployments.rollouts("plants")] == ["live", "live"]


def test_none_stands_by_where_that_is_not_wanted(place: Place) -> None:
    place.live(1, 2, standby=False)
    assert place.prod == Wanted(stable=TWO)


def test_a_rollout_that_was_begun_is_gone_on_with(place: Place) -> None:
    place.live(1)
    first = place.canary(2, step=1)

    again = place.begin(2)

    assert again.model_dump(exclude={"since"}) == first.model_dump(exclude={"since"})
    assert (again.phase, again.step) == ("canary", 1)


def test_families_have_champions_of_their_own(place: Place) -> None:
    birds = register(place.registry, 0, family="birds")
    place.registry.approve(birds.name, why="", origin="test")
    place.live(1)
    place.canary(2)

    place.deployments.go_live(place.deployments.begin("birds", 1, origin="test"), standby=True, origin="test")

    assert (place.deployments.champion("birds"), place.champion) == (1, 1)
    assert place.deployments.under_way("plants") is not None


# ---- what is refused


def test_only_approved_releases_begin(place: Place) -> None:
    register(place.registry, 9)
    with pytest.raises(ConfigError, match=r"plants-4 is PendingApproval"):
        place.begin(4)
    place.reject(3)
    with pytest.raises(ConfigError, match=r"plants-3 is Rejected"):
        place.begin(3)
    place.live(1)
    with pytest.raises(ConfigError, match=r"plants-1 is live already"):
        place.begin(1)


def test_one_rollout_of_a_family_at_a_time(place: Place) -> None:
    place.live(1)
    place.canary(2)
    with pytest.raises(ConfigError, match=r"plants-2 is on its way to production \(phase canary\)") as refused:
        place.begin(3)
    assert "earthsnap rollback release=plants-2" in str(refused.value)


def test_what_somebody_ended_or_moved_on_is_not_moved_by_another(place: Place) -> None:
    place.live(1)
    waiting = place.deployments.advance(place.begin(2), "waiting", said="waiting", origin="test")
    place.deployments.advance(waiting, "promoted", said="promoted", origin="test")

    with pytest.raises(ConfigError, match=r"at another place by now \(phase promoted, step 0\)"):
        place.deployments.advance(waiting, "promoted", said="promoted", origin="test")
    assert place.log().count(("promoted", TWO)) == 1

    going = place.begin(2)
    place.roll_back(2)
    for late in (
        lambda: place.deployments.advance(going, "canary", origin="test"),
        lambda: place.deployments.go_live(going, standby=True, origin="test"),
    ):
        with pytest.raises(ConfigError, match=r"the rollout of plants-2 is over \(rolled back\): bad"):
            late()
    place.deployments.fail(going, "too late", origin="test")
    assert place.deployments.rollouts("plants")[-1].why == "bad"
    assert place.champion == 1


# ---- taking back


def test_without_a_rollout_there_is_nothing_to_take_back(place: Place) -> None:
    assert place.roll_back(1) is None
    assert place.log() == []


@pytest.mark.parametrize("phase", ["stage", "waiting", "promoted", "canary"])
def test_what_is_half_way_goes_back_from_anywhere(place: Place, phase: str) -> None:
    place.live(1, 2)
    rollout = place.begin(3)
    wish = Wanted(stable=TWO, canary=THREE, share=0.5, standby=ONE) if phase == "canary" else None
    place.deployments.advance(rollout, phase, prod=wish, origin="test")  # type: ignore[arg-type]

    assert place.roll_back(3) == TWO

    assert (place.champion, place.prod) == (2, Wanted(stable=TWO, standby=ONE))
    assert place.deployments.rollouts("plants")[-1].outcome == "rolled back"
    assert place.log()[-1] == ("rolled back", THREE)
    place.live(3)
    assert place.champion == 3


@pytest.mark.parametrize("how", ["fail", "roll back", "reject"])
def test_a_first_release_that_goes_back_leaves_nothing_wanted(place: Place, how: str) -> None:
    rollout = place.deployments.advance(place.begin(1), "canary", prod=Wanted(stable=ONE), origin="test")
    revision = place.deployments.wanted("plants", "prod").revision  # type: ignore[union-attr]
    if how == "fail":
        place.deployments.fail(rollout, "does not start", origin="test")
    elif how == "reject":
        place.reject(1)
    else:
        assert place.roll_back(1) is None

    assert (place.champion, place.prod) == (None, None)
    place.live(2)
    assert place.deployments.wanted("plants", "prod").revision > revision  # type: ignore[union-attr]


def test_the_one_before_answers_again_when_the_live_one_goes(place: Place) -> None:
    place.live(1, 2)
    assert place.roll_back(2) == ONE
    assert (place.champion, place.prod) == (1, Wanted(stable=ONE))
    assert place.deployments.back("plants") is None


def test_a_live_release_with_none_before_it_stays(place: Place) -> None:
    place.live(1)
    before = place.log()
    assert place.roll_back(1) is None
    assert (place.champion, place.prod, place.log()) == (1, Wanted(stable=ONE), before)

    assert place.reject(1)
    assert (place.champion, place.prod) == (1, Wanted(stable=ONE))
    assert place.log() == [*before, ("rejected", ONE)]


def test_rollbacks_go_back_further_each_time(place: Place) -> None:
    place.live(1, 2, 3)
    assert [place.roll_back(3), place.roll_back(2), place.roll_back(1)] == [TWO, ONE, None]
    assert place.champion == 1


def test_after_a_rollback_the_next_release_comes_back_to_the_one_that_answered(place: Place) -> None:
    place.live(1, 2)
    place.roll_back(2)
    place.live(3)
    assert place.prod == Wanted(stable=THREE, standby=ONE)
    assert [place.roll_back(3), place.roll_back(1)] == [ONE, None]


def test_one_that_was_live_before_may_go_live_again(place: Place) -> None:
    place.live(1, 2, 1)
    assert [place.roll_back(1), place.roll_back(2), place.roll_back(1)] == [TWO, ONE, None]


def test_a_rejected_one_never_comes_back(place: Place) -> None:
    place.live(1, 2, 3)
    assert place.prod == Wanted(stable=THREE, standby=TWO)

    place.reject(2)

    assert place.prod == Wanted(stable=THREE)
    assert place.deployments.back("plants") == 1
    assert place.roll_back(3) == ONE


def test_where_all_before_it_were_rejected_the_live_one_stays(place: Place) -> None:
    place.live(1, 2, 1)
    place.reject(2)
    assert place.deployments.back("plants") is None
    assert place.roll_back(1) is None
    assert place.champion == 1


def test_rejecting_what_stands_by_leaves_a_canarys_figures_alone(place: Place) -> None:
    place.live(1, 2)
    rollout = place.begin(3)
    wish = Wanted(stable=TWO, canary=THREE, share=0.5, standby=ONE)
    place.deployments.advance(rollout, "canary", prod=wish, origin="test")

    place.reject(1)

    assert place.prod == wish
    place.deployments.fail(place.begin(3), "slow", origin="test", outcome="rolled back")
    assert place.prod == Wanted(stable=TWO)


def test_rejecting_the_live_one_ends_the_rollout_that_was_measured_beside_it(place: Place) -> None:
    place.live(1, 2)
    place.canary(3)

    place.reject(2)

    assert (place.champion, place.prod) == (1, Wanted(stable=ONE))
    ended = place.deployments.rollouts("plants")[-1]
    assert (ended.release, ended.outcome, ended.why) == (THREE, "failed", "the champion plants-2 was taken back")
    assert place.log()[-3:] == [("rejected", TWO), ("failed", THREE), ("rolled back", TWO)]


def test_rejecting_another_than_the_live_one_leaves_a_rollout_alone(place: Place) -> None:
    place.live(1)
    place.canary(2)
    before = place.deployments.wanted("plants", "prod")

    place.reject(3)
    place.reject(1)  # live, with none before it

    assert place.deployments.wanted("plants", "prod") == before
    assert place.begin(2).phase == "canary"


def test_tests_that_fail_in_stage_do_not_touch_production(place: Place) -> None:
    place.live(1, 2)
    before = place.deployments.wanted("plants", "prod")
    place.deployments.fail(place.begin(3), "too slow", origin="test", figures={"p99_ms": 900})
    assert place.deployments.wanted("plants", "prod") == before
    assert place.registry.ledger.history()[-1].figures == {"p99_ms": 900}


# ---- watched canaries


def test_a_canary_is_watched_on_only_while_it_is_still_wanted(place: Place) -> None:
    place.live(1)
    place.canary(2)
    wish = place.deployments.wanted("plants", "prod")
    assert wish is not None
    place.deployments.still_watched("plants", wish.revision, 123.5)
    assert place.deployments.wanted("plants", "prod") == wish.model_copy(update={"watched_until": 123.5})

    place.roll_back(2)
    place.deployments.still_watched("plants", wish.revision, 456.5)

    assert place.prod == Wanted(stable=ONE)


# ---- anything, in any order

NUMBERS = st.integers(min_value=1, max_value=4)
WHICH = st.one_of(st.sampled_from(["live", "half way"]), NUMBERS)


class Anything(RuleBasedStateMachine):
    """Whoever does what in whichever order. ``held``: rollouts as drivers hold them, however old by now."""

    def __init__(self, template: Path) -> None:
        super().__init__()
        self.folder = Path(shutil.copytree(template, template.with_name("tried")))
        self.place = Place(self.folder, num_releases=0)
        self.held: list[Rollout] = []
        self.went_live = False
        self.seen = (0, "")

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _number(self, which: str | int) -> int:
        under_way = self.place.deployments.under_way("plants")
        found = self.place.champion if which == "live" else under_way.number if under_way is not None else None
        return which if isinstance(which, int) else found or 1

    @initialize(numbers=st.lists(NUMBERS, max_size=3, unique=True))
    def some_were_live(self, numbers: list[int]) -> None:
        for number in numbers:
            self.roll_out(number, "live", standby=True)

    @rule(number=NUMBERS, as_far_as=st.sampled_from(["live", "canary", "promoted", "stage"]), standby=st.booleans())
    def roll_out(self, number: int, as_far_as: str, standby: bool) -> None:
        """As far as it is let."""
        under_way = self.place.deployments.under_way("plants")
        try:
            rollout = self.place.begin(number)
        except ConfigError:
            allowed = self.place.registry.get(f"plants-{number}").state == "Approved"
            assert (
                not allowed or self.place.champion == number or (under_way is not None and under_way.number != number)
            )
            return
        self._advance(rollout, "canary" if as_far_as == "live" else as_far_as, 0, standby)
        if as_far_as == "live":
            self._go_live(self.held[-1], standby)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), what=st.sampled_from(["waiting", "canary", "live", "fail"]), standby=st.booleans())
    def late(self, data: st.DataObject, what: str, standby: bool) -> None:
        """A driver that may have stood still since."""
        rollout, before = data.draw(st.sampled_from(self.held)), self.place.champion
        if what == "live":
            self._go_live(rollout, standby)
        elif what == "fail":
            self.place.deployments.fail(rollout, "slow", origin="test")
            assert self.place.champion == before
        else:
            self._advance(rollout, what, 1, standby)

    def _advance(self, rollout: Rollout, phase: str, step: int, standby: bool) -> None:
        champion, back, wish = self.place.champion, self.place.deployments.back("plants"), None
        if phase == "canary" and champion is None:
            wish = Wanted(stable=rollout.release)
        elif phase == "canary" and champion != rollout.number:
            beside = f"plants-{back}" if standby and back not in (None, rollout.number) else None
            wish = Wanted(stable=f"plants-{champion}", canary=rollout.release, share=0.1, standby=beside)

        def move() -> None:
            self.held.append(self.place.deployments.advance(rollout, phase, step, prod=wish, origin="test"))  # type: ignore[arg-type]

        self._moves(rollout, move)

    def _go_live(self, rollout: Rollout, standby: bool) -> None:
        def move() -> None:
            self.place.deployments.go_live(rollout, standby=standby, origin="test")
            assert self.place.registry.get(rollout.release).state == "Approved"
            assert self.place.champion == rollout.number
            self.went_live = True

        self._moves(rollout, move)

    def _moves(self, rollout: Rollout, move: Callable[[], None]) -> None:
        """It is refused exactly where the rollout does not stand there any more."""
        now = self.place.deployments.under_way("plants")
        stands = now is not None and (now.id, now.phase, now.step) == (rollout.id, rollout.phase, rollout.step)
        try:
            move()
        except ConfigError:
            assert not stands
        else:
            assert stands

    @rule(which=WHICH)
    def roll_back(self, which: str | int) -> None:
        number = self._number(which)
        before, back = self.place.champion, self.place.deployments.back("plants")
        under_way = self.place.deployments.under_way("plants")
        half_way = under_way is not None and under_way.number == number
        answers = self.place.roll_back(number)
        if half_way or number != before or back is None:
            assert self.place.champion == before
        else:
            assert answers == f"plants-{back}"
            assert self.place.champion == back
            assert self.place.registry.get(answers).state != "Rejected"
            assert self.place.deployments.under_way("plants") is None

    @rule(which=WHICH)
    def reject(self, which: str | int) -> None:
        number, before = self._number(which), self.place.champion
        self.place.reject(number)
        if self.place.champion != before:
            assert before == number
            assert self.place.registry.get(f"plants-{self.place.champion}").state != "Rejected"
        under_way = self.place.deployments.under_way("plants")
        assert under_way is None or (under_way.number != number and self.place.champion == before)

    @rule(number=NUMBERS)
    def approve(self, number: int) -> None:
        before = self.place.champion
        self.place.registry.approve(f"plants-{number}", why="", origin="test", anyway=True)
        assert self.place.champion == before

    @invariant()
    def once_there_was_a_champion_there_is_one(self) -> None:
        assert (self.place.champion is not None) == self.went_live

    @invariant()
    def production_serves_the_champion(self) -> None:
        """In a canary beside it; otherwise alone, with none standing by but what would come back."""
        prod, champion = self.place.prod, self.place.champion
        back, under_way = self.place.deployments.back("plants"), self.place.deployments.under_way("plants")
        if champion is None:
            assert prod is None or (under_way is not None and prod.stable == under_way.release)
            return
        assert prod is not None
        assert prod.stable == f"plants-{champion}"
        assert prod.canary is None or (under_way is not None and prod.canary == under_way.release)
        if under_way is None:
            assert prod.canary is None
            assert prod.standby in (None, f"plants-{back}")

    @invariant()
    def only_approved_releases_are_on_their_way(self) -> None:
        under_way = self.place.deployments.under_way("plants")
        assert under_way is None or self.place.registry.get(under_way.release).state == "Approved"
        assert sum(rollout.outcome is None for rollout in self.place.deployments.rollouts("plants")) <= 1

    @invariant()
    def what_would_come_back_is_another_and_not_rejected(self) -> None:
        back = self.place.deployments.back("plants")
        assert back is None or back != self.place.champion
        assert back is None or self.place.registry.get(f"plants-{back}").state != "Rejected"

    @invariant()
    def another_wish_has_another_revision(self) -> None:
        rows = self.place.registry.ledger.rows("SELECT revision, wanted FROM endpoints WHERE endpoint = 'prod'")
        revision, wanted = (int(str(rows[0][0])), str(rows[0][1])) if rows else (0, "")
        assert revision > self.seen[0] or (revision, wanted) == self.seen
        self.seen = (revision, wanted)


@pytest.mark.slow
def test_whatever_happens_in_whichever_order(tmp_path: Path) -> None:
    Place(tmp_path / "template", num_releases=4)
    run_state_machine_as_test(
        lambda: Anything(tmp_path / "template"),
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, derandomize=True, database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip
