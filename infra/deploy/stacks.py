"""Plans and executes CloudFormation change sets, and follows the events of the stacks."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.deploy import CannotDeploy
from infra.deploy.changes import Change, parse_change
from infra.deploy.ownership import TAG, Template

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
SUCCEEDED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE")
NEVER_CREATED = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED")  # all that can be done is to delete it
OUR_CHANGE_SETS = ("version-", "adopt-")
NO_REASON = "CloudFormation gave no reason"
MAX_PAUSE = 4.0  # seconds


class Interrupted(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack as it should be."""

    name: str
    template_url: str
    parameters: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    repair: bool = False  # also revert what was changed or deleted outside CloudFormation


@dataclass(frozen=True, kw_only=True)
class Plan:
    stack: Stack
    creates: bool
    change_set: str | None  # None: nothing changes
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    stack: str
    result: str  # created, updated, unchanged, failed. Only planned: to be created, to be updated
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.result == "failed"


@dataclass(frozen=True, kw_only=True)
class Event:
    resource: str
    type: str
    status: str
    reason: str
    is_of_the_stack: bool

    @property
    def is_a_cause(self) -> bool:
        """Whether the resource itself failed, and was not cancelled because another one failed."""
        return self.status.endswith("_FAILED") and "cancelled" not in self.reason


