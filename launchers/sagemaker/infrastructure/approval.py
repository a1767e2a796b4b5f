"""A decision on a release in the Model Registry starts the rollout of exactly that model package."""

from launchers.sagemaker.infrastructure.builds import PACKAGE_VARIABLE
from launchers.sagemaker.infrastructure.site import Json, Site

_KEPT_S = 14 * 24 * 3600  # in the dead-letter queue
_OLDEST_S = 24 * 3600  # after which an event is given up
_MOST_TRIES = 30


def approval(site: Site) -> dict[str, Json]:
    return {"DeadLetters": _dead_letters(site), "DeadLettersPolicy": _queue_policy(), "Decision": _rule(site)}


def pattern(site: Site) -> Json:
    """Decisions on releases alone. What else is written to a package, by us or by a person, is told by the fields that were
    updated; an event that does not tell them is taken, for a rollout of what is settled already does nothing."""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {
            "ModelPackageGroupName": [site.release_group],
            "ModelApprovalStatus": ["Approved", "Rejected"],
            "UpdatedModelPackageFields": ["ModelApprovalStatus", {"exists": False}],
        },
    }


def transformer() -> Json:
    """The event's package, and nothing else of it, becomes a variable of the build."""
    variable = f'{{"name": "{PACKAGE_VARIABLE}", "type": "PLAINTEXT", "value": "<package>"}}'
    return {
        "InputPathsMap": {"package": "$.detail.ModelPackageArn"},
        "InputTemplate": f'{{"environmentVariablesOverride": [{variable}]}}',
    }


def _rule(site: Site) -> Json:
    target = {
        "Id": "rollout",
        "Arn": site.arn("codebuild", f"project/{site.name('rollout')}"),
        "RoleArn": {"Fn::GetAtt": ["ApprovalRole", "Arn"]},
        "InputTransformer": transformer(),
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
        "RetryPolicy": {"MaximumRetryAttempts": _MOST_TRIES, "MaximumEventAgeInSeconds": _OLDEST_S},
    }
    return {
        "Type": "AWS::Events::Rule",
        "DependsOn": ["Rollout"],
        "Properties": {
            "Name": site.name("decision"),
            "Description": f"A release of {site.family} was approved or rejected",
            "EventPattern": pattern(site),
            "State": "ENABLED",
            "Targets": [target],
        },
    }


def _dead_letters(site: Site) -> Json:
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "QueueName": site.name("dead-letters"),
            "MessageRetentionPeriod": _KEPT_S,
            "SqsManagedSseEnabled": True,
        },
    }


def _queue_policy() -> Json:
    queue = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    put = {
        "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Decision", "Arn"]}}},
    }  # fmt: skip
    unencrypted = {
        "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": queue,
        "Condition": {"Bool": {"aws:SecureTransport": False}},
    }  # fmt: skip
    return {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "Queues": [{"Ref": "DeadLetters"}],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [put, unencrypted]},
        },
    }
