"""The alarms that bring production back while it is being updated: made on the endpoint's own metrics, and looked at first."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from earthsnap_train.errors import EnvironmentProblem
from earthsnap_train.spec.deployment_sagemaker import Alarms
from launchers.sagemaker.aws import Aws
from launchers.sagemaker.hosting import VARIANT

MOST_LOOKS = 60  # ten minutes: a new alarm knows nothing before its first ones
NAMESPACE = "AWS/SageMaker"


def names(alarms: Alarms, endpoint: str) -> list[str]:
    """Of all that an update heeds, those that exist already last."""
    return [*(one["AlarmName"] for one in requests(alarms, endpoint)), *alarms.also]


def switch(endpoint: str) -> str:
    """The alarm that people set off: a service that is updating takes no other order."""
    return f"{endpoint}-taken-back"


def requests(alarms: Alarms, endpoint: str) -> list[dict[str, Any]]:
    """Of PutMetricAlarm. A minute without requests is a good minute."""
    variant = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}]

    def alarm(name: str, about: str, metric: str, threshold: float, **statistic: str) -> dict[str, Any]:
        return {
            "AlarmName": name, "AlarmDescription": about, "Namespace": NAMESPACE, "MetricName": metric,
            "Dimensions": variant, **statistic, "Period": 60, "EvaluationPeriods": 1, "Threshold": threshold,
            "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
        }  # fmt: skip

    # The service reports 1 for each such answer and 0 for each other, so that the average is a share.
    share_4xx = alarm(
        f"{endpoint}-4xx", "share of requests that were refused", "Invocation4XXErrors", alarms.max_4xx_share,
        Statistic="Average",
    )  # fmt: skip
    share_5xx = alarm(
        f"{endpoint}-5xx", "share of requests that failed", "Invocation5XXErrors", alarms.max_5xx_share,
        Statistic="Average",
    )  # fmt: skip
    slow = alarm(
        f"{endpoint}-p95", "95th percentile inside of the container, in microseconds", "ModelLatency",
        1000 * alarms.max_p95_ms, ExtendedStatistic="p95",
    )  # fmt: skip
    # A metric that nobody writes: this one is only ever set off by a rollback.
    by_hand = alarm(
        switch(endpoint), "set off by a rollback in the middle of an update", "TakenBack", 0, Statistic="Sum"
    )
    return [share_4xx, share_5xx, slow, by_hand | {"Namespace": "earthsnap"}]


def make(aws: Aws, alarms: Alarms, endpoint: str) -> None:
    """Makes them, or makes them what is declared by now."""
    for request in requests(alarms, endpoint):
        aws.call("cloudwatch", "put_metric_alarm", **request)


def states(aws: Aws, alarms: Alarms, endpoint: str) -> dict[str, tuple[str, str]]:
    """Name -> (state, why). Raises EnvironmentProblem for one that is not there."""
    wanted = names(alarms, endpoint)
    answer = aws.call("cloudwatch", "describe_alarms", AlarmNames=wanted, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    found = {
        one["AlarmName"]: (one["StateValue"], one.get("StateReason", ""))
        for one in [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
    }
    missing = [name for name in wanted if name not in found]
    if missing:
        raise EnvironmentProblem(
            f"there is no alarm {missing[0]}, and without its alarms production is not updated",
            where="deployment.prod.alarms.also" if missing[0] in alarms.also else "deployment.prod.alarms",
            remedy="make it, or take it out of the list" if missing[0] in alarms.also else "the same command again",
        )
    return found


def require_quiet(aws: Aws, alarms: Alarms, endpoint: str, pause: Callable[[], None]) -> None:
    """Waits until all are OK. Raises EnvironmentProblem where one is set off, or knows nothing after ``MOST_LOOKS``."""
    for _ in range(MOST_LOOKS):
        now = states(aws, alarms, endpoint)
        fired = [f"{name} ({why})" for name, (state, why) in now.items() if state == "ALARM"]
        silent = [name for name, (state, _) in now.items() if state != "OK"]
        if not silent:
            return
        if fired:
            break
        pause()
    raise EnvironmentProblem(
        f"an alarm is set off already: {'; '.join(fired)}" if fired else f"the alarm {silent[0]} knows nothing yet",
        where="deployment.prod.alarms",
        allowed="production is updated while all of its alarms are OK, for they bring it back",
        remedy="look at it in CloudWatch; once it is OK, the same command again",
    )


def fired_since(aws: Aws, alarms: Alarms, endpoint: str, since: float) -> str:
    """Which were set off since then (Unix time), and why, in words; empty for none. They may be OK again by now."""
    found = []
    for name in names(alarms, endpoint):
        history = aws.call(
            "cloudwatch", "describe_alarm_history",
            AlarmName=name, HistoryItemType="StateUpdate", StartDate=datetime.fromtimestamp(since, UTC),
            EndDate=datetime.now(UTC) + timedelta(minutes=1), ScanBy="TimestampDescending",
        )  # fmt: skip
        for item in history.get("AlarmHistoryItems", ()):
            new = json.loads(item.get("HistoryData") or "{}").get("newState", {})
            if new.get("stateValue") == "ALARM":
                found.append(f"{name} ({new.get('stateReason', '')})")
                break
    return "; ".join(found)


def set_off(aws: Aws, endpoint: str, why: str) -> None:
    """Has an update that is under way go back. The alarm is OK again at its next look."""
    aws.call("cloudwatch", "set_alarm_state", AlarmName=switch(endpoint), StateValue="ALARM", StateReason=why[:1000])
