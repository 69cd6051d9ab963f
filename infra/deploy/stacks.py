"""Stacks, by change sets: what would change, then the change, with what CloudFormation tells of it."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import CannotDeploy

TAG = "table-exports"  # on every stack of ours
DATA = {
    "AWS::DynamoDB::Table": "where every pipeline stands",
    "AWS::S3::Bucket": "the snapshots",
    "AWS::Glue::Database": "the catalog of snapshots and views",
    "AWS::Logs::LogGroup": "logs",
    "AWS::Events::Archive": "archived events",
    "AWS::SQS::Queue": "messages",
    "AWS::SNS::Topic": "subscriptions",
    "AWS::SNS::Subscription": "a confirmed address",
}
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
ENDED_WELL = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE")
NEVER_CREATED = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED")  # such a stack can only be deleted
LONGEST_PAUSE = 4.0  # seconds


class Interrupted(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class Stack:
    """As it is to be."""

    name: str
    template_url: str
    parameters: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change:
    action: str
    name: str
    type: str
    replacement: str  # True, Conditional, False, or nothing

    @property
    def endangers(self) -> str | None:
        """What there is to lose."""
        return DATA.get(self.type) if self.fate else None

    @property
    def fate(self) -> str | None:
        if self.action == "Remove":
            return "is removed"
        return {"True": "is replaced by an empty one", "Conditional": "may be replaced"}.get(self.replacement)


@dataclass(frozen=True, kw_only=True)
class Plan:
    stack: Stack
    creates: bool
    change_set: str | None  # none if nothing changes
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    stack: str
    became: str  # created, updated, unchanged, failed; of a mere plan, to be created or to be updated
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.became == "failed"


@dataclass(frozen=True, kw_only=True)
class Event:
    resource: str
    type: str
    status: str
    reason: str
    is_of_the_stack: bool

    @property
    def is_a_cause(self) -> bool:
        """Not a resource that was given up because of another's failure."""
        return self.status.endswith("_FAILED") and "cancelled" not in self.reason


class StackFailed(Exception):
    """The message has the reasons, in order."""


Tell = Callable[[Event], None]


def silently(event: Event) -> None:
    pass


