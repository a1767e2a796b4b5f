"""One page of figures: what runs, what fails, what endpoints answer."""

import json
from typing import Any

from launchers.sagemaker.infrastructure.site import ENDPOINTS, Json, Site

_WIDTH, _HEIGHT = 12, 6
_VARIANT = "AllTraffic"


def dashboard(site: Site) -> dict[str, Json]:
    """Of endpoints only those in the shared account: figures of others are theirs."""
    here = [part for part in ENDPOINTS if not site.is_apart(part)]
    pages = [
        ("pipelines", _of("AWS/Sagemaker/ModelBuildingPipeline", "PipelineName", [site.entry], _EXECUTIONS), "Sum"),
        ("builds", _of("AWS/CodeBuild", "ProjectName", [site.name(one) for one in _projects(site)], _BUILDS), "Sum"),
        ("dead letters", _of("AWS/SQS", "QueueName", [site.name("dead-letters")], _LETTERS), "Maximum"),
        *((f"{part}: answers", _endpoint(site.name(part), _ANSWERS), "Sum") for part in here),
        *((f"{part}: time, microseconds", _endpoint(site.name(part), _TIMES), "p95") for part in here),
    ]
    widgets = [
        {
            "type": "metric", "x": at % 2 * _WIDTH, "y": at // 2 * _HEIGHT, "width": _WIDTH, "height": _HEIGHT,
            "properties": {"title": title, "region": site.infra.region, "stat": stat, "period": 300, "metrics": metrics},
        }
        for at, (title, metrics, stat) in enumerate(pages)
    ]  # fmt: skip
    body = json.dumps({"widgets": widgets}, indent=1)
    return {
        "Dashboard": {
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {"DashboardName": site.name("overview"), "DashboardBody": body},
        }
    }


_EXECUTIONS = ("ExecutionStarted", "ExecutionSucceeded", "ExecutionFailed")
_BUILDS = ("SucceededBuilds", "FailedBuilds")
_LETTERS = ("ApproximateNumberOfMessagesVisible",)
_ANSWERS = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors")
_TIMES = ("ModelLatency", "OverheadLatency")


def _projects(site: Site) -> tuple[str, ...]:
    return ("build", "rollout") if site.infra.repository else ("rollout",)


def _of(namespace: str, dimension: str, values: list[str], metrics: tuple[str, ...]) -> list[list[Any]]:
    return [[namespace, metric, dimension, value] for value in values for metric in metrics]


def _endpoint(name: str, metrics: tuple[str, ...]) -> list[list[Any]]:
    return [["AWS/SageMaker", metric, "EndpointName", name, "VariantName", _VARIANT] for metric in metrics]
