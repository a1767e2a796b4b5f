"""What CloudWatch counted of a variant, in the words in which canaries are judged."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from earthsnap_train.release.endpoint import Latency, Served
from launchers.sagemaker.aws import Aws


def measured(aws: Aws, endpoint: str, variant: str, release: str, *, begun: datetime, ended: datetime) -> Served:
    """Requests, errors and latency by the service's own metrics; ``unsure`` by the line a minute of the container."""
    period_s = 60 * max(1, ceil((ended - begun).total_seconds() / 60))
    whole = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    own = [{"Name": "Endpoint", "Value": endpoint}, {"Name": "Release", "Value": release}]
    asked: Mapping[str, tuple[str, str, list[dict[str, str]], str]] = {
        "requests": ("AWS/SageMaker", "Invocations", whole, "Sum"),
        "errors": ("AWS/SageMaker", "Invocation5XXErrors", whole, "Sum"),
        "p50": ("AWS/SageMaker", "ModelLatency", whole, "p50"),
        "p95": ("AWS/SageMaker", "ModelLatency", whole, "p95"),
        "p99": ("AWS/SageMaker", "ModelLatency", whole, "p99"),
        "unsure": ("earthsnap", "Unsure", own, "Sum"),
    }
    queries: list[dict[str, Any]] = [
        {
            "Id": name,
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions},
                "Period": period_s, "Stat": statistic,
            },
        }
        for name, (namespace, metric, dimensions, statistic) in asked.items()
    ]  # fmt: skip
    answer = aws.call(
        "cloudwatch", "get_metric_data",
        MetricDataQueries=queries, StartTime=ended - timedelta(seconds=period_s), EndTime=ended,
    )  # fmt: skip
    found = {one["Id"]: one["Values"] for one in answer["MetricDataResults"]}
    # A window that does not begin on a whole period comes back as two.
    counted = {name: sum(map(int, found.get(name, ()))) for name in ("requests", "errors", "unsure")}
    latency = None
    if all(found.get(name) for name in ("p50", "p95", "p99")):
        latency = Latency(**{name: max(found[name]) / 1000 for name in ("p50", "p95", "p99")})  # microseconds
    unsure = min(counted["unsure"], max(0, counted["requests"] - counted["errors"]))
    return Served(
        state="ready", requests=counted["requests"], errors=counted["errors"], unsure=unsure, latency_ms=latency
    )