class Stacks:
    def __init__(self, cloudformation: Any) -> None:
        self._cloudformation = cloudformation
        self.interrupted = threading.Event()

    def describe(self, name: str) -> dict[str, Any] | None:
        try:
            return self._cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in error.response["Error"].get("Message", ""):
                return None
            raise

    def ours(self) -> dict[str, dict[str, Any]]:
        """All stacks of table-exports here, by name."""
        pages = self._cloudformation.get_paginator("describe_stacks").paginate()
        return {
            stack["StackName"]: stack
            for page in pages
            for stack in page["Stacks"]
            if any(tag["Key"] == TAG for tag in stack.get("Tags", []))
        }

    def settled(self, name: str) -> dict[str, Any] | None:
        """The stack, when what goes on there has ended: an earlier run may have been interrupted."""
        for _ in self._patiently():
            stack = self.describe(name)
            if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS":
                return stack
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
        reason = stack.get("StackStatusReason", "no reason was given")
        if stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
            raise CannotDeploy(
                f"Stack {name} could not go back to where it was: {reason}. Remove the cause, "
                f"then `aws cloudformation continue-update-rollback --stack-name {name}`, and run this again"
            )
        if stack["StackStatus"] == "DELETE_FAILED":
            raise CannotDeploy(f"Stack {name} could not be deleted: {reason}. Delete it, and run this again")
        return stack

    def plan(self, stack: Stack, version: str) -> Plan:
        """Raises CannotDeploy if CloudFormation does not take it."""
        found = self.describe(stack.name)
        creates = found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS"
        made = self._cloudformation.create_change_set(
            StackName=stack.name,
            ChangeSetName=f"version-{version}-{time.time_ns()}",
            ChangeSetType="CREATE" if creates else "UPDATE",
            TemplateURL=stack.template_url,
            Parameters=as_parameters(stack.parameters),
            Tags=[{"Key": key, "Value": value} for key, value in stack.tags.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )["Id"]
        described = self._made(made)
        plan = Plan(stack=stack, creates=creates, change_set=made)
        if described["Status"] == "CREATE_COMPLETE":
            changes = sorted(self._changes(made), key=lambda change: (change.action, change.name))
            return Plan(stack=stack, creates=creates, change_set=made, changes=tuple(changes))
        reason = described.get("StatusReason", "no reason was given")
        unchanged = any(words in reason for words in NO_CHANGES)
        refusals = [] if unchanged else self._refusals(made)
        self.discard(plan)
        if unchanged:
            return Plan(stack=stack, creates=False, change_set=None)
        raise CannotDeploy("\n".join([f"Stack {stack.name} is not taken: {reason}", *refusals]))

    def discard(self, plan: Plan) -> None:
        """Leave nothing of a plan that is not carried out, nor of a stack that was to be."""
        if plan.change_set:
            self._cloudformation.delete_change_set(ChangeSetName=plan.change_set)
        if plan.creates and self._is_but_planned(plan.stack.name):
            self._cloudformation.delete_stack(StackName=plan.stack.name)

    def _is_but_planned(self, name: str) -> bool:
        """Someone else may have created it since."""
        stack = self.describe(name)
        return stack is not None and stack["StackStatus"] == "REVIEW_IN_PROGRESS"

    def carry_out(self, plan: Plan, tell: Tell = silently) -> None:
        """Raises StackFailed."""
        if plan.change_set is None:
            return
        name = plan.stack.name
        told = self._last_event(name)
        self._cloudformation.execute_change_set(ChangeSetName=plan.change_set)
        self._follow(name, told, tell)

    def take_over(self, name: str, template: str, parameters: dict[str, str], resources: list[dict[str, Any]]) -> None:
        """A new stack of what is there already. Raises CannotDeploy or StackFailed."""
        made = self._cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"take-over-{time.time_ns()}",
            ChangeSetType="IMPORT",
            TemplateBody=template,
            Parameters=as_parameters(parameters),
            ResourcesToImport=resources,
        )["Id"]
        described = self._made(made)
        if described["Status"] == "FAILED":
            raise CannotDeploy(f"Stack {name} cannot import: {described.get('StatusReason', 'no reason was given')}")
        told = self._last_event(name)
        self._cloudformation.execute_change_set(ChangeSetName=made)
        self._follow(name, told)

    def delete(self, name: str) -> None:
        stack = self.describe(name)
        if stack is None:
            return
        told = self._last_event(stack["StackId"])
        self._cloudformation.delete_stack(StackName=stack["StackId"])
        self._follow(stack["StackId"], told)

    def _follow(self, name: str, told: str | None, tell: Tell = silently) -> None:
        causes = []
        for _ in self._patiently():
            for event, event_id in self._events_after(name, told):
                told = event_id
                tell(event)
                if event.is_a_cause:
                    causes.append(event)
                if event.is_of_the_stack and not event.status.endswith("_IN_PROGRESS"):
                    if event.status in ENDED_WELL:
                        return
                    raise StackFailed(reasons(causes))

    def _made(self, change_set: str) -> dict[str, Any]:
        for _ in self._patiently():
            described = self._cloudformation.describe_change_set(ChangeSetName=change_set)
            if described["Status"] in ("CREATE_COMPLETE", "FAILED"):
                break
        return described

    def _changes(self, change_set: str) -> Iterator[Change]:
        for page in self._cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set):
            for change in page.get("Changes", []):
                if found := change.get("ResourceChange"):
                    yield Change(
                        action=found["Action"],
                        name=found["LogicalResourceId"],
                        type=found["ResourceType"],
                        replacement=found.get("Replacement", ""),
                    )

    def _refusals(self, change_set: str) -> list[str]:
        """What CloudFormation found before it changed anything: its change sets tell only that there is something."""
        try:
            events = self._cloudformation.describe_events(ChangeSetName=change_set)["OperationEvents"]
        except ClientError:
            return []
        return [
            f"  {event.get('LogicalResourceId', '')} {event.get('ValidationPath', '')}: {reason}"
            for event in events
            if (reason := event.get("ValidationStatusReason"))
        ]

    def _last_event(self, name: str) -> str | None:
        events = self._cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        return events[0]["EventId"] if events else None

    def _events_after(self, name: str, told: str | None) -> list[tuple[Event, str]]:
        """Oldest first. CloudFormation has them newest first."""
        found = []
        for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=name):
            for event in page["StackEvents"]:
                if event["EventId"] == told:
                    return found[::-1]
                found.append((read_event(event), event["EventId"]))
        return found[::-1]

    def _patiently(self) -> Iterator[None]:
        pause = 0.1
        while True:
            yield
            if self.interrupted.wait(pause):
                raise Interrupted
            pause = min(pause * 1.5, LONGEST_PAUSE)


def as_parameters(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def read_event(event: dict[str, Any]) -> Event:
    return Event(
        resource=event["LogicalResourceId"],
        type=event["ResourceType"],
        status=event["ResourceStatus"],
        reason=event.get("ResourceStatusReason", ""),
        is_of_the_stack=event.get("PhysicalResourceId") == event["StackId"],
    )


def reasons(causes: list[Event]) -> str:
    """Those of resources; the stack's own words only repeat which they were."""
    of_resources = [cause for cause in causes if not cause.is_of_the_stack] or causes
    return "\n".join(
        f"{cause.resource} ({cause.type}): {cause.reason or 'no reason was given'}" for cause in of_resources
    )
