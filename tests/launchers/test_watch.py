"""The local event bus starts what a person approved or promoted, once, and nothing else."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from earthsnap_train.errors import ConfigError, StageError
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.locks import watching
from earthsnap_train.release.registry import Registry
from launchers.rollout import DrivenElsewhere
from launchers.watch import watch
from tests.launchers.rollout_kit import FAMILY, FIRST, SECOND, THIRD, RolloutKit, ended_afterwards, make_release


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


class Drivers:
    """Drives at once, by what the ledger says alone."""

    def __init__(self, registry: Registry, *, confirm: bool = False) -> None:
        self.registry = registry
        self.deployments = Deployments(registry.ledger)
        self.confirm = confirm
        self.driven: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self.errors: list[Exception] = []

    def __call__(self, name: str, stop: threading.Event) -> None:
        self.driven.append(name)
        if self.errors:
            raise self.errors.pop()
        release = self.registry.get(name)
        rollout = self.deployments.begin(release.family, release.number, origin="test")
        while not self.hold.wait(0.01):
            if stop.is_set():
                raise KeyboardInterrupt
        if self.confirm and rollout.phase == "stage":
            self.deployments.advance(rollout, "waiting", said="waiting", origin="test")
        else:
            self.deployments.go_live(rollout, standby=True, origin="test")

    def look(self) -> list[str]:
        """What one look of a new watch starts."""
        self.driven.clear()
        watch(self.registry, self, [], print, once=True)
        return list(self.driven)


def live(registry: Registry, number: int) -> None:
    deployments = Deployments(registry.ledger)
    deployments.go_live(deployments.begin(FAMILY, number, origin="test"), standby=True, origin="test")


def test_an_approval_starts_one_rollout_however_often_one_looks(registry: Registry) -> None:
    make_release(registry, seed=1)
    drivers = Drivers(registry)
    assert drivers.look() == [FIRST]
    assert drivers.look() == []
    assert Deployments(registry.ledger).champion(FAMILY) == 1


def test_what_waits_or_was_rejected_or_is_live_starts_nothing(registry: Registry) -> None:
    make_release(registry, seed=1, approved=False)
    assert Drivers(registry).look() == []
    make_release(registry, seed=2)
    registry.reject(SECOND, why="no", origin="test")
    assert Drivers(registry).look() == []
    registry.approve(FIRST, why="", origin="test")
    live(registry, 1)
    assert Drivers(registry).look() == []


def test_of_several_approvals_the_newest_that_stands_counts_and_the_others_never_do(registry: Registry) -> None:
    for seed in (1, 2, 3):
        make_release(registry, seed=seed, approved=False)
    for name in (THIRD, FIRST, SECOND):  # in this order: an older release may be approved later
        registry.approve(name, why="", origin="test")
    registry.reject(SECOND, why="changed my mind", origin="test")
    drivers = Drivers(registry)
    assert drivers.look() == [FIRST]
    registry.reject(FIRST, why="withdrawn", origin="test")
    assert drivers.look() == []


def test_a_release_that_failed_or_was_rolled_back_is_not_begun_again(registry: Registry) -> None:
    deployments = Deployments(registry.ledger)
    make_release(registry, seed=1)
    live(registry, 1)
    make_release(registry, seed=2)
    deployments.fail(deployments.begin(FAMILY, 2, origin="test"), "slow", origin="test")
    assert Drivers(registry).look() == []
    live(registry, 2)
    deployments.roll_back(FAMILY, 2, why="", origin="test")
    assert Drivers(registry).look() == []


def test_what_a_person_promoted_goes_on_and_what_waits_for_one_does_not(registry: Registry) -> None:
    make_release(registry, seed=1)
    drivers = Drivers(registry, confirm=True)
    assert drivers.look() == [FIRST]
    assert drivers.look() == []
    rollout = drivers.deployments.under_way(FAMILY)
    assert rollout is not None
    drivers.deployments.advance(rollout, "promoted", said="promoted", origin="test")
    assert drivers.look() == [FIRST]
    assert drivers.deployments.champion(FAMILY) == 1


def test_what_was_killed_half_way_goes_on_at_the_start(registry: Registry) -> None:
    make_release(registry, seed=1)
    drivers = Drivers(registry)
    drivers.deployments.begin(FAMILY, 1, origin="test")
    assert drivers.look() == [FIRST]


def test_the_whole_log_again_starts_nothing(registry: Registry) -> None:
    for seed in (1, 2):
        make_release(registry, seed=seed)
        assert len(Drivers(registry).look()) == 1
    registry.reject(SECOND, why="withdrawn", origin="test")
    with registry.ledger.writing() as connection:
        connection.execute("DELETE FROM cursors")
    assert Drivers(registry).look() == []
    assert Deployments(registry.ledger).champion(FAMILY) == 1


# ---- while it runs


@contextmanager
def running(registry: Registry, drivers: Drivers, say: Callable[[str], None] = print) -> Iterator[None]:
    """A watch in a thread of this process."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: watch(registry, drivers, [], say, once=False, stop=stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_approval_is_seen_while_it_watches_and_families_do_not_wait_for_each_other(registry: Registry) -> None:
    drivers = Drivers(registry)
    drivers.hold.clear()
    with running(registry, drivers):
        make_release(registry, seed=1)
        until(lambda: drivers.driven == [FIRST])
        make_release(registry, family="birds", seed=1)
        until(lambda: drivers.driven == [FIRST, "birds-1"])
        make_release(registry, seed=2)
        time.sleep(1.2)
        assert drivers.driven == [FIRST, "birds-1"], "one rollout of a family at a time"
        drivers.hold.set()
        until(lambda: drivers.deployments.champion(FAMILY) == 2)
    assert drivers.deployments.champion("birds") == 1


