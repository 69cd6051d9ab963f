"""Plans and executes CloudFormation change sets, and follows the events of the stacks."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.deploy import CannotDeploy
from infra.deploy.changes import Change, parse_change
from infra.deploy.ownership import TAG, Template

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
SUCCEEDED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "DELETE_COMPLETE")
NEVER_CREATED = ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED")  # all that can be done is to delete it
OUR_CHANGE_SETS = ("version-", "adopt-")
OVERTAKEN = ("ChangeSetNotFound", "InvalidChangeSetStatus")  # CloudFormation deletes it when another is executed
DESCRIPTION = "make deploy"  # of our change sets
LEFT_OVER_AFTER = timedelta(hours=1)  # a deployment that waits longer for its answer plans again
DISCARD_SECONDS = 20.0  # until a change set that is still being created can be deleted
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


class Overtaken(Exception):
    """Another deployment changed the stack after the changes were planned."""


class StackFailed(Exception):
    """The stack failed. The message has the reasons, in order."""


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    pass


class Stacks:
    def __init__(self, cloudformation: Any, who: str = "", say: Callable[[str], None] | None = None) -> None:
        """`who` deploys, as others see it who deploy at the same time. `say` shows what this run waits for."""
        self._cloudformation = cloudformation
        self._who = who
        self._say = say
        self.interrupted = threading.Event()
        self._open: dict[str, Plan] = {}  # by change set: neither executed nor discarded yet

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
        names = [each["ChangeSetName"] for each in self._change_sets(name)]
        return [name for name in names if not name.startswith(OUR_CHANGE_SETS)]

    def discard_open(self) -> list[str]:
        """Discards all plans that were not executed. Returns the names of stacks that keep one."""
        with ThreadPoolExecutor(5) as pool:
            plans = list(self._open.values())
            done = list(pool.map(self._is_discarded, plans))
        return [plan.stack.name for plan, discarded in zip(plans, done, strict=True) if not discarded]

    def _is_discarded(self, plan: Plan) -> bool:
        try:
            self.discard(plan)
        except (BotoCoreError, ClientError):
            return False
        return True

    def discard_leftovers(self, known: set[str]) -> None:
        """Deletes the empty stacks, except the known ones, that deployments planned and left, and nobody else plans."""
        pages = self._cloudformation.get_paginator("describe_stacks").paginate()
        found = [stack["StackName"] for page in pages for stack in page["Stacks"] if is_only_planned(stack)]
        for name in (name for name in found if name not in known):
            change_sets = self._change_sets(name)
            if change_sets and all(is_left_over(each) for each in change_sets) and self._is_only_planned(name):
                self._cloudformation.delete_stack(StackName=name)

    def _discard_leftovers_of(self, name: str) -> None:
        """Deletes the change sets of a stack that deployments left."""
        for change_set in filter(is_left_over, self._change_sets(name)):
            self._delete_change_set(change_set["ChangeSetId"])

    def _change_sets(self, name: str) -> list[dict[str, Any]]:
        pages = self._cloudformation.get_paginator("list_change_sets").paginate(StackName=name)
        return [each for page in pages for each in page["Summaries"]]

    def _deployed_by(self, name: str) -> str:
        """Returns who changes the stack, as part of a sentence. Empty if the change set does not say it."""
        try:
            running = [each for each in self._change_sets(name) if each["ExecutionStatus"] == "EXECUTE_IN_PROGRESS"]
        except ClientError:
            return ""
        return "".join(f" ({each['Description']})" for each in running if each.get("Description"))

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
        for attempt, _ in enumerate(self._poll()):
            stack = self.describe(name)
            if stack is None or is_only_planned(stack):
                return stack
            if not in_progress(stack):
                break
            if attempt == 0 and self._say:
                self._say(f"Stack {name} is {stack['StackStatus']}{self._deployed_by(name)}. Waiting until it ends")
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
        for _ in self._poll():
            try:
                return self._plan_once(stack, version)
            except ClientError as error:  # another deployment began in the meantime: wait for it
                if not was_overtaken(error):
                    raise
        raise Interrupted

    def _plan_once(self, stack: Stack, version: str) -> Plan:
        found = self.wait_until_idle(stack.name)
        if found:
            self._discard_leftovers_of(stack.name)
        creates = found is None or is_only_planned(found)
        imported = found is not None and found["StackStatus"] == "IMPORT_COMPLETE"  # with the settings that they had
        change_set = self._create_change_set(stack, version, creates, reverts=stack.repair or imported)
        plan = self._open[change_set] = Plan(stack=stack, creates=creates, change_set=change_set)
        described = self._wait_for_change_set(change_set)
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

    def _create_change_set(self, stack: Stack, version: str, creates: bool, reverts: bool) -> str:
        created = self._cloudformation.create_change_set(
            StackName=stack.name,
            ChangeSetName=f"version-{version}-{time.time_ns()}",
            ChangeSetType="CREATE" if creates else "UPDATE",
            Description=f"{DESCRIPTION} by {self._who}" if self._who else DESCRIPTION,
            TemplateURL=stack.template_url,
            Parameters=as_parameters(stack.parameters),
            Tags=[{"Key": key, "Value": value} for key, value in stack.tags.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            **({"DeploymentMode": "REVERT_DRIFT"} if reverts and not creates else {}),
        )
        return created["Id"]

    def discard(self, plan: Plan) -> None:
        """Deletes the change set, and the empty stack that it created, unless someone else plans the stack too."""
        if plan.change_set:
            self._delete_change_set(plan.change_set)
        if plan.creates and self._is_only_planned(plan.stack.name) and not self._change_sets(plan.stack.name):
            self._cloudformation.delete_stack(StackName=plan.stack.name)
        self._open.pop(plan.change_set or "", None)

    def _delete_change_set(self, change_set: str) -> None:
        """Deletes a change set, also one that is still being created. Nothing happens if it is gone."""
        deadline = time.monotonic() + DISCARD_SECONDS
        while True:
            try:
                self._cloudformation.delete_change_set(ChangeSetName=change_set)
                return
            except ClientError as error:
                if not was_overtaken(error):
                    raise
                if not self._is_being_created(change_set) or time.monotonic() > deadline:
                    return
            time.sleep(MAX_PAUSE / 4)

    def _is_being_created(self, change_set: str) -> bool:
        try:
            described = self._cloudformation.describe_change_set(ChangeSetName=change_set)
        except ClientError as error:
            if was_overtaken(error):
                return False
            raise
        return described["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS")

    def _is_only_planned(self, name: str) -> bool:
        """Whether the stack has no resources. Someone else may have created them since."""
        stack = self.describe(name)
        return stack is not None and is_only_planned(stack)

    def execute(self, plan: Plan, on_event: OnEvent = ignore) -> None:
        """Executes the change set and follows the stack to its end. Raises StackFailed or Overtaken."""
        if plan.change_set is None:
            return
        if self.interrupted.is_set():
            raise Interrupted
        name = plan.stack.name
        stack = self.describe(name)
        if stack is None or (in_progress(stack) and not is_only_planned(stack)):
            raise Overtaken
        last_event = self._last_event(name)
        try:
            self._cloudformation.execute_change_set(ChangeSetName=plan.change_set)
            self._open.pop(plan.change_set, None)
        except ClientError as error:
            if was_overtaken(error):
                raise Overtaken from error
            raise
        self._follow(name, last_event, on_event)

    def adopt(self, name: str, template: str, parameters: dict[str, str], resources: list[dict[str, Any]]) -> None:
        """Creates a stack from existing resources. Raises CannotDeploy or StackFailed."""
        change_set = self._cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"adopt-{time.time_ns()}",
            ChangeSetType="IMPORT",
            Description=DESCRIPTION,
            TemplateBody=template,
            Parameters=as_parameters(parameters),
            ResourcesToImport=resources,
        )["Id"]
        self._open[change_set] = Plan(
            stack=Stack(name=name, template_url="", parameters=parameters), creates=True, change_set=change_set
        )
        described = self._wait_for_change_set(change_set)
        if described["Status"] == "FAILED":
            reason = described.get("StatusReason", NO_REASON)
            raise CannotDeploy(f"CloudFormation cannot import into stack {name}: {reason}")
        last_event = self._last_event(name)
        self._cloudformation.execute_change_set(ChangeSetName=change_set)
        self._open.pop(change_set, None)
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


def in_progress(stack: dict[str, Any]) -> bool:
    return stack["StackStatus"].endswith("_IN_PROGRESS")


def is_only_planned(stack: dict[str, Any]) -> bool:
    """Returns whether the stack consists of change sets, and never had a resource."""
    return stack["StackStatus"] == "REVIEW_IN_PROGRESS"


def is_left_over(change_set: dict[str, Any]) -> bool:
    """Returns whether a deployment created the change set, and was interrupted before it executed or discarded it."""
    ours = change_set["ChangeSetName"].startswith(OUR_CHANGE_SETS) and DESCRIPTION in change_set.get("Description", "")
    age = datetime.now(UTC) - change_set["CreationTime"]
    return ours and change_set["ExecutionStatus"] != "EXECUTE_IN_PROGRESS" and age > LEFT_OVER_AFTER


def was_overtaken(error: ClientError) -> bool:
    """Returns whether a stack was changed or created between the last look at it and this call."""
    message = error.response["Error"].get("Message", "")
    return (
        error.response["Error"]["Code"] in OVERTAKEN or "_IN_PROGRESS state" in message or "already exists" in message
    )


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


def given(stack: dict[str, Any]) -> dict[str, str]:
    """Returns the parameters of a deployed stack."""
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])}