class StackFailed(Exception):
    """The stack failed. The message has the reasons, in order."""


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
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

    def template(self, name: str) -> Template:
        """Returns the template of a stack. It is empty for a stack that is only planned."""
        body = self._cloudformation.get_template(StackName=name, TemplateStage="Original").get("TemplateBody") or {}
        found = yaml_parse(body) if isinstance(body, str) else body
        return found if isinstance(found, dict) else {}

    def planned_by_others(self, name: str) -> list[str]:
        """Returns the change sets of a stack that no deployment created."""
        pages = self._cloudformation.get_paginator("list_change_sets").paginate(StackName=name)
        names = [each["ChangeSetName"] for page in pages for each in page["Summaries"]]
        return [name for name in names if not name.startswith(OUR_CHANGE_SETS)]

    def ours(self) -> dict[str, dict[str, Any]]:
        """Returns all stacks with the tag of table-exports, by name."""
        pages = self._cloudformation.get_paginator("describe_stacks").paginate()
        return {
            stack["StackName"]: stack
            for page in pages
            for stack in page["Stacks"]
            if any(tag["Key"] == TAG for tag in stack.get("Tags", []))
        }

    def wait_until_idle(self, name: str) -> dict[str, Any] | None:
        """Returns the stack when no operation is in progress. An interrupted run may have left one."""
        for _ in self._poll():
            stack = self.describe(name)
            if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS":
                return stack
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                break
        reason = stack.get("StackStatusReason", NO_REASON)
        if stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
            raise CannotDeploy(
                f"The rollback of stack {name} failed: {reason}. Fix the cause, run "
                f"`aws cloudformation continue-update-rollback --stack-name {name}`, and then run this command again"
            )
        if stack["StackStatus"] == "DELETE_FAILED":
            raise CannotDeploy(
                f"Stack {name} could not be deleted: {reason}. Delete it, and then run this command again"
            )
        return stack

    def plan(self, stack: Stack, version: str) -> Plan:
        """Creates a change set and returns the changes. Raises CannotDeploy if CloudFormation refuses it."""
        found = self.describe(stack.name)
        creates = found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS"
        change_set = self._cloudformation.create_change_set(
            StackName=stack.name,
            ChangeSetName=f"version-{version}-{time.time_ns()}",
            ChangeSetType="CREATE" if creates else "UPDATE",
            TemplateURL=stack.template_url,
            Parameters=as_parameters(stack.parameters),
            Tags=[{"Key": key, "Value": value} for key, value in stack.tags.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            **({"DeploymentMode": "REVERT_DRIFT"} if stack.repair and not creates else {}),
        )["Id"]
        described = self._wait_for_change_set(change_set)
        plan = Plan(stack=stack, creates=creates, change_set=change_set)
        if described["Status"] == "CREATE_COMPLETE":
            changes = sorted(self._changes(change_set), key=lambda change: (change.action, change.name))
            return Plan(stack=stack, creates=creates, change_set=change_set, changes=tuple(changes))
        reason = described.get("StatusReason", NO_REASON)
        unchanged = any(words in reason for words in NO_CHANGES)
        errors = [] if unchanged else self._validation_errors(change_set)
        self.discard(plan)
        if unchanged:
            return Plan(stack=stack, creates=False, change_set=None)
        raise CannotDeploy("\n".join([f"CloudFormation refused stack {stack.name}: {reason}", *errors]))

    def discard(self, plan: Plan) -> None:
        """Deletes the change set, and the empty stack that it created."""
        if plan.change_set:
            self._cloudformation.delete_change_set(ChangeSetName=plan.change_set)
        if plan.creates and self._is_only_planned(plan.stack.name):
            self._cloudformation.delete_stack(StackName=plan.stack.name)

    def _is_only_planned(self, name: str) -> bool:
        """Whether the stack has no resources. Someone else may have created them since."""
        stack = self.describe(name)
        return stack is not None and stack["StackStatus"] == "REVIEW_IN_PROGRESS"

    def execute(self, plan: Plan, on_event: OnEvent = ignore) -> None:
        """Executes the change set and follows the stack to its end. Raises StackFailed."""
        if plan.change_set is None:
            return
        name = plan.stack.name
        last_event = self._last_event(name)
        self._cloudformation.execute_change_set(ChangeSetName=plan.change_set)
        self._follow(name, last_event, on_event)

    def adopt(self, name: str, template: str, parameters: dict[str, str], resources: list[dict[str, Any]]) -> None:
        """Creates a stack from existing resources. Raises CannotDeploy or StackFailed."""
        change_set = self._cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"adopt-{time.time_ns()}",
            ChangeSetType="IMPORT",
            TemplateBody=template,
            Parameters=as_parameters(parameters),
            ResourcesToImport=resources,
        )["Id"]
        described = self._wait_for_change_set(change_set)
        if described["Status"] == "FAILED":
            reason = described.get("StatusReason", NO_REASON)
            raise CannotDeploy(f"CloudFormation cannot import into stack {name}: {reason}")
        last_event = self._last_event(name)
        self._cloudformation.execute_change_set(ChangeSetName=change_set)
        self._follow(name, last_event)

    def delete(self, name: str) -> None:
        stack = self.describe(name)
        if stack is None:
            return
        last_event = self._last_event(stack["StackId"])
        self._cloudformation.delete_stack(StackName=stack["StackId"])
        self._follow(stack["StackId"], last_event)

    def _follow(self, name: str, last_event: str | None, on_event: OnEvent = ignore) -> None:
        causes = []
        for _ in self._poll():
            for event, event_id in self._events_after(name, last_event):
                last_event = event_id
                on_event(event)
                if event.is_a_cause:
                    causes.append(event)
                if event.is_of_the_stack and not event.status.endswith("_IN_PROGRESS"):
                    if event.status in SUCCEEDED:
                        return
                    raise StackFailed(reasons(causes))

    def _wait_for_change_set(self, change_set: str) -> dict[str, Any]:
        for _ in self._poll():
            described = self._cloudformation.describe_change_set(ChangeSetName=change_set)
            if described["Status"] in ("CREATE_COMPLETE", "FAILED"):
                break
        return described

    def _changes(self, change_set: str) -> Iterator[Change]:
        for page in self._cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set):
            for change in page.get("Changes", []):
                if found := change.get("ResourceChange"):
                    yield parse_change(found)

    def _validation_errors(self, change_set: str) -> list[str]:
        """Returns what CloudFormation's early validation found. The change set only says that it found something."""
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

    def _events_after(self, name: str, last_event: str | None) -> list[tuple[Event, str]]:
        """Returns events with their ids, oldest first. CloudFormation lists the newest first."""
        found = []
        for page in self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=name):
            for event in page["StackEvents"]:
                if event["EventId"] == last_event:
                    return found[::-1]
                found.append((parse_event(event), event["EventId"]))
        return found[::-1]

    def _poll(self) -> Iterator[None]:
        pause = 0.1
        while True:
            yield
            if self.interrupted.wait(pause):
                raise Interrupted
            pause = min(pause * 1.5, MAX_PAUSE)


def as_parameters(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


def parse_event(event: dict[str, Any]) -> Event:
    return Event(
        resource=event["LogicalResourceId"],
        type=event["ResourceType"],
        status=event["ResourceStatus"],
        reason=event.get("ResourceStatusReason", ""),
        is_of_the_stack=event.get("PhysicalResourceId") == event["StackId"],
    )


def reasons(causes: list[Event]) -> str:
    """Returns the reasons of the resources. The stack's own events only repeat their names."""
    of_resources = [cause for cause in causes if not cause.is_of_the_stack] or causes
    return "\n".join(f"{cause.resource} ({cause.type}): {cause.reason or NO_REASON}" for cause in of_resources)
