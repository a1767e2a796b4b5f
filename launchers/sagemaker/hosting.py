"""What endpoints are made of, as requests: Model, EndpointConfig, and how an update goes.

A model and a config are named by the digest of what they say, so that one that exists is the one that is meant, and a
config that is live tells whether everything is as declared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earthsnap_train.pipeline.plan import digest_of
from earthsnap_train.release.registry import Release
from earthsnap_train.serving.minutes import VARIABLE
from earthsnap_train.spec.deployment import EndpointName, SageMaker
from earthsnap_train.spec.deployment_sagemaker import Capture, SageMakerProd, Shadow
from earthsnap_train.spec.rollout import Step
from earthsnap_train.spec.serving import Serving
from launchers.sagemaker import places
from launchers.sagemaker.names import short

LIMIT = 63  # characters of an endpoint, a config or a model
VARIANT = "release"  # the same for every release: only so does an update keep its capacity
SHADOW = "shadow"
START_WITHIN_S = 600  # a container, after its files are there
_DIGITS = 10
_OWN_DISKS = (
    "m5d",
    "c5d",
    "r5d",
    "m5dn",
    "m6gd",
    "m6id",
    "c6gd",
    "c6id",
    "r6gd",
    "r6id",
    "g4dn",
    "g5",
    "g6",
    "p4d",
    "p5",
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A config and its models, as requests of CreateEndpointConfig and CreateModel, and the releases that they serve."""

    config: Mapping[str, Any]
    models: tuple[Mapping[str, Any], ...]
    releases: tuple[Release, ...]

    @property
    def name(self) -> str:
        return str(self.config["EndpointConfigName"])


def endpoint_name(family: str, endpoint: EndpointName) -> str:
    return short(f"{family}-{endpoint}", LIMIT)


def made(
    release: Release, on: SageMaker, serving: Serving, endpoint: EndpointName, *, beside: Release | None = None
) -> Made:
    """``beside``: a release that answers too, unseen."""
    settings = on.stage if endpoint == "stage" else on.prod
    name = endpoint_name(release.family, endpoint)
    role = settings.role or on.role
    models = [_model(release, on, serving, name, role)]
    variants = {
        "ProductionVariants": [_variant(VARIANT, models[0], settings.instance_type, settings.instance_count, 1.0)]
    }
    if beside is not None:
        shadow = on.prod.shadow
        assert isinstance(shadow, Shadow)
        models.append(_model(beside, on, serving, name, role))
        variants["ShadowProductionVariants"] = [
            _variant(SHADOW, models[1], shadow.instance_type, shadow.instance_count, shadow.share)
        ]
    own_disk = any(_has_own_disk(one["InstanceType"]) for group in variants.values() for one in group)
    config = {
        **variants,
        **({"KmsKeyId": on.kms_key} if on.kms_key and not own_disk else {}),
        **(_capture(settings.capture, on, release.family, endpoint) if settings.capture is not None else {}),
        "Tags": _tags(on, release),
    }
    served = (release,) if beside is None else (release, beside)
    named = _named(f"{name}-{release.number}", config)
    return Made(config={"EndpointConfigName": named, **config}, models=tuple(models), releases=served)


def _model(release: Release, on: SageMaker, serving: Serving, endpoint: str, role: str) -> dict[str, Any]:
    environment = {
        VARIABLE: endpoint,  # where a line of figures a minute comes from
        # Golden answers depend on these; how much a container takes on is the image's business.
        "EARTHSNAP_SERVING": f"serving.engine={serving.engine} serving.precision={serving.precision}",
    }
    request: dict[str, Any] = {
        "PrimaryContainer": {
            "Image": on.image,
            "Environment": environment,
            "ModelDataSource": {
                "S3DataSource": {
                    "S3Uri": f"s3://{on.bucket}/{on.prefix}/{places.release_folder(release.family, release.digest)}/",
                    "S3DataType": "S3Prefix",
                    "CompressionType": "None",
                }
            },
        },
        "ExecutionRoleArn": role,
        "EnableNetworkIsolation": True,  # it answers, and has nothing to ask
        **({"VpcConfig": {"SecurityGroupIds": on.security_groups, "Subnets": on.subnets}} if on.subnets else {}),
        "Tags": _tags(on, release),
    }  # fmt: skip
    return {"ModelName": _named(release.name, request), **request}


def _variant(name: str, model: Mapping[str, Any], instance_type: str, num: int, weight: float) -> dict[str, Any]:
    return {
        "VariantName": name, "ModelName": model["ModelName"], "InstanceType": instance_type, "InitialInstanceCount": num,
        "InitialVariantWeight": weight, "ContainerStartupHealthCheckTimeoutInSeconds": START_WITHIN_S,
    }  # fmt: skip


def _capture(capture: Capture, on: SageMaker, family: str, endpoint: EndpointName) -> dict[str, Any]:
    modes = ["Output", *(["Input"] if capture.inputs and capture.consent else [])]
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": max(1, round(100 * capture.outputs)),
            "DestinationS3Uri": f"s3://{on.bucket}/{on.prefix}/captured/{family}/{endpoint}",
            **({"KmsKeyId": on.kms_key} if on.kms_key else {}),
            "CaptureOptions": [{"CaptureMode": mode} for mode in modes],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    }


def _tags(on: SageMaker, release: Release) -> list[dict[str, str]]:
    tags = {**on.tags, "earthsnap:family": release.family, "earthsnap:release": release.name}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _named(readable: str, content: Mapping[str, Any]) -> str:
    return f"{short(readable, LIMIT - _DIGITS - 1)}-{digest_of(content)[:_DIGITS]}"


def _has_own_disk(instance_type: str) -> bool:
    """Such disks are encrypted by the machine itself, and the service refuses a key for them."""
    return instance_type.split(".")[1] in _OWN_DISKS


# ---- an update


def guarded(prod: SageMakerProd, alarms: list[str]) -> dict[str, Any]:
    """The DeploymentConfig of an update that goes step by step, and back at any of these alarms."""
    assert alarms, "without alarms nothing goes back"
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": _traffic(prod.steps),
            "TerminationWaitInSeconds": prod.terminate_wait_s,
            "MaximumExecutionTimeoutInSeconds": prod.max_update_s,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }


def _traffic(steps: list[Step]) -> dict[str, Any]:
    size = {"Type": "CAPACITY_PERCENT", "Value": max(1, round(100 * steps[0].share))}
    return {
        "Type": "CANARY" if len(steps) == 1 else "LINEAR",
        "CanarySize" if len(steps) == 1 else "LinearStepSize": size,
        "WaitIntervalInSeconds": round(steps[0].bake_s),
    }
