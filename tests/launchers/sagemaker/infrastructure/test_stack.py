"""Stacks are compared and deployed: against moto for what it does, and by real answers for what it does not."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from earthsnap_train.errors import EnvironmentProblem, StageError
from launchers.sagemaker.infrastructure.stack import Change, Stacks, connect
from launchers.sagemaker.infrastructure.template import templates
from tests.launchers.sagemaker.infrastructure.declared_sites import ONE, site

NAME = "plants-infra-shared"
ID = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{NAME}/1"
SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/x/1"
AT = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-west-1")):
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_what_is_deployed_is_there_and_then_nothing_is_left_to_change(credentials: None) -> None:
    declared = site(*ONE)
    text, heard = templates(declared)["shared"], list[str]()
    with mock_aws():
        stacks = connect("eu-west-1")
        expected = stacks.diff(NAME, text, declared.tags)
        assert boto3.client("s3").list_buckets()["Buckets"] == []
        assert _stacks_there() == []

        made = stacks.deploy(NAME, text, declared.tags, tell=heard.append)

        assert made == expected
        assert {one.action for one in made} == {"Add"}
        assert f"create complete  {NAME} (AWS::CloudFormation::Stack)" in heard
        assert stacks.diff(NAME, text, declared.tags) == ()
        assert stacks.deploy(NAME, text, declared.tags, tell=heard.append) == ()
        _is_as_declared()
        assert _stacks_there() == [NAME]


def _stacks_there() -> list[str]:
    found = boto3.client("cloudformation").list_stacks()["StackSummaries"]
    return [one["StackName"] for one in found if one["StackStatus"] != "DELETE_COMPLETE"]


def _is_as_declared() -> None:
    (rule,) = boto3.client("s3").get_bucket_encryption(Bucket="photographs")["ServerSideEncryptionConfiguration"][
        "Rules"
    ]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    queues = boto3.client("sqs")
    url = queues.get_queue_url(QueueName="plants-dead-letters")["QueueUrl"]
    kept = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["MessageRetentionPeriod"])["Attributes"]
    assert kept["MessageRetentionPeriod"] == "1209600"
    roles = boto3.client("iam").list_roles()["Roles"]
    assert {one["RoleName"] for one in roles} == {
        f"plants-{who}" for who in ("job", "conductor", "rollout", "api", "approval")
    }
    (api,) = boto3.client("apigateway").get_rest_apis()["items"]
    paths = {one["path"] for one in boto3.client("apigateway").get_resources(restApiId=api["id"])["items"]}
    assert paths == {"/", "/executions", "/executions/{id}"}
    body = boto3.client("cloudwatch").get_dashboard(DashboardName="plants-overview")["DashboardBody"]
    assert json.loads(body)["widgets"]


# ---- what moto does not do


class Service:
    """Answers of CloudFormation, in their order. ``waited``: how often it was asked to be patient."""

    def __init__(self) -> None:
        self.client = boto3.client("cloudformation", region_name="eu-west-1")
        self.stub = Stubber(self.client)
        self.waited = 0
        self.stacks = Stacks(self.client, None, wait=self._wait)

    def _wait(self, seconds: float) -> None:
        self.waited += 1

    def state(self, status: str | None, of: str = NAME) -> None:
        if status is None:
            self.stub.add_client_error(
                "describe_stacks",
                "ValidationError",
                f"Stack with id {of} does not exist",
                expected_params={"StackName": of},
            )
            return
        stack = {"StackName": NAME, "StackId": ID, "StackStatus": status, "CreationTime": AT}
        self.stub.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": of})

    def change_set(self, kind: str, *described: dict[str, Any]) -> None:
        asked = {
            "StackName": NAME, "ChangeSetName": ANY, "ChangeSetType": kind, "TemplateBody": "{}", "Tags": [],
            "Capabilities": ["CAPABILITY_NAMED_IAM"], "OnStackFailure": "DELETE" if kind == "CREATE" else "ROLLBACK",
        }  # fmt: skip
        self.stub.add_response("create_change_set", {"Id": SET, "StackId": ID}, asked)
        for one in described:
            self.stub.add_response("describe_change_set", one, {"StackName": ID, "ChangeSetName": SET})

    def events(self, *said: tuple[str, str, str, str]) -> None:
        """Newest first: (id, resource, status, reason)."""
        found = [
            {
                "StackId": ID, "EventId": id_, "StackName": NAME, "LogicalResourceId": name, "ResourceType": "AWS::IAM::Role",
                "Timestamp": AT, "ResourceStatus": status, "ResourceStatusReason": reason,
            }
            for id_, name, status, reason in said
        ]  # fmt: skip
        self.stub.add_response("describe_stack_events", {"StackEvents": found}, {"StackName": ID})


@pytest.fixture
def service(credentials: None) -> Iterator[Service]:
    found = Service()
    with found.stub:
        yield found
        found.stub.assert_no_pending_responses()


def resource(action: str, name: str, replacement: str = "False") -> dict[str, Any]:
    change = {"Action": action, "LogicalResourceId": name, "ResourceType": "AWS::IAM::Role", "Replacement": replacement}
    return {"Type": "Resource", "ResourceChange": change}


CHANGED = {
    "Status": "CREATE_COMPLETE",
    "Changes": [resource("Modify", "JobRole", "Conditional"), resource("Remove", "ApiRole")],
}


def test_a_diff_waits_for_the_change_set_tells_it_and_takes_it_back(service: Service) -> None:
    service.state("UPDATE_COMPLETE")
    service.change_set("UPDATE", {"Status": "CREATE_IN_PROGRESS"}, CHANGED, CHANGED)
    service.stub.add_response("delete_change_set", {}, {"StackName": ID, "ChangeSetName": SET})

    assert service.stacks.diff(NAME, "{}", {}) == (
        Change(action="Modify", name="JobRole", kind="AWS::IAM::Role", replaces=True),
        Change(action="Remove", name="ApiRole", kind="AWS::IAM::Role", replaces=False),
    )
    assert service.waited == 1


def test_a_diff_of_what_is_not_there_leaves_no_empty_stack(service: Service) -> None:
    service.state(None)
    service.change_set("CREATE", CHANGED, CHANGED)
    service.stub.add_response("delete_change_set", {}, {"StackName": ID, "ChangeSetName": SET})
    service.stub.add_response("delete_stack", {}, {"StackName": ID})

    assert len(service.stacks.diff(NAME, "{}", {})) == 2


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_where_nothing_differs_nothing_is_done(service: Service, reason: str) -> None:
    service.state("UPDATE_COMPLETE")
    service.change_set("UPDATE", {"Status": "FAILED", "StatusReason": reason})
    service.stub.add_response("delete_change_set", {}, {"StackName": ID, "ChangeSetName": SET})

    assert service.stacks.deploy(NAME, "{}", {}, tell=lambda line: None) == ()


def test_a_template_that_is_refused_says_why(service: Service) -> None:
    service.state("UPDATE_COMPLETE")
    service.change_set("UPDATE", {"Status": "FAILED", "StatusReason": "Circular dependency"})
    service.stub.add_response("delete_change_set", {}, {"StackName": ID, "ChangeSetName": SET})

    with pytest.raises(StageError) as caught:
        service.stacks.deploy(NAME, "{}", {}, tell=lambda line: None)
    assert str(caught.value) == f"{NAME}: the template is refused: Circular dependency"


OLD = ("1", "JobRole", "CREATE_FAILED", "long ago")


def test_a_deployment_that_fails_says_what_failed_first_and_why(service: Service) -> None:
    heard: list[str] = []
    service.state("UPDATE_COMPLETE")
    service.change_set("UPDATE", CHANGED, CHANGED)
    service.events(OLD)
    service.stub.add_response("execute_change_set", {}, {"StackName": ID, "ChangeSetName": SET})
    service.state("UPDATE_IN_PROGRESS", of=ID)
    service.events(("2", "JobRole", "UPDATE_IN_PROGRESS", ""), OLD)
    service.state("UPDATE_ROLLBACK_COMPLETE", of=ID)
    service.events(
        ("6", "JobRole", "UPDATE_COMPLETE", ""),
        ("5", "ApiRole", "UPDATE_FAILED", "Resource update cancelled"),
        ("4", "Bucket", "UPDATE_FAILED", "no such key"),
        ("3", "JobRole", "UPDATE_FAILED", "no such action"),
        ("2", "JobRole", "UPDATE_IN_PROGRESS", ""),
        OLD,
    )

    with pytest.raises(StageError) as caught:
        service.stacks.deploy(NAME, "{}", {}, tell=heard.append)

    assert caught.value.where == NAME
    assert caught.value.what.splitlines() == [
        "JobRole (AWS::IAM::Role): no such action",
        "  Bucket (AWS::IAM::Role): no such key",
    ]
    assert "taken back" in caught.value.remedy
    assert heard == [
        "update in progress  JobRole (AWS::IAM::Role)",
        "update failed  JobRole (AWS::IAM::Role)",
        "update failed  Bucket (AWS::IAM::Role)",
        "update failed  ApiRole (AWS::IAM::Role)",
        "update complete  JobRole (AWS::IAM::Role)",
    ]


def test_a_first_deployment_that_fails_is_removed_and_still_says_why(service: Service) -> None:
    service.state(None)
    service.change_set("CREATE", CHANGED, CHANGED)
    service.events()
    service.stub.add_response("execute_change_set", {}, {"StackName": ID, "ChangeSetName": SET})
    service.state("DELETE_COMPLETE", of=ID)
    service.events(("1", "Bucket", "CREATE_FAILED", "photographs already exists"))

    with pytest.raises(StageError, match=r"Bucket \(AWS::IAM::Role\): photographs already exists"):
        service.stacks.deploy(NAME, "{}", {}, tell=lambda line: None)


@pytest.mark.parametrize(
    ("state", "what", "remedy"),
    [
        ("ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", f"delete-stack --stack-name {NAME}"),
        ("UPDATE_IN_PROGRESS", "a change is under way: UPDATE_IN_PROGRESS", "wait until it has ended"),
    ],
)
def test_a_stack_that_cannot_be_changed_now_is_left_alone(service: Service, state: str, what: str, remedy: str) -> None:
    service.state(state)

    with pytest.raises(EnvironmentProblem, match=what) as caught:
        service.stacks.deploy(NAME, "{}", {}, tell=lambda line: None)
    assert remedy in caught.value.remedy


def test_what_may_not_be_asked_is_said_in_our_words(service: Service) -> None:
    service.stub.add_client_error("describe_stacks", "AccessDenied", "User anna is not authorized")

    with pytest.raises(EnvironmentProblem) as caught:
        service.stacks.diff(NAME, "{}", {})
    said = "DescribeStacks was refused: User anna is not authorized (AccessDenied)"
    assert (caught.value.what, caught.value.where) == (said, NAME)
    assert caught.value.remedy == "the role or user that runs this needs the permission for DescribeStacks"


def test_outputs_are_told(service: Service) -> None:
    outputs = [{"OutputKey": "JobRole", "OutputValue": "arn:aws:iam::123456789012:role/plants-job"}]
    stack = {"StackName": NAME, "StackStatus": "CREATE_COMPLETE", "CreationTime": AT, "Outputs": outputs}
    service.stub.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": NAME})

    assert service.stacks.outputs(NAME) == {"JobRole": "arn:aws:iam::123456789012:role/plants-job"}


def test_without_boto3_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(EnvironmentProblem) as caught:
        connect("eu-west-1")
    assert caught.value.remedy == 'pip install "earthsnap_train[sagemaker]"'
