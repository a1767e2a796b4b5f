"""How many instances production has: moved by the service between declared bounds, and told again after each update."""

from typing import Any

from earthsnap_train.spec.deployment_sagemaker import Autoscaling
from launchers.sagemaker.aws import Aws
from launchers.sagemaker.hosting import VARIANT

OUT_COOLDOWN_S = 60
IN_COOLDOWN_S = 300


def requests(scaling: Autoscaling, endpoint: str) -> list[tuple[str, dict[str, Any]]]:
    """(operation of application-autoscaling, request); done again they change nothing."""
    about = {
        "ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }  # fmt: skip
    tracking = {
        "TargetValue": scaling.invocations_per_instance,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleOutCooldown": OUT_COOLDOWN_S,
        "ScaleInCooldown": IN_COOLDOWN_S,
    }
    bounds = {"MinCapacity": scaling.min_instances, "MaxCapacity": scaling.max_instances}
    policy = {
        "PolicyName": f"{endpoint}-invocations", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }  # fmt: skip
    floors = [
        {
            "ScheduledActionName": f"{endpoint}-floor-{number}", "Schedule": f"cron({floor.cron})",
            "Timezone": scaling.timezone, "ScalableTargetAction": {"MinCapacity": floor.min_instances},
        }
        for number, floor in enumerate(scaling.floors, 1)
    ]  # fmt: skip
    return [
        ("register_scalable_target", about | bounds),
        ("put_scaling_policy", about | policy),
        *(("put_scheduled_action", about | floor) for floor in floors),
    ]


def assert_scaling(aws: Aws, scaling: Autoscaling, endpoint: str) -> None:
    """Makes it what is declared, and takes away floors that are declared no more."""
    wanted = requests(scaling, endpoint)
    if _floor_holds(aws, endpoint, scaling):
        # Telling the bounds again would undo what a schedule raised them to.
        wanted = wanted[1:]
    for operation, request in wanted:
        aws.call("application-autoscaling", operation, **request)
    kept = {request.get("ScheduledActionName") for _, request in wanted}
    about = {"ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}"}
    there = aws.call("application-autoscaling", "describe_scheduled_actions", **about)
    for action in there.get("ScheduledActions", ()):
        if action["ScheduledActionName"] not in kept:
            aws.call(
                "application-autoscaling", "delete_scheduled_action",
                ScheduledActionName=action["ScheduledActionName"],
                ScalableDimension="sagemaker:variant:DesiredInstanceCount", **about,
            )  # fmt: skip


def _floor_holds(aws: Aws, endpoint: str, scaling: Autoscaling) -> bool:
    """Whether the bounds are those of a declared floor just now."""
    found = aws.call(
        "application-autoscaling", "describe_scalable_targets",
        ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{endpoint}/variant/{VARIANT}"],
    )  # fmt: skip
    now = {(one["MinCapacity"], one["MaxCapacity"]) for one in found.get("ScalableTargets", ())}
    return any((floor.min_instances, scaling.max_instances) in now for floor in scaling.floors)
