"""A part as a stack of CloudFormation: what would change, and making it so, by one and the same change set."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from earthsnap_train.errors import EnvironmentProblem, StageError
from launchers.sagemaker.clients import client, in_our_words
from launchers.sagemaker.infrastructure.site import listed

MOST_BYTES = 51_200  # of a template that is sent with the request
_LOOK_EVERY_S = 3.0
_NOTHING = ("didn't contain changes", "No updates are to be performed")
_STUCK = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED")
_WELL = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
_MOST_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Change:
    """``action``: Add, Modify, Remove, ... ``replaces``: whether the thing itself is made anew."""

    action: str
    name: str
    kind: str
    replaces: bool


@dataclass(frozen=True, kw_only=True)
class _Proposal:
    """A change set that waits. ``is_new``: its stack was made for it and holds nothing yet."""

    stack_id: str
    change_set: str
    is_new: bool
    changes: tuple[Change, ...]


def connect(region: str) -> "Stacks":
    """Raises EnvironmentProblem without boto3."""
    return Stacks(client("cloudformation", region=region), client("sts", region=region))


class Stacks:
    """The stacks of one account and region. Calls raise EnvironmentProblem without credentials or the right to make them."""

    def __init__(self, cloudformation: Any, sts: Any, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._cloudformation = cloudformation
        self._sts = sts
        self._wait = wait

    def account(self) -> str:
        """Whose credentials are used."""
        with in_our_words("the account"):
            found: str = self._sts.get_caller_identity()["Account"]
        return found

    def diff(self, stack: str, template: str, tags: Mapping[str, str]) -> tuple[Change, ...]:
        """What ``deploy`` would do. Nothing is left behind."""
        with in_our_words(stack):
            proposal = self._propose(stack, template, tags)
            if proposal is None:
                return ()
            self._withdraw(proposal)
        return proposal.changes

    def deploy(
        self, stack: str, template: str, tags: Mapping[str, str], *, tell: Callable[[str], None]
    ) -> tuple[Change, ...]:
        """``tell`` hears of each resource. Raises StageError with the reasons of what failed first."""
        with in_our_words(stack):
            proposal = self._propose(stack, template, tags)
            if proposal is None:
                return ()
            before = {event["EventId"] for event in self._events(proposal.stack_id, set())}
            self._cloudformation.execute_change_set(StackName=proposal.stack_id, ChangeSetName=proposal.change_set)
            self._follow(stack, proposal.stack_id, before, tell)
        return proposal.changes

    def outputs(self, stack: str) -> dict[str, str]:
        """What other declarations need to know of it."""
        with in_our_words(stack):
            (found,) = self._cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    # ---- a change set

    def _propose(self, stack: str, template: str, tags: Mapping[str, str]) -> _Proposal | None:
        """None where everything is as the template says."""
        state = self._state(stack)
        _refuse_what_cannot_change(stack, state)
        is_new = state in (None, "REVIEW_IN_PROGRESS")
        made = self._cloudformation.create_change_set(
            StackName=stack,
            ChangeSetName=f"earthsnap-{uuid4().hex}",
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateBody=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            OnStackFailure="DELETE" if is_new else "ROLLBACK",
            Tags=listed(tags),
        )
        proposal = _Proposal(stack_id=made["StackId"], change_set=made["Id"], is_new=is_new, changes=())
        described = self._described(proposal)
        if described["Status"] == "FAILED":
            self._withdraw(proposal)
            reason = described.get("StatusReason", "")
            if any(words in reason for words in _NOTHING):
                return None
            raise StageError(f"the template is refused: {reason}", where=stack)
        return _Proposal(
            stack_id=made["StackId"], change_set=made["Id"], is_new=is_new, changes=tuple(self._changes(proposal))
        )

    def _described(self, proposal: _Proposal) -> Mapping[str, Any]:
        while True:
            found: Mapping[str, Any] = self._cloudformation.describe_change_set(
                StackName=proposal.stack_id, ChangeSetName=proposal.change_set
            )
            if found["Status"] in ("CREATE_COMPLETE", "FAILED"):
                return found
            self._wait(_LOOK_EVERY_S)

    def _changes(self, proposal: _Proposal) -> Iterator[Change]:
        pages = self._cloudformation.get_paginator("describe_change_set").paginate(
            StackName=proposal.stack_id, ChangeSetName=proposal.change_set
        )
        for page in pages:
            for one in page["Changes"]:
                change = one["ResourceChange"]
                yield Change(
                    action=change["Action"],
                    name=change["LogicalResourceId"],
                    kind=change["ResourceType"],
                    replaces=change.get("Replacement") in ("True", "Conditional"),
                )

    def _withdraw(self, proposal: _Proposal) -> None:
        self._cloudformation.delete_change_set(StackName=proposal.stack_id, ChangeSetName=proposal.change_set)
        if proposal.is_new:
            self._cloudformation.delete_stack(StackName=proposal.stack_id)

    # ---- a stack

    def _state(self, stack: str) -> str | None:
        try:
            (found,) = self._cloudformation.describe_stacks(StackName=stack)["Stacks"]
        except self._cloudformation.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        state: str = found["StackStatus"]
        return state

    def _follow(self, stack: str, stack_id: str, seen: set[str], tell: Callable[[str], None]) -> None:
        failures: list[str] = []
        while True:
            state = self._state(stack_id) or "DELETE_COMPLETE"
            for event in reversed(list(self._events(stack_id, seen))):
                seen.add(event["EventId"])
                status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
                name = f"{event['LogicalResourceId']} ({event['ResourceType']})"
                tell(f"{status.lower().replace('_', ' ')}  {name}")
                if status.endswith("_FAILED") and "cancelled" not in reason:
                    failures.append(f"{name}: {reason}")
            if state in _WELL:
                return
            if not state.endswith("_IN_PROGRESS"):
                what = "\n  ".join(failures[:_MOST_REASONS]) or f"the stack ended as {state}"
                raise StageError(
                    what, where=stack, remedy="what was changed has been taken back; mend it and deploy again"
                )
            self._wait(_LOOK_EVERY_S)

    def _events(self, stack_id: str, seen: set[str]) -> Iterator[Mapping[str, Any]]:
        """Newest first, down to what was seen."""
        for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                if event["EventId"] in seen:
                    return
                yield event


def _refuse_what_cannot_change(stack: str, state: str | None) -> None:
    if state in _STUCK:
        raise EnvironmentProblem(
            f"the stack is {state}, and CloudFormation changes none that is",
            where=stack,
            remedy=f"`aws cloudformation delete-stack --stack-name {stack}` removes it, and keeps bucket, images and logs",
        )
    if state is not None and state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS":
        raise EnvironmentProblem(f"a change is under way: {state}", where=stack, remedy="wait until it has ended")
