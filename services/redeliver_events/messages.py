"""Parses dead letters: what to redeliver, decided from the message alone.

There are five kinds. EventBridge's have the event as body, and its target in the attributes. Scheduler's have the
request as body, and the schedule in the attributes. Scheduler's messages about the reconciler have no request. They
need no redelivery, because a later run does the work. Lambda's have the payload that a function could not handle or,
for a stream, the position of its records.
"""

import json
from dataclasses import dataclass
from typing import Any

RECONCILER = ":function:table-exports-reconcile_exports"  # the end of its ARN
UNRESOLVED = "<aws.scheduler."  # the beginning of placeholders in a schedule's input


class CannotRedeliver(Exception):
    """A retry would not help. The message says what is missing or wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function, and the payload that it should have handled."""

    function: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Request:
    """The detail of an Export Requested that Scheduler could not put on our bus."""

    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """A function, and the position of the stream records that it should have handled."""

    function: str
    stream: str
    shard: str
    first: str  # sequence numbers
    last: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """A run of the reconciler that Scheduler could not start. A later run has done its work, or will."""


Task = Invocation | Request | StreamBatch | Superseded


def parse_dead_letter(message: dict[str, Any]) -> Task:
    """Parse a message as SQS gives it to Lambda. Raises CannotRedeliver."""
    attributes = {name: value.get("stringValue", "") for name, value in message.get("messageAttributes", {}).items()}
    if "SCHEDULE_ARN" in attributes and attributes.get("TARGET_ARN", "").endswith(RECONCILER):
        return Superseded()
    body = _read(message["body"])
    if "SCHEDULE_ARN" in attributes:
        return Request(_requested(body, attributes))
    if "RULE_ARN" in attributes:
        return Invocation(_our_function(attributes.get("TARGET_ARN"), "the attribute TARGET_ARN", message), body)
    if "requestContext" in body:
        function = _our_function(_of(body, "requestContext", "functionArn"), "requestContext.functionArn", message)
        if "DDBStreamBatchInfo" in body:
            place = ("streamArn", "shardId", "startSequenceNumber", "endSequenceNumber")
            return StreamBatch(function, *(_of(body, "DDBStreamBatchInfo", name) for name in place))
        if "requestPayload" not in body:
            raise CannotRedeliver("requestPayload is missing: the message does not contain the function's payload")
        return Invocation(function, body["requestPayload"])
    raise CannotRedeliver(
        "The attributes RULE_ARN and SCHEDULE_ARN are missing, as is requestContext: the message is neither from "
        "EventBridge nor from Scheduler nor from Lambda. Delete it, or find out who sent it"
    )


def _read(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise CannotRedeliver(f"The body is not JSON ({error}): delete the message, or find out who sent it") from error
    if not isinstance(body, dict):
        raise CannotRedeliver(f"The body is {text[:40]}, not an object: delete the message, or find out who sent it")
    return body


def _requested(body: dict[str, Any], attributes: dict[str, str]) -> dict[str, Any]:
    """Return the request's detail. The body is the request to the target's API: the detail, or the PutEvents entry."""
    if attributes.get("IS_PAYLOAD_TRUNCATED") == "true":
        raise CannotRedeliver("Scheduler truncated the request: request the export by hand")
    detail = body
    if entries := body.get("Entries"):
        detail = _read(entries[0]["Detail"])
    if "pipeline" not in detail:
        raise CannotRedeliver("pipeline is missing: this is not a request for an export")
    if str(detail.get("scheduled_time", "")).startswith(UNRESOLVED):
        if "SCHEDULED_TIME" not in attributes:
            raise CannotRedeliver("The attribute SCHEDULED_TIME is missing: request the export by hand")
        detail = detail | {"scheduled_time": attributes["SCHEDULED_TIME"]}
    return detail


def _of(body: dict[str, Any], part: str, name: str) -> str:
    found = body[part].get(name) if isinstance(body[part], dict) else None
    if not isinstance(found, str):
        raise CannotRedeliver(f"{part}.{name} is missing: it is unknown what Lambda could not deliver")
    return found


def _our_function(arn: str | None, where: str, message: dict[str, Any]) -> str:
    """Return the function's ARN without version. Raises CannotRedeliver unless it is ours, in the queue's Region."""
    if not arn:
        raise CannotRedeliver(f"{where} is missing: it is unknown which function the event was for")
    _, partition, _, region, account, _ = message["eventSourceARN"].split(":")
    function = ":".join(arn.split(":")[:7])
    ours = f"arn:{partition}:lambda:{region}:{account}:function:table-exports-"
    if not function.startswith(ours):
        raise CannotRedeliver(
            f"{arn} is not a function of table-exports in this account and Region: delete the message"
        )
    if not function.removeprefix(ours).startswith(("start_export", "on_")):
        raise CannotRedeliver(f"{arn} handles no events that can be redelivered: delete the message")
    return function
