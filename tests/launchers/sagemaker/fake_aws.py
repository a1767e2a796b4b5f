"""A stand-in for what of AWS hosts endpoints. It keeps them in memory, and holds each request against botocore's model.

An update takes four looks. It ends as asked, or with the config before where one of its alarms is set off meanwhile.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

from launchers.sagemaker.aws import Absent, Busy, Exists
from tests.launchers.sagemaker.shapes import problems_of

LOOKS = 4

# (the key of the release's files, body, content type, attributes) -> (status, body)
Answer = Callable[[str, bytes, str, str | None], tuple[int, bytes]]


@cache
def operations(service: str) -> Mapping[str, Any]:
    model = botocore.session.Session().get_service_model(service)
    return {xform_name(name): model.operation_model(name).input_shape for name in model.operation_names}


class Killed(BaseException):
    """This process is gone."""


class FakeAws:
    """``during`` is called while an update is under way; ``killed_after``: the so-many-th change that goes through."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.models: dict[str, Any] = {}
        self.configs: dict[str, Any] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.alarms: dict[str, str] = {}
        self.alarm_log: list[tuple[str, str]] = []
        self.scaling: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.during: Callable[[], None] | None = None
        self.does_not_start = ""
        self.figures: Mapping[str, list[float]] = {}
        self.killed_after: int | None = None

    def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        shape = operations(service)[operation]
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()
        if service == "sagemaker":
            assert not list(problems_of(request, shape)), list(problems_of(request, shape))
        self.asked[operation] += 1
        self.requests.append((operation, request))
        said: Mapping[str, Any] = getattr(self, f"_{operation}")(request)
        if not operation.startswith(("describe", "get")) and self.killed_after is not None:
            self.killed_after -= 1
            if self.killed_after == 0:
                self.killed_after = None
                raise Killed
        return said

    def invoke(
        self, endpoint: str, body: bytes, *, content_type: str, attributes: str | None = None
    ) -> tuple[int, bytes]:
        self.asked["invoke_endpoint"] += 1
        return self.answer(self.place(endpoint), body, content_type, attributes)

    def place(self, endpoint: str) -> str:
        """The key of the files of the release that answers."""
        config = self.configs[self.endpoints[endpoint]["EndpointConfigName"]]
        model = self.models[config["ProductionVariants"][0]["ModelName"]]
        uri: str = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"]
        return uri.removeprefix("s3://").partition("/")[2]

    def requests_of(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.requests if name == operation]

    def set_off(self, name: str, why: str = "too many") -> None:
        self.alarms[name] = "ALARM"
        self.alarm_log.append((name, why))

    # ---- SageMaker

    def _create_model(self, request: dict[str, Any]) -> Mapping[str, Any]:
        return self._new(self.models, request["ModelName"], request)

    def _create_endpoint_config(self, request: dict[str, Any]) -> Mapping[str, Any]:
        for variant in (*request["ProductionVariants"], *request.get("ShadowProductionVariants", ())):
            assert variant["ModelName"] in self.models
        return self._new(self.configs, request["EndpointConfigName"], request)

    def _create_endpoint(self, request: dict[str, Any]) -> Mapping[str, Any]:
        about = {"EndpointConfigName": request["EndpointConfigName"], "EndpointStatus": "Creating", "looks": LOOKS}
        return self._new(self.endpoints, request["EndpointName"], about)

    def _delete_endpoint(self, request: dict[str, Any]) -> Mapping[str, Any]:
        del self.endpoints[request["EndpointName"]]
        return {}

    def _update_endpoint(self, request: dict[str, Any]) -> Mapping[str, Any]:
        endpoint = self.endpoints[request["EndpointName"]]
        if endpoint["EndpointStatus"] != "InService":
            raise Busy("Cannot update in-progress endpoint")
        assert request["EndpointConfigName"] in self.configs
        endpoint |= {"EndpointStatus": "Updating", "looks": LOOKS, "goal": request}
        return {}

    def _describe_endpoint(self, request: dict[str, Any]) -> Mapping[str, Any]:
        if request["EndpointName"] not in self.endpoints:
            raise Absent("Could not find endpoint")
        endpoint = self.endpoints[request["EndpointName"]]
        if endpoint["EndpointStatus"] in ("Creating", "Updating"):
            self._look(endpoint)
        said = {
            key: endpoint[key] for key in ("EndpointConfigName", "EndpointStatus", "FailureReason") if key in endpoint
        }
        if "goal" in endpoint:
            said["PendingDeploymentSummary"] = {"EndpointConfigName": endpoint["goal"]["EndpointConfigName"]}
        return said

    def _look(self, endpoint: dict[str, Any]) -> None:
        endpoint["looks"] -= 1
        goal = endpoint.get("goal", {})
        if goal.get("DeploymentConfig") and self.during is not None:
            during, self.during = self.during, None
            during()
        heeded = (
            [one["AlarmName"] for one in goal["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]]
            if "DeploymentConfig" in goal
            else []
        )
        if any(self.alarms.get(name) == "ALARM" for name in heeded):
            endpoint["EndpointStatus"] = "InService"  # as quietly as the service does it
            del endpoint["goal"]
            self.alarms |= dict.fromkeys(heeded, "OK")
        elif endpoint["looks"] <= 0:
            first = endpoint["EndpointStatus"] == "Creating"
            if self.does_not_start:
                endpoint |= {"EndpointStatus": "Failed" if first else "InService", "FailureReason": self.does_not_start}
            else:
                endpoint |= {"EndpointStatus": "InService"}
                endpoint["EndpointConfigName"] = goal.get("EndpointConfigName", endpoint["EndpointConfigName"])
            endpoint.pop("goal", None)

    def _new(self, kept: dict[str, Any], name: str, what: dict[str, Any]) -> Mapping[str, Any]:
        if name in kept:
            raise Exists(f"Cannot create already existing {name}")
        kept[name] = what
        return {}

    # ---- CloudWatch

    def _put_metric_alarm(self, request: dict[str, Any]) -> Mapping[str, Any]:
        self.alarms.setdefault(request["AlarmName"], "OK")
        return {}

    def _describe_alarms(self, request: dict[str, Any]) -> Mapping[str, Any]:
        there = [name for name in request["AlarmNames"] if name in self.alarms]
        return {
            "MetricAlarms": [{"AlarmName": n, "StateValue": self.alarms[n], "StateReason": "so it is"} for n in there]
        }

    def _set_alarm_state(self, request: dict[str, Any]) -> Mapping[str, Any]:
        self.set_off(request["AlarmName"], request["StateReason"])
        return {}

    def _describe_alarm_history(self, request: dict[str, Any]) -> Mapping[str, Any]:
        items = [
            {"HistoryData": json.dumps({"newState": {"stateValue": "ALARM", "stateReason": why}})}
            for name, why in self.alarm_log
            if name == request["AlarmName"] and request["StartDate"] <= datetime.now(UTC)
        ]
        return {"AlarmHistoryItems": items}

    def _get_metric_data(self, request: dict[str, Any]) -> Mapping[str, Any]:
        def values(query: dict[str, Any]) -> list[float]:
            who = query["MetricStat"]["Metric"]["Dimensions"][1]["Value"]
            return list(self.figures.get(f"{who}.{query['Id']}", ()))

        results = [{"Id": one["Id"], "Values": values(one)} for one in request["MetricDataQueries"]]
        return {"MetricDataResults": results}

    # ---- autoscaling

    def _register_scalable_target(self, request: dict[str, Any]) -> Mapping[str, Any]:
        self.scaling["target"] = request
        return {}

    def _put_scaling_policy(self, request: dict[str, Any]) -> Mapping[str, Any]:
        self.scaling["policy"] = request
        return {}

    def _put_scheduled_action(self, request: dict[str, Any]) -> Mapping[str, Any]:
        self.scaling.setdefault("actions", {})[request["ScheduledActionName"]] = request
        return {}

    def _delete_scheduled_action(self, request: dict[str, Any]) -> Mapping[str, Any]:
        del self.scaling["actions"][request["ScheduledActionName"]]
        return {}

    def _describe_scheduled_actions(self, request: dict[str, Any]) -> Mapping[str, Any]:
        return {"ScheduledActions": list(self.scaling.get("actions", {}).values())}

    def _describe_scalable_targets(self, request: dict[str, Any]) -> Mapping[str, Any]:
        return {"ScalableTargets": [self.scaling["target"]] if "target" in self.scaling else []}