def test_its_end_leaves_a_rollout_where_it_is_and_the_next_watch_goes_on(registry: Registry) -> None:
    drivers = Drivers(registry)
    drivers.hold.clear()
    with running(registry, drivers):
        make_release(registry, seed=1)
        until(lambda: drivers.deployments.under_way(FAMILY) is not None)
    assert drivers.deployments.champion(FAMILY) is None
    drivers.hold.set()
    assert FIRST in drivers.look()
    assert drivers.deployments.champion(FAMILY) == 1


@pytest.mark.parametrize(
    "error", [StageError("too slow"), DrivenElsewhere("another process does"), RuntimeError("a bug")]
)
def test_a_driver_that_fails_is_told_of_and_not_begun_again_by_itself(registry: Registry, error: Exception) -> None:
    said: list[str] = []
    drivers = Drivers(registry)
    drivers.errors.append(error)
    make_release(registry, seed=1)
    with running(registry, drivers, said.append):
        until(lambda: len(said) == 1)
        time.sleep(1.2)
        assert drivers.driven == [FIRST]
    assert str(error) in said[0]


def test_a_registry_is_watched_by_one_process(registry: Registry) -> None:
    make_release(registry, seed=1)
    drivers = Drivers(registry)
    drivers.hold.clear()
    with running(registry, drivers):
        until(lambda: drivers.driven == [FIRST])
        assert watching(registry.locks)
        with pytest.raises(ConfigError, match="is watched already"):
            watch(registry, drivers, [], print, once=True)
    assert not watching(registry.locks)


@pytest.mark.slow
def test_a_watch_takes_an_approved_release_to_production_by_itself(tmp_path: Path) -> None:
    with ended_afterwards(RolloutKit(tmp_path)) as kit:
        make_release(kit.registry, seed=1)
        watch(kit.registry, lambda name, stop: print(kit.roll_out(name, stop=stop)), [], print, once=True)
        make_release(kit.registry, seed=2)
        watch(kit.registry, lambda name, stop: print(kit.roll_out(name, stop=stop)), [], print, once=True)
        assert kit.live == SECOND
        assert kit.endpoints["prod"].observe().stable == SECOND
