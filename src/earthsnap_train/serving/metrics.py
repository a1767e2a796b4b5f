"""What a server tells Prometheus about itself."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from earthsnap_train.serving.batching import Observer
from earthsnap_train.serving.minutes import Minutes

_SECONDS: Final = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ANSWERING: Final = ("/invocations", "/v1/identify")
_COUNTS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 32)


class Metrics:
    """One registry for one server, so that several can live in one process. ``minutes`` hears of each answer, too."""

    def __init__(self, release: str, minutes: Minutes | None = None) -> None:
        self._minutes = minutes
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter("earthsnap_requests", "Requests answered", ["route", "code"], registry=self.registry)
        self._seconds = Histogram(
            "earthsnap_request_seconds",
            "From the first header to the answer",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._answers = Counter(
            "earthsnap_answers", "Plants named, and why not to the species", ["reason"], registry=self.registry
        )
        self.feedback = Counter("earthsnap_feedback", "Corrections by people", registry=self.registry)
        self._children = Histogram(
            "earthsnap_children_run", "Children asked, a photograph", buckets=_COUNTS, registry=self.registry
        )
        self._waited = Histogram(
            "earthsnap_waited_seconds", "In line before work began", buckets=_SECONDS, registry=self.registry
        )
        self._batch = Histogram(
            "earthsnap_batch_photographs", "Answered together", buckets=_COUNTS, registry=self.registry
        )
        about_release = GaugeMetricFamily("earthsnap_release", "1 for the release that is served", labels=["release"])
        about_release.add_metric([release], 1)
        self.registry.register(_Looked(lambda: iter([about_release])))

    def answered(self, route: str, code: int, seconds: float) -> None:
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)
        if self._minutes is not None and route in ANSWERING:
            self._minutes.answered(code, seconds)

    def named(self, reason: str) -> None:
        """Of an answer: why it names no species, or ``certain``."""
        self._answers.labels(reason).inc()
        if self._minutes is not None:
            self._minutes.named(reason)

    def children_run(self, count: int) -> None:
        self._children.observe(count)

    @property
    def observer(self) -> Observer:
        return Observer(waited_s=self._waited.observe, batch_size=self._batch.observe)

    def look(
        self,
        *,
        num_waiting: Callable[[], int],
        num_loads: Callable[[], int],
        num_evictions: Callable[[], int],
        num_models: Callable[[], int],
        num_lost: Callable[[], int],
    ) -> None:
        """Figures that others keep, looked up whenever somebody asks."""

        def looked() -> Iterator[Metric]:
            yield GaugeMetricFamily("earthsnap_waiting_photographs", "In line", value=num_waiting())
            yield GaugeMetricFamily("earthsnap_models_open", "Networks in memory", value=num_models())
            yield CounterMetricFamily("earthsnap_model_loads", "Networks opened", value=num_loads())
            yield CounterMetricFamily("earthsnap_model_evictions", "Networks put out", value=num_evictions())
            yield CounterMetricFamily("earthsnap_journal_lost", "Lines that could not be written", value=num_lost())

        self.registry.register(_Looked(looked))

    def text(self) -> bytes:
        text: bytes = generate_latest(self.registry)
        return text


class _Looked(Collector):
    def __init__(self, look: Callable[[], Iterator[Metric]]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        return self._look()
