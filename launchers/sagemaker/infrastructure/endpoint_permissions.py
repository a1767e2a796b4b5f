"""Who may do what with an endpoint: who moves it, and what its containers act as."""

from collections.abc import Iterator

from launchers.sagemaker.infrastructure.permission import Permission, passing
from launchers.sagemaker.infrastructure.site import Part, Principal, Site


def endpoint_permissions(site: Site, part: Part) -> Iterator[Permission]:
    yield from _deploying(site, part)
    yield from _watching(site, part, (deployer(site, part),))
    yield from _serving(site, part)


def deployer(site: Site, part: Part) -> Principal:
    """Who moves an endpoint: the rollout itself, or in another account a role of that account which it takes on."""
    if not site.is_apart(part):
        return "rollout"
    return "stage-deploy" if part == "stage" else "prod-deploy"


def server(part: Part) -> Principal:
    return "stage-endpoint" if part == "stage" else "prod-endpoint"


def _deploying(site: Site, part: Part) -> Iterator[Permission]:
    who = (deployer(site, part),)
    endpoint = site.name(part)
    made = tuple(site.arn("sagemaker", f"{kind}/{site.every_name}", part=part) for kind in ("model", "endpoint-config"))
    live = site.arn("sagemaker", f"endpoint/{endpoint}", part=part)
    yield Permission(
        who=who, may=("sagemaker:CreateEndpointConfig", "sagemaker:CreateModel"), on=made,
        because="models and configurations are named by what they hold, and are never changed",
    )  # fmt: skip
    yield Permission(
        who=who, may=("sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"), on=(live, made[1]),
        because=f"moves {part} to a release",
    )  # fmt: skip
    yield Permission(
        who=who, may=("sagemaker:DeleteEndpoint",), on=(live,), because="makes one anew that could not be made"
    )
    yield Permission(who=who, may=("sagemaker:DescribeEndpoint",), on=(live,), because="sees what is live")
    yield Permission(who=who, may=("sagemaker:AddTags",), on=(*made, live), because="tags what it makes, for bills")
    yield Permission(
        who=who, may=("sagemaker:InvokeEndpoint",), on=(live,), because="tests a release with golden photographs"
    )
    yield passing(site, who=who, role=server(part), because=f"the containers of {part} act as this role")
    scaling = "sagemaker.application-autoscaling.amazonaws.com"
    yield Permission(
        who=who, may=("iam:CreateServiceLinkedRole",), asked_by="service",
        on=(
            site.iam_arn(
                f"role/aws-service-role/{scaling}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint", part=part
            ),
        ),
        because="the first scaled endpoint of an account needs it", when={"StringEquals": {"iam:AWSServiceName": scaling}},
    )  # fmt: skip
    if site.is_apart(part):
        yield Permission(
            who=("rollout",), may=("sts:AssumeRole",), on=(site.role_arn(who[0]),),
            because=f"{part} is in another account",
        )  # fmt: skip


def _watching(site: Site, part: Part, who: tuple[Principal, ...]) -> Iterator[Permission]:
    yield Permission(
        who=who, on=(site.arn("cloudwatch", f"alarm:{site.every_name}", part=part),), because="no alarm, no rollout",
        may=("cloudwatch:DescribeAlarmHistory", "cloudwatch:PutMetricAlarm", "cloudwatch:SetAlarmState"),
    )  # fmt: skip
    yield Permission(
        who=who, may=("cloudwatch:DescribeAlarms",), on=("*",),
        because="alarms must be well before an update; composite ones are shown to nobody whose right is narrower",
    )  # fmt: skip
    yield Permission(
        who=who,
        may=("cloudwatch:GetMetricData",),
        on=("*",),
        because="compares a release with the champion; knows no resources",
    )
    yield Permission(
        who=who, on=(site.arn("application-autoscaling", "scalable-target/*", part=part),),
        may=(
            "application-autoscaling:DeleteScheduledAction", "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:PutScheduledAction", "application-autoscaling:RegisterScalableTarget",
        ),
        because="an endpoint follows its load",
        when={"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
    )  # fmt: skip
    yield Permission(
        who=who, may=("application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScheduledActions"),
        on=("*",), because="scaling is kept over updates; these know no resources",
    )  # fmt: skip


def _serving(site: Site, part: Part) -> Iterator[Permission]:
    who = (server(part),)
    yield Permission(
        who=who, may=("s3:GetObject",), on=(site.objects(f"registry/{site.family}/"),), asked_by="service",
        because="the model that it serves",
    )  # fmt: skip
    yield Permission(
        who=who, may=("s3:ListBucket",), on=(site.bucket_arn,), asked_by="service", because="finds the model's files",
        when={"StringLike": {"s3:prefix": [f"{site.infra.prefix}/registry/{site.family}/*"]}},
    )  # fmt: skip
    yield Permission(
        who=who, may=("s3:PutObject",), on=(site.objects("captured/"),), asked_by="service", because="captured answers"
    )
    yield Permission(
        who=who, may=("logs:CreateLogStream", "logs:PutLogEvents"), asked_by="service",
        on=(site.arn("logs", f"log-group:/aws/sagemaker/Endpoints/{site.name(part)}:*", part=part),),
        because="what containers print, metrics among it",
    )  # fmt: skip
