"""CloudFormation: whether a table stack still exists, and what happens to one of its resources."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

ROLLS_BACK = "UPDATE_ROLLBACK_IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class ResourceOperation:
    """The latest operation of CloudFormation on a resource of a stack."""

    resource_type: str = ""
    resource_status: str = ""  # empty: the stack has no such resource
    properties: Mapping[str, str] = field(default_factory=dict)
    earlier: Mapping[str, str] = field(default_factory=dict)  # in a rollback: those before the update
    stack_status: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)  # of the stack


class Stacks:
    def __init__(self, client: Any) -> None:
        self._client = client

    def is_gone(self, stack_id: str) -> bool:
        """Return whether the stack was deleted. CloudFormation knows a deleted stack by its id for a while."""
        return self._existing(stack_id) is None

    def operation(self, stack_id: str, logical_id: str, physical_id: str = "") -> ResourceOperation | None:
        """Return the latest operation on a resource. With a physical id, on that one. None if the stack is gone."""
        stack = self._existing(stack_id)
        if stack is None:
            return None
        parameters = {found["ParameterKey"]: found["ParameterValue"] for found in stack.get("Parameters", [])}
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        events = (event for page in pages for event in page["StackEvents"])  # newest first
        for event in events:
            if event.get("LogicalResourceId") == logical_id and physical_id in ("", event.get("PhysicalResourceId")):
                rolls_back = stack["StackStatus"] == ROLLS_BACK
                return ResourceOperation(
                    resource_type=event["ResourceType"],
                    resource_status=event["ResourceStatus"],
                    properties=_properties(event),
                    earlier=_before_the_update(events, stack_id, logical_id) if rolls_back else {},
                    stack_status=stack["StackStatus"],
                    parameters=parameters,
                )
        return ResourceOperation(stack_status=stack["StackStatus"], parameters=parameters)

    def _existing(self, stack_id: str) -> dict[str, Any] | None:
        try:
            [stack] = self._client.describe_stacks(StackName=stack_id)["Stacks"]
        except ClientError as error:
            message = error.response["Error"].get("Message", "")
            if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in message:
                return None
            raise
        return None if stack["StackStatus"] == "DELETE_COMPLETE" else stack


def _before_the_update(events: Iterator[dict[str, Any]], stack_id: str, logical_id: str) -> dict[str, str]:
    """Return the properties that a resource had when the update of the stack began. Older events are left in `events`.

    An update of the stack begins with an event of the stack itself.
    """
    began = False
    for event in events:
        began |= event.get("PhysicalResourceId") == stack_id and event["ResourceStatus"] == "UPDATE_IN_PROGRESS"
        if began and event.get("LogicalResourceId") == logical_id and event["ResourceStatus"].endswith("_COMPLETE"):
            return _properties(event)
    return {}


def _properties(event: dict[str, Any]) -> dict[str, str]:
    """Return the properties of an event. CloudFormation may shorten them, and they are no JSON then."""
    try:
        found = json.loads(event.get("ResourceProperties", ""))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
