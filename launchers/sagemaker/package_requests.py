"""What the Model Registry is told of a release and its nodes: requests of CreateModelPackage, less group and description."""

import json
from collections.abc import Mapping

from earthsnap_train import __version__
from earthsnap_train.models.family import Node
from earthsnap_train.release.catalogue import State
from earthsnap_train.serving.body import IMAGE_TYPES
from launchers.sagemaker.packages import metadata, status


def release_package(
    *, image: str, uri: str, state: State, family: str, digest: str, summary: Mapping[str, float],
    lineage: Mapping[str, str], nodes: Mapping[str, str], statistics: str, nodes_file: str,
) -> dict[str, object]:  # fmt: skip
    """``uri``: of the release's folder, with a slash at its end. ``nodes``: the ARN of each node's package."""
    about = {"family": family, "digest": digest, **lineage, "nodes": f"{uri}{nodes_file}"}
    source = {"S3Uri": f"{uri}{statistics}", "ContentType": "application/json"}
    return {
        "InferenceSpecification": _served(image, uri, "S3Prefix"),
        "ModelApprovalStatus": status(state),
        "ModelMetrics": {"ModelQuality": {"Statistics": source}},
        "CustomerMetadataProperties": metadata(about),
        "ModelCard": {
            "ModelCardContent": json.dumps(_card(uri, digest, summary, lineage, nodes)),
            "ModelCardStatus": "Draft",
        },
    }


def node_package(*, image: str, head: str, node: Node, digest: str, state: State) -> dict[str, object]:
    """``head``: the URI of its ONNX file. It is a record, approved with its release and not by itself."""
    about = {"digest": digest, "targets": node.targets, "classes": str(len(node.classes)), "trunk": node.trunk}
    return {
        "InferenceSpecification": _served(image, head, "S3Object"),
        "ModelApprovalStatus": status(state),
        "CustomerMetadataProperties": metadata(about),
    }


def statistics(summary: Mapping[str, float]) -> bytes:
    """As Model Monitor writes figures, which is what the Model Registry's pages read."""
    figures = {name: {"value": value, "standard_deviation": "NaN"} for name, value in summary.items()}
    return json.dumps({"multiclass_classification_metrics": figures}, indent=1).encode()


def _served(image: str, uri: str, kind: str) -> dict[str, object]:
    data = {"S3DataSource": {"S3Uri": uri, "S3DataType": kind, "CompressionType": "None"}}
    return {
        "Containers": [{"Image": image, "ModelDataSource": data}],
        "SupportedContentTypes": list(IMAGE_TYPES),
        "SupportedResponseMIMETypes": ["application/json"],
    }


def _card(
    uri: str, digest: str, summary: Mapping[str, float], lineage: Mapping[str, str], nodes: Mapping[str, str]
) -> dict[str, object]:
    figures = [{"name": name, "type": "number", "value": value} for name, value in summary.items()]
    packages = {f"package of {node}": arn for node, arn in nodes.items()}
    return {
        "model_overview": {"model_creator": f"earthsnap_train {__version__}", "model_artifact": [uri]},
        "intended_uses": {
            "purpose_of_model": "Names the species on a photograph.",
            "intended_uses": f"What it is good for, and what not, is in {uri}MODEL_CARD.md",
        },
        "evaluation_details": [
            {"name": "test photographs", "metric_groups": [{"name": "family", "metric_data": figures}]}
        ],
        "additional_information": {"custom_details": {"digest": digest, **lineage, **packages}},
    }
