"""The API passes on nothing that a caller wrote but what has the declared form, and one token starts one execution."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from launchers.sagemaker.infrastructure.api import schema, start_request, status_request
from launchers.sagemaker.infrastructure.template import template
from tests.launchers.sagemaker.infrastructure.declared_sites import ONE, site

TOKEN = "9d3c2f7e-4b1a-4c55-8f0e-2a6b7c8d9e0f"
BODY = {"family": "plants", "dataset_version": "0123456789abcdef", "token": TOKEN}
NASTY = ['a", "PipelineName": "other', "a\\", "${jndi}", "$input.body", "a\nb", "'", "é", "../../other", "a b", ""]


def evaluate(written: str, *, body: Mapping[str, str], path: Mapping[str, str]) -> str:
    """As API Gateway evaluates the few expressions that our templates have. Any other is an error."""

    def value(found: re.Match[str]) -> str:
        place, name = found["place"], found["body"] or found["path"]
        return escape_java_script(body.get(name, "") if "input.path" in place else path.get(name, ""))

    expression = (
        r"\$util\.escapeJavaScript\((?P<place>"
        r"\$input\.path\('\$\.(?P<body>\w+)'\)|\$input\.params\(\)\.path\.get\('(?P<path>\w+)'\))\)"
    )
    assert "$" not in re.sub(expression, "", written)
    return re.sub(expression, value, written)


def escape_java_script(text: str) -> str:
    """As Apache's commons-lang does it."""
    known = {
        '"': '\\"',
        "'": "\\'",
        "\\": "\\\\",
        "/": "\\/",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
    }
    units = (text.encode("utf-16-be")[at : at + 2] for at in range(0, len(text.encode("utf-16-be")), 2))
    characters = (int.from_bytes(unit, "big") for unit in units)
    return "".join(known.get(chr(c), chr(c) if 32 <= c < 127 else f"\\u{c:04x}") for c in characters)


def filled_in(written: str) -> str:
    """As CloudFormation does it."""
    return written.replace("${AWS::AccountId}", "123456789012")


def is_valid(body: object, form: Mapping[str, Any]) -> bool:
    """Of JSON Schema what ours uses."""
    assert set(form) == {"$schema", "type", "additionalProperties", "required", "properties"}
    if not isinstance(body, dict) or set(form["required"]) - set(body) or set(body) - set(form["properties"]):
        return False
    return all(
        value in allowed["enum"] if "enum" in allowed
        else isinstance(value, str) and re.search(allowed["pattern"], value) is not None and "\n" not in value
        for name, value in body.items() for allowed in [form["properties"][name]]
    )  # fmt: skip


def holds(operation: str, request: Mapping[str, Any]) -> bool:
    shape = Session().get_service_model("sagemaker").operation_model(operation).input_shape
    return not ParamValidator().validate(request, shape).has_errors()


def test_a_valid_body_becomes_a_request_that_starts_the_entry_pipeline() -> None:
    assert is_valid(BODY, schema(site(*ONE)))

    request = json.loads(evaluate(start_request(site(*ONE)), body=BODY, path={}))

    assert request == {
        "PipelineName": "plants",
        "ClientRequestToken": TOKEN,
        "PipelineParameters": [
            {"Name": "Run", "Value": TOKEN},
            {"Name": "DatasetVersion", "Value": "0123456789abcdef"},
        ],
    }
    assert holds("StartPipelineExecution", request)


def test_a_request_that_is_sent_twice_is_one_request_to_the_service() -> None:
    written = start_request(site(*ONE))
    again = dict(reversed(list(BODY.items())))

    assert evaluate(written, body=BODY, path={}) == evaluate(written, body=again, path={})
    other = evaluate(written, body=BODY | {"token": TOKEN.replace("9", "8")}, path={})
    assert json.loads(other)["ClientRequestToken"] != TOKEN


@pytest.mark.parametrize(
    "change",
    [
        {"family": "animals"},
        {"family": ["plants"]},
        {"token": "short"},
        {"token": "x" * 129},
        {"token": 1},
        {"token": None},
        {"dataset_version": "0123"},
        {"dataset_version": "ABCDEF012345"},
        {"PipelineName": "other"},
        *({name: f"{BODY[name]}{text}"} for name in ("token", "dataset_version") for text in NASTY if text),
    ],
    ids=str,
)
def test_a_body_of_another_form_is_refused(change: dict[str, Any]) -> None:
    assert not is_valid({**BODY, **change}, schema(site(*ONE)))


@pytest.mark.parametrize("name", BODY)
def test_everything_must_be_said(name: str) -> None:
    assert not is_valid({key: value for key, value in BODY.items() if key != name}, schema(site(*ONE)))


@given(st.text() | st.sampled_from(NASTY))
def test_no_text_gets_out_of_its_place_even_if_the_schema_let_it_in(text: str) -> None:
    """Whatever it holds, the request has the same keys and the same pipeline, or is no JSON and so refused by the service."""
    for written, at in ((start_request(site(*ONE)), "token"), (filled_in(status_request(site(*ONE))), "id")):
        try:
            request = json.loads(evaluate(written, body=BODY | {at: text}, path={at: text}))
        except ValueError:
            continue
        assert set(request) in ({"PipelineName", "ClientRequestToken", "PipelineParameters"}, {"PipelineExecutionArn"})
        if at == "token":
            assert request["PipelineName"] == "plants"
            assert [one["Name"] for one in request["PipelineParameters"]] == ["Run", "DatasetVersion"]
        else:
            assert request["PipelineExecutionArn"].endswith(f":pipeline/plants/execution/{text}")


def test_an_id_becomes_the_arn_of_an_execution_of_this_pipeline() -> None:
    found = json.loads(evaluate(filled_in(status_request(site(*ONE))), body={}, path={"id": "abcdef123456"}))

    assert found == {
        "PipelineExecutionArn": "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/plants/execution/abcdef123456"
    }
    assert holds("DescribePipelineExecution", found)


def test_only_whom_iam_allows_gets_in_and_no_body_goes_through_unread() -> None:
    methods = _properties("AWS::ApiGateway::Method")

    assert {(one["HttpMethod"], one["AuthorizationType"]) for one in methods} == {
        ("POST", "AWS_IAM"),
        ("GET", "AWS_IAM"),
    }
    for one in methods:
        assert one["RequestValidatorId"] == {"Ref": "Validator"}
        assert one["Integration"]["PassthroughBehavior"] == "NEVER"
        assert set(one["Integration"]["RequestTemplates"]) == {"application/json"}
    (validator,) = _properties("AWS::ApiGateway::RequestValidator")
    assert (validator["ValidateRequestBody"], validator["ValidateRequestParameters"]) == (True, True)
    (start,) = (one for one in methods if one["HttpMethod"] == "POST")
    assert start["RequestModels"] == {"application/json": {"Ref": "StartRequest"}}


def test_what_changes_in_the_api_is_deployed_anew() -> None:
    """A stage shows one deployment, and a deployment never changes."""

    def deployment(*typed: str) -> str:
        return next(name for name in template(site(*typed), "shared")["Resources"] if name.startswith("Deployment"))

    assert deployment(*ONE) == deployment(*ONE, "infra.captured_days=7")
    assert deployment(*ONE) != deployment("name=animals", *ONE[1:])


def _properties(kind: str) -> list[dict[str, Any]]:
    found = template(site(*ONE), "shared")["Resources"].values()
    return [one["Properties"] for one in found if one["Type"] == kind]
