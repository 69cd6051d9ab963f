"""The properties of custom resources in the events of stacks, which MiniStack leaves out. Runs in its process.

On AWS, each event of a resource has the properties that the resource gets or has.
"""

import json
import re
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

add_event, describe = stacks._add_event, handlers._describe_stack_events
latest: dict[tuple[str, str], str] = {}  # the properties by stack and logical id


def record(resource_type: str, stack_id: str, logical_id: str, properties: dict) -> None:
    """Adds the properties to the event of the operation that begins, and to those that follow."""
    if not resource_type.startswith("Custom::"):
        return
    text = latest[stack_id, logical_id] = json.dumps(properties)
    for event in reversed(cloudformation._stack_events.get(stack_id, [])):
        if event["LogicalResourceId"] == logical_id:
            event["ResourceProperties"] = text
            return


def add(stack_id: str, stack_name: str, logical_id: str, *more: Any, **named: Any) -> None:
    add_event(stack_id, stack_name, logical_id, *more, **named)
    if text := latest.get((stack_id, logical_id)):
        cloudformation._stack_events[stack_id][-1]["ResourceProperties"] = text


def describe_with_properties(params: dict) -> Any:
    status, headers, body = describe(params)
    known = {
        event["EventId"]: event["ResourceProperties"]
        for events in cloudformation._stack_events.values()
        for event in events
        if "ResourceProperties" in event
    }

    def with_properties(found: re.Match) -> str:
        text = known.get(found[1])
        return found[0] + (f"<ResourceProperties>{handlers._esc(text)}</ResourceProperties>" if text else "")

    text = body.decode() if isinstance(body, bytes) else body
    changed = re.sub(r"<EventId>([^<]*)</EventId>", with_properties, text)
    return status, headers, changed.encode() if isinstance(body, bytes) else changed


stacks._add_event = add
handlers._ACTION_HANDLERS["DescribeStackEvents"] = describe_with_properties
