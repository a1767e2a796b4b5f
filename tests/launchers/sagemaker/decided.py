"""Decisions in the Model Registry as EventBridge tells them, and what its rule makes of them, put into a queue."""

import json
from typing import Any

import boto3

from launchers.sagemaker.infrastructure.site import Site
from launchers.sagemaker.infrastructure.stack import connect
from launchers.sagemaker.infrastructure.template import templates

PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/plants-release/7"


def event(**detail: object) -> dict[str, Any]:
    """As the service's documentation shows it."""
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "SageMaker Model Package State Change",
        "source": "aws.sagemaker",
        "account": "123456789012",
        "time": "2026-11-26T17:00:14Z",
        "region": "eu-west-1",
        "resources": [PACKAGE],
        "detail": {
            "ModelPackageGroupName": "plants-release",
            "ModelPackageVersion": 7,
            "ModelPackageArn": PACKAGE,
            "CreationTime": "2026-11-26T17:00:14Z",
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/plants:1-serve",
                        "ImageDigest": "sha256:4dc8a7e4a010a19bb9e0a6b063f355393f6e623603361bd8b105f554d4f0c004",
                    }
                ],
                "SupportedContentTypes": ["image/jpeg"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CertifyForMarketplace": False,
            "ModelApprovalStatus": "Approved",
            "UpdatedModelPackageFields": ["ModelApprovalStatus", "ApprovalDescription"],
            "LastModifiedTime": "2026-11-26T17:00:14Z",
            **detail,
        },
    }


def tapped(declared: Site) -> str:
    """The shared stack, deployed; and a queue in place of the project, on its rule, with what the rule makes of an event."""
    events, queues = boto3.client("events"), boto3.client("sqs")
    connect("eu-west-1").deploy(
        declared.stack("shared"), templates(declared)["shared"], declared.tags, tell=lambda line: None
    )
    rule = declared.name("decision")
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    assert target["Arn"].endswith(":project/plants-rollout")
    queue: str = queues.create_queue(QueueName="tap")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule=rule, Targets=[{**target, "Arn": arn}])
    return queue


def messages(queue: str, *happened: dict[str, Any]) -> list[str]:
    """What the queue has of these events alone: each is taken out, or it would come again half a minute later."""
    entries = [
        {"Source": one["source"], "DetailType": one["detail-type"], "Detail": json.dumps(one["detail"])}
        for one in happened
    ]
    boto3.client("events").put_events(Entries=entries)
    sqs = boto3.client("sqs")
    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ())
    for one in got:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
    return [one["Body"] for one in got]
