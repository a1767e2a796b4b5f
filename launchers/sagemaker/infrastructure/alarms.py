"""What somebody must be told of, and the topic that tells them."""

from launchers.sagemaker.infrastructure.site import Json, Part, Site

_PERIOD_S = 300


def topic(site: Site, part: Part) -> dict[str, Json]:
    """Encrypted with a key of its own, since alarms may not use the one that SNS has for everybody."""
    name = site.name(f"{part}-alarms")
    resources = {
        "AlarmsKey": _key(site, part),
        "Alarms": {
            "Type": "AWS::SNS::Topic",
            "Properties": {"TopicName": name, "KmsMasterKeyId": {"Ref": "AlarmsKey"}},
        },
        "AlarmsPolicy": _topic_policy(site, part),
    }
    if site.infra.alarm_email is not None:
        resources["AlarmsEmail"] = {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"TopicArn": {"Ref": "Alarms"}, "Protocol": "email", "Endpoint": site.infra.alarm_email},
        }
    return resources


def alarms(site: Site) -> dict[str, Json]:
    found = {
        "DeadLettersAlarm": _alarm(
            site, "dead-letters", "a decision on a release could not start its rollout", namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible", statistic="Maximum",
            dimensions={"QueueName": site.name("dead-letters")},
        ),
        "ExecutionsAlarm": _alarm(
            site, "failed-executions", "the entry pipeline failed", namespace="AWS/Sagemaker/ModelBuildingPipeline",
            metric="ExecutionFailed", statistic="Sum", dimensions={"PipelineName": site.entry},
        ),
        "RolloutAlarm": _failed_build(site, "rollout"),
    }  # fmt: skip
    return found | ({"BuildAlarm": _failed_build(site, "build")} if site.infra.repository else {})


def budget(site: Site) -> dict[str, Json]:
    """Of the whole account: costs are filtered by tags only where somebody activated these for billing."""
    if site.infra.budget is None:
        return {}
    told = [{"SubscriptionType": "EMAIL", "Address": site.infra.budget.email}]
    limits = [("ACTUAL", 80), ("FORECASTED", 100)]
    return {
        "Budget": {
            "Type": "AWS::Budgets::Budget",
            "Properties": {
                "Budget": {
                    "BudgetName": site.name("monthly"),
                    "BudgetType": "COST",
                    "TimeUnit": "MONTHLY",
                    "BudgetLimit": {"Amount": site.infra.budget.monthly_usd, "Unit": "USD"},
                },
                "NotificationsWithSubscribers": [
                    {
                        "Notification": {
                            "NotificationType": kind, "ComparisonOperator": "GREATER_THAN", "Threshold": share,
                            "ThresholdType": "PERCENTAGE",
                        },
                        "Subscribers": told,
                    }
                    for kind, share in limits
                ],
            },
        }
    }  # fmt: skip


def _failed_build(site: Site, name: str) -> Json:
    return _alarm(
        site, f"failed-{name}", f"the CodeBuild project {site.name(name)} failed", namespace="AWS/CodeBuild",
        metric="FailedBuilds", statistic="Sum", dimensions={"ProjectName": site.name(name)},
    )  # fmt: skip


def _alarm(
    site: Site, name: str, about: str, *, namespace: str, metric: str, statistic: str, dimensions: dict[str, str]
) -> Json:
    """At the first one, and silent where nothing is measured."""
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": site.name(name),
            "AlarmDescription": f"{site.family}: {about}",
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            "Statistic": statistic,
            "Period": _PERIOD_S,
            "EvaluationPeriods": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 0,
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": "Alarms"}],
        },
    }


def _key(site: Site, part: Part) -> Json:
    account = site.account(part)
    ours = {
        "Sid": "Account", "Effect": "Allow", "Principal": {"AWS": site.iam_arn("root", part=part)},
        "Action": "kms:*", "Resource": "*",
    }  # fmt: skip
    alarming = {
        "Sid": "Alarms", "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }  # fmt: skip
    return {
        "Type": "AWS::KMS::Key",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "Description": f"Messages of {site.name(f'{part}-alarms')}",
            "EnableKeyRotation": True,
            "PendingWindowInDays": 7,
            "KeyPolicy": {"Version": "2012-10-17", "Statement": [ours, alarming]},
        },
    }


def _topic_policy(site: Site, part: Part) -> Json:
    publish = {
        "Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}, "Action": "sns:Publish",
        "Resource": {"Ref": "Alarms"}, "Condition": {"StringEquals": {"aws:SourceAccount": site.account(part)}},
    }  # fmt: skip
    unencrypted = {
        "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": {"Ref": "Alarms"},
        "Condition": {"Bool": {"aws:SecureTransport": False}},
    }  # fmt: skip
    return {
        "Type": "AWS::SNS::TopicPolicy",
        "Properties": {
            "Topics": [{"Ref": "Alarms"}],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [publish, unencrypted]},
        },
    }
