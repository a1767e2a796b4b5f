"""The bucket and the repository of images, and what other accounts may do with them."""

import json

from launchers.sagemaker.infrastructure.permissions import permissions
from launchers.sagemaker.infrastructure.roles import logical, principals, statements
from launchers.sagemaker.infrastructure.site import ENDPOINTS, Json, Principal, Site

MOVING_TAG = "rollout"  # the image that rollouts run in; every other tag is never moved
_UNTAGGED_DAYS = 14
_UNFINISHED_DAYS = 7


def storage(site: Site) -> dict[str, Json]:
    resources = {"Images": _repository(site)}
    if site.infra.makes_bucket:
        resources |= {"Bucket": _bucket(site), "BucketPolicy": _bucket_policy(site)}
    return resources


def _bucket(site: Site) -> Json:
    key = site.key_arn
    by = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
    blocked = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    return {
        "Type": "AWS::S3::Bucket",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "BucketName": site.infra.bucket,
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {"ServerSideEncryptionByDefault": by, "BucketKeyEnabled": key is not None}
                ]
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": dict.fromkeys(blocked, True),
            "LifecycleConfiguration": {"Rules": _lifecycle(site)},
        },
    }


def _lifecycle(site: Site) -> list[Json]:
    return [
        {
            "Id": "overwritten",
            "Status": "Enabled",
            "NoncurrentVersionExpiration": {"NoncurrentDays": site.infra.noncurrent_days},
            "ExpiredObjectDeleteMarker": True,
        },
        {
            "Id": "unfinished",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UNFINISHED_DAYS},
        },
        {
            "Id": "captured",
            "Status": "Enabled",
            "Prefix": f"{site.infra.prefix}/captured/",
            "ExpirationInDays": site.infra.captured_days,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
        {
            "Id": "checkpoints",
            "Status": "Enabled",
            "Prefix": f"{site.infra.prefix}/checkpoints/",
            "ExpirationInDays": site.infra.noncurrent_days,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
    ]


def _bucket_policy(site: Site) -> Json:
    every = [site.bucket_arn, f"{site.bucket_arn}/*"]
    unencrypted = {
        "Sid": "OnlyTLS", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": every,
        "Condition": {"Bool": {"aws:SecureTransport": False}},
    }  # fmt: skip
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Bucket"},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [unencrypted, *_for_others(site, "s3:")]},
        },
    }


def _repository(site: Site) -> Json:
    rule = {
        "rulePriority": 1, "description": "what no tag names any more",
        "selection": {
            "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": _UNTAGGED_DAYS,
        },
        "action": {"type": "expire"},
    }  # fmt: skip
    properties: Json = {
        "RepositoryName": site.repository,
        "ImageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
        "ImageTagMutabilityExclusionFilters": [
            {"ImageTagMutabilityExclusionFilterType": "WILDCARD", "ImageTagMutabilityExclusionFilterValue": MOVING_TAG}
        ],
        "ImageScanningConfiguration": {"ScanOnPush": True},
        "EncryptionConfiguration": {"EncryptionType": "KMS" if site.key_arn else "AES256"}
        | ({"KmsKey": site.key_arn} if site.key_arn else {}),
        "LifecyclePolicy": {"LifecyclePolicyText": json.dumps({"rules": [rule]})},
    }
    others = [
        {key: value for key, value in statement.items() if key != "Resource"} for statement in _for_others(site, "ecr:")
    ]
    if others:
        properties["RepositoryPolicyText"] = {"Version": "2012-10-17", "Statement": others}
    return {
        "Type": "AWS::ECR::Repository",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": properties,
    }


def _for_others(site: Site, service: str) -> list[Json]:
    """What roles in other accounts may do here: no more than their own policies say. A role that is not there yet cannot be
    named as a principal, so that its account is, and the role in a condition."""
    found = []
    rows = permissions(site)
    for part in ENDPOINTS:
        for who in principals(site, part) if site.is_apart(part) else ():
            for at, statement in enumerate(_of_service(who, service, statements(who, rows))):
                condition = {**statement.get("Condition", {}), "ArnEquals": {"aws:PrincipalArn": site.role_arn(who)}}
                account = site.iam_arn("root", part=part)
                found.append(
                    {
                        "Sid": f"{logical(who)}{at}", "Effect": "Allow", "Principal": {"AWS": account},
                        "Action": statement["Action"], "Resource": statement["Resource"], "Condition": condition,
                    }
                )  # fmt: skip
    return found


def _of_service(who: Principal, service: str, policy: list[Json]) -> list[Json]:
    return [
        statement for statement in policy
        if statement["Action"][0].startswith(service) and statement["Resource"] != ["*"]
    ]  # fmt: skip
