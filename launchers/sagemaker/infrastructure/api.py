"""An API that starts the entry pipeline and tells how an execution stands, for callers whom IAM allows to.

::

    POST /executions            {"family": ..., "dataset_version": ..., "token": ...} -> {"execution": ARN}
    GET  /executions/{id}       id: what follows the last slash of that ARN -> {"status": ..., "reason": ...}

Nothing that a caller sends is passed on as it is: a schema refuses what is not of the form, and a template writes the
request. The token makes a request that is sent twice start one execution.
"""

import hashlib
import json

from launchers.sagemaker.infrastructure.site import Json, Site

TOKEN = "^[A-Za-z0-9_-]{32,128}$"  # noqa: S105 - what StartPipelineExecution takes as ClientRequestToken
DATASET_VERSION = "^(any|[0-9a-f]{12,64})$"
_STAGE = "v1"
_PER_SECOND = 2
_AT_ONCE = 5
_CONTENT = "application/json"


def api(site: Site) -> dict[str, Json]:
    resources = {
        "Api": _api(site),
        "Executions": _resource({"Fn::GetAtt": ["Api", "RootResourceId"]}, "executions"),
        "Execution": _resource({"Ref": "Executions"}, "{id}"),
        "StartRequest": _model(site),
        "Validator": {
            "Type": "AWS::ApiGateway::RequestValidator",
            "Properties": {
                "RestApiId": {"Ref": "Api"}, "Name": "form", "ValidateRequestBody": True, "ValidateRequestParameters": True,
            },
        },
        "Start": _method(
            site, "POST", "Executions", "StartPipelineExecution", request=start_request(site),
            response='{"execution": $input.json(\'$.PipelineExecutionArn\')}',
            asked={"RequestModels": {_CONTENT: {"Ref": "StartRequest"}}},
        ),
        "Status": _method(
            site, "GET", "Execution", "DescribePipelineExecution", request=status_request(site),
            response='{"status": $input.json(\'$.PipelineExecutionStatus\'), "reason": $input.json(\'$.FailureReason\')}',
            asked={"RequestParameters": {"method.request.path.id": True}},
        ),
    }  # fmt: skip
    deployment = f"Deployment{_digest(resources)}"
    return resources | {deployment: _deployment(), "Stage": _stage(site, deployment)}


def start_request(site: Site) -> str:
    """What API Gateway makes of a valid body. ``family`` chooses nothing: this API knows one pipeline.

    The token names the run too, so that whoever sent it finds what the run leaves behind.
    """
    return _as_template(
        {
            "PipelineName": site.entry,
            "ClientRequestToken": _given("body", "token"),
            "PipelineParameters": [
                {"Name": "Run", "Value": _given("body", "token")},
                {"Name": "DatasetVersion", "Value": _given("body", "dataset_version")},
            ],
        }
    )


def status_request(site: Site) -> str:
    return _as_template(
        {"PipelineExecutionArn": f"{site.arn('sagemaker', f'pipeline/{site.entry}')}/execution/{_given('path', 'id')}"}
    )


def schema(site: Site) -> Json:
    """``dataset_version: any`` takes whatever the source holds now."""
    texts = {"token": TOKEN, "dataset_version": DATASET_VERSION}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "additionalProperties": False,
        "required": ["family", "dataset_version", "token"],
        "properties": {
            "family": {"enum": [site.family]},
            **{name: {"type": "string", "pattern": pattern} for name, pattern in texts.items()},
        },
    }


def _given(where: str, name: str) -> str:
    found = f"$input.path('$.{name}')" if where == "body" else f"$input.params().path.get('{name}')"
    return f"$util.escapeJavaScript({found})"


def _as_template(request: Json) -> str:
    return json.dumps(request, indent=1)


# ---- resources


def _api(site: Site) -> Json:
    return {
        "Type": "AWS::ApiGateway::RestApi",
        "Properties": {
            "Name": site.name("api"),
            "Description": f"Starts the pipeline of {site.family}",
            "EndpointConfiguration": {"Types": ["REGIONAL"]},
        },
    }


def _resource(parent: Json, path: str) -> Json:
    return {
        "Type": "AWS::ApiGateway::Resource",
        "Properties": {"RestApiId": {"Ref": "Api"}, "ParentId": parent, "PathPart": path},
    }


def _model(site: Site) -> Json:
    return {
        "Type": "AWS::ApiGateway::Model",
        "Properties": {
            "RestApiId": {"Ref": "Api"}, "Name": "StartRequest", "ContentType": _CONTENT, "Schema": schema(site),
        },
    }  # fmt: skip


def _method(site: Site, verb: str, resource: str, operation: str, *, request: str, response: str, asked: Json) -> Json:
    """A body of any other content type is refused, as is one that the schema does not allow."""
    failed = {"application/json": "{\"error\": $input.json('$.message')}"}
    return {
        "Type": "AWS::ApiGateway::Method",
        "Properties": {
            "RestApiId": {"Ref": "Api"},
            "ResourceId": {"Ref": resource},
            "HttpMethod": verb,
            "AuthorizationType": "AWS_IAM",
            "RequestValidatorId": {"Ref": "Validator"},
            **asked,
            "Integration": {
                "Type": "AWS",
                "IntegrationHttpMethod": "POST",
                "Uri": f"arn:{site.partition}:apigateway:{site.infra.region}:api.sagemaker:path//",
                "Credentials": {"Fn::GetAtt": ["ApiRole", "Arn"]},
                "PassthroughBehavior": "NEVER",
                "RequestParameters": {
                    "integration.request.header.Content-Type": "'application/x-amz-json-1.1'",
                    "integration.request.header.X-Amz-Target": f"'SageMaker.{operation}'",
                },
                "RequestTemplates": {_CONTENT: request},
                "IntegrationResponses": [
                    {"StatusCode": "200", "ResponseTemplates": {_CONTENT: response}},
                    {"StatusCode": "400", "SelectionPattern": "4\\d{2}", "ResponseTemplates": failed},
                    {"StatusCode": "502", "SelectionPattern": "5\\d{2}", "ResponseTemplates": failed},
                ],
            },
            "MethodResponses": [{"StatusCode": code} for code in ("200", "400", "502")],
        },
    }


def _deployment() -> Json:
    return {
        "Type": "AWS::ApiGateway::Deployment",
        "DependsOn": ["Start", "Status"],
        "Properties": {"RestApiId": {"Ref": "Api"}},
    }


def _stage(site: Site, deployment: str) -> Json:
    return {
        "Type": "AWS::ApiGateway::Stage",
        "Properties": {
            "RestApiId": {"Ref": "Api"},
            "DeploymentId": {"Ref": deployment},
            "StageName": _STAGE,
            "MethodSettings": [
                {
                    "HttpMethod": "*", "ResourcePath": "/*", "MetricsEnabled": True,
                    "ThrottlingRateLimit": _PER_SECOND, "ThrottlingBurstLimit": _AT_ONCE,
                }
            ],
        },
    }  # fmt: skip


def _digest(resources: dict[str, Json]) -> str:
    """A stage shows what a deployment holds, and a deployment never changes: what is new has to be a new one."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:8]
