"""The local event bus: looks at the log, starts the rollout of what was approved, goes on with what was promoted, and sends
messages. It decides nothing that a person did not: the rest is ``release.rollout``.

Each family is driven in a thread of its own, so that none waits for another.
"""

import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from earthsnap_train.errors import ConfigError, EarthsnapError
from earthsnap_train.release.deployments import Deployments
from earthsnap_train.release.locks import WATCH, Held
from earthsnap_train.release.messages import Messenger, send_pending
from earthsnap_train.release.registry import Registry
from earthsnap_train.release.rollout import due
from launchers.rollout import DrivenElsewhere

LOOK_EVERY_S = 0.5
LOCK_TIMEOUT_S = 2.0  # whoever asks whether a watch runs holds the lock for a moment
LONGEST_PAUSE_S = 60.0  # before a message that nobody took is tried again

# (release, set when this process is about to end): drives it until there is nothing to do.
Drive = Callable[[str, threading.Event], None]
Say = Callable[[str], None]


def watch(
    registry: Registry,
    drive: Drive,
    receivers: Sequence[Messenger],
    say: Say,
    *,
    once: bool,
    stop: threading.Event | None = None,
) -> None:
    """Until it is interrupted or ``stop`` is set, or with ``once`` until nothing is due.

    Raises ConfigError while another process watches this registry.
    """
    held = ExitStack()
    try:
        held.enter_context(registry.locks.hold(WATCH, timeout_s=LOCK_TIMEOUT_S))
    except Held:
        raise ConfigError("this registry is watched already", where=f"paths.registry={registry.root}") from None
    stop = stop or threading.Event()
    watcher = _Watcher(registry, drive, say, stop)
    threading.Thread(target=_send, args=(registry, receivers, say, stop), daemon=True).start()
    try:
        watcher.run(once=once)
    finally:
        stop.set()
        watcher.end()
        for problem in send_pending(registry, receivers):
            say(f"not told: {problem}")
        held.close()


class _Watcher:
    def __init__(self, registry: Registry, drive: Drive, say: Say, stop: threading.Event) -> None:
        self._registry, self._drive, self._say = registry, drive, say
        self._deployments = Deployments(registry.ledger)
        self._stop = stop
        self._ended = threading.Event()  # a driver has, so something else may be due
        self._drivers: dict[str, threading.Thread] = {}
        self._begun_at: dict[str, int] = {}  # family -> the log's last line when its driver began

    def run(self, *, once: bool) -> None:
        seen, left_over = -1, True
        while not self._stop.is_set():
            last = self._last_line()
            if last != seen or self._ended.is_set():
                self._ended.clear()
                for family in sorted({release.family for release in self._registry.releases()}):
                    self._maybe_begin(family, last, left_over=left_over)
                seen, left_over = last, False
            elif once and not any(driver.is_alive() for driver in self._drivers.values()):
                return
            self._ended.wait(LOOK_EVERY_S)

    def end(self) -> None:
        """Every driver was told to leave its rollout where it is; the next watch goes on with it."""
        for driver in self._drivers.values():
            driver.join()

    def _last_line(self) -> int:
        self._registry.hear()
        rows = self._registry.ledger.rows("SELECT max(id) FROM audit")
        return int(str(rows[0][0] or 0)) if rows else 0

    def _maybe_begin(self, family: str, last: int, *, left_over: bool) -> None:
        driver = self._drivers.get(family)
        if driver is not None and driver.is_alive():
            return
        if self._begun_at.get(family) == last:
            return  # it left no trace, and would not do better now
        releases = self._registry.releases(family)
        champion = self._deployments.champion(family)
        release = due(
            [entry for entry in self._registry.ledger.history() if entry.release.rpartition("-")[0] == family],
            {one.name for one in releases if one.state == "Approved"},
            None if champion is None else f"{family}-{champion}",
            self._deployments.under_way(family),
            left_over=left_over,
        )
        if release is not None:
            self._begun_at[family] = last
            self._drivers[family] = threading.Thread(target=self._drive_one, args=(release,), name=release)
            self._drivers[family].start()

    def _drive_one(self, release: str) -> None:
        try:
            self._drive(release, self._stop)
        except KeyboardInterrupt:
            pass  # this process is about to end
        except DrivenElsewhere as elsewhere:
            self._say(f"{release}: {elsewhere.what}")
        except EarthsnapError as error:
            self._say(f"error: {error}")
        except Exception:
            self._say(f"error: {release}: a bug of ours, please report it\n{traceback.format_exc()}")
        finally:
            self._ended.set()


def _send(registry: Registry, receivers: Sequence[Messenger], say: Say, stop: threading.Event) -> None:
    """Sends messages until it is told to stop. What is not taken is tried again, after longer and longer pauses."""
    pause_s, said = LOOK_EVERY_S, [""]
    while not stop.wait(pause_s):
        problems = send_pending(registry, receivers)
        if problems and problems != said:
            for problem in problems:
                say(f"not told: {problem}")
        said = problems
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S) if problems else LOOK_EVERY_S
