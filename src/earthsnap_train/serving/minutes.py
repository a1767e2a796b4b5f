"""A line of figures a minute on standard output, which CloudWatch makes metrics of (its embedded metric format).

Where ``EARTHSNAP_METRICS`` is set, to the name of the endpoint: no library, no network, no right to write metrics.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Final

VARIABLE: Final = "EARTHSNAP_METRICS"
NAMESPACE: Final = "earthsnap"
EVERY_S: Final = 60.0
MAX_VALUES: Final = 100  # of one metric in a line, by the format
_METRICS: Final = (("Requests", "Count"), ("Errors", "Count"), ("Unsure", "Count"), ("Latency", "Milliseconds"))

Say = Callable[[str], None]


class Minutes:
    """``Errors``: requests without an answer for no fault of theirs (5xx, 429). ``Unsure``: answers that name no species."""

    def __init__(
        self, release: str, endpoint: str, say: Say, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.time
    ) -> None:
        self._about = {"Endpoint": endpoint, "Release": release}
        self._say, self._clock = say, clock
        self._lock = threading.Lock()
        self._requests = self._errors = self._unsure = 0
        self._latencies_ms: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(every_s,), daemon=True, name="minutes")
        self._thread.start()

    def answered(self, code: int, seconds: float) -> None:
        with self._lock:
            self._requests += 1
            self._errors += code >= 500 or code == 429
            self._latencies_ms.append(1000 * seconds)

    def named(self, reason: str) -> None:
        with self._lock:
            self._unsure += reason != "certain"

    def close(self) -> None:
        """Says what has not been said yet."""
        self._ended.set()
        self._thread.join()

    def _run(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            self._tell()
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            counts = (self._requests, self._errors, self._unsure)
            latencies_ms, self._latencies_ms = self._latencies_ms, []
            self._requests = self._errors = self._unsure = 0
        if counts[0]:
            self._say(line(self._about, counts, latencies_ms, at_ms=int(1000 * self._clock())))


def line(about: dict[str, str], counts: tuple[int, int, int], latencies_ms: list[float], *, at_ms: int) -> str:
    """``counts``: requests, errors, unsure. Of more latencies than fit in, as many that have the same percentiles."""
    values = sorted(latencies_ms)
    if len(values) > MAX_VALUES:
        values = [values[round(place * (len(values) - 1) / (MAX_VALUES - 1))] for place in range(MAX_VALUES)]
    told = dict(zip(("Requests", "Errors", "Unsure"), counts, strict=True))
    metadata = {
        "Timestamp": at_ms,
        "CloudWatchMetrics": [
            {
                "Namespace": NAMESPACE,
                "Dimensions": [list(about)],
                "Metrics": [{"Name": name, "Unit": unit} for name, unit in _METRICS],
            }
        ],
    }
    said = {"_aws": metadata, **about, **told, "Latency": [round(ms, 2) for ms in values]}
    return json.dumps(said, separators=(",", ":"))


def begin(release: str) -> Minutes | None:
    """None where nobody asked for it."""
    endpoint = os.environ.get(VARIABLE)
    return Minutes(release, endpoint, lambda said: print(said, flush=True)) if endpoint else None  # noqa: T201
