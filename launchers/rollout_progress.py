"""Shows how far a rollout is: a table that changes on a terminal, plain lines anywhere else."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from earthsnap_train.evaluation.wording import short_time
from earthsnap_train.release.rollout import Verdict

PLAIN_EVERY_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A canary at one moment. ``step`` counts from 1; ``left_s``: of the step's time, None before it has begun."""

    step: int
    num_steps: int
    share: float
    left_s: float | None
    verdict: Verdict


class Follower:
    """Hears what a driver does. ``family`` begins each line where several rollouts are shown on one console."""

    def __init__(self, console: Console, *, family: str | None = None) -> None:
        self._console = console
        self._family = family
        self._live: Live | None = None
        self._said = float("-inf")
        self._lock = threading.Lock()

    def __enter__(self) -> "Follower":
        if self._console.is_terminal and self._family is None:
            self._live = Live(Text(""), console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def line(self, text: str, *, good: bool | None = None) -> None:
        """Something that stays. ``good``: of a test."""
        mark = {None: "", True: "passed  ", False: "failed  "}[good]
        words = Text(f"{time.strftime('%H:%M:%S')}  ", style="dim")
        if self._family is not None:
            words.append(f"{self._family}  ")
        words.append(mark, style="green" if good else "bold red")
        words.append(text)
        with self._lock:
            if self._live is not None:
                self._live.update(Text(""), refresh=True)
            self._said = time.monotonic()
            self._console.print(words, soft_wrap=True)

    def watching(self, now: Watched) -> None:
        """How a canary stands; call it freely."""
        if self._live is not None:
            self._live.update(_shown(now), refresh=True)
        elif time.monotonic() - self._said >= PLAIN_EVERY_S:
            self.line(_sentence(now))


ROWS = (
    ("requests", "requests"), ("errors", "errors"), ("unsure", "unsure"), ("p50", "p50_ms"), ("p95", "p95_ms"),
    ("memory", "memory_mb"),
)  # fmt: skip


def _shown(now: Watched) -> Group:
    figures = now.verdict.figures
    title = f"canary, step {now.step} of {now.num_steps}: {100 * now.share:g} % of the requests, {_left(now)}"
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("canary", justify="right")
    table.add_column("champion", justify="right")
    for label, key in ROWS:
        table.add_row(label, *(_figure(_side(figures, side), key) for side in ("canary", "champion")))
    canary = _side(figures, "canary")
    table.add_row("same answer", f"{canary.get('agreed', 0)} of {canary.get('compared', 0)}", "")
    doubts = [Text(f"watched on for {doubt}") for doubt in now.verdict.doubts]
    return Group(Text(title, style="bold"), table, *doubts)


def _sentence(now: Watched) -> str:
    canary, champion = (_side(now.verdict.figures, side) for side in ("canary", "champion"))
    return (
        f"step {now.step} of {now.num_steps}, {_left(now)}: {canary.get('requests', 0)} requests beside the champion's "
        f"{champion.get('requests', 0)}, errors {canary.get('errors', 0)} and {champion.get('errors', 0)}, p95 "
        f"{_figure(canary, 'p95_ms')} and {_figure(champion, 'p95_ms')}, same answer {canary.get('agreed', 0)} of "
        f"{canary.get('compared', 0)}" + "".join(f"; watched on for {doubt}" for doubt in now.verdict.doubts)
    )


def _left(now: Watched) -> str:
    if now.left_s is None:
        return "being loaded"
    return f"{short_time(now.left_s)} left" if now.left_s > 0 else "until enough requests were answered"


def _side(figures: Mapping[str, object], side: str) -> Mapping[str, Any]:
    found = figures.get(side)
    return found if isinstance(found, dict) else {}


def _figure(side: Mapping[str, Any], key: str) -> str:
    value = side.get(key)
    if value is None:
        return "-"
    unit = " ms" if key.endswith("_ms") else " MB" if key.endswith("_mb") else ""
    return f"{value:.0f}{unit}" if unit else f"{value:,}"
