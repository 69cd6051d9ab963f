"""What is to be done with a message that was sent back: decided from the message alone.

Four kinds come, each from another hand: EventBridge's dead letter (the event, and who was meant in the attributes),
Scheduler's (the request, and the schedule in the attributes), and Lambda's two records of what a function could not
handle: with the payload, or, of a stream, with the place where it was.
"""

import json
from dataclasses import dataclass
from typing import Any

UNRESOLVED = "<aws.scheduler."  # how the placeholders of a schedule's input begin


class CannotBeSent(Exception):
    """Another try would not help. The message says what is missing or wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function, and the payload that it should have handled."""

    function: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Request:
    """The detail of an Export Requested that the schedule could not put on our bus."""

    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """A function, and the records of a stream that it should have handled: Lambda names the first and the last."""

    function: str
    stream: str
    shard: str
    first: str  # sequence numbers
    last: str


def errand(message: dict[str, Any]) -> Invocation | Request | StreamBatch:
    """What the message, as SQS hands it to Lambda, asks for. Raises CannotBeSent."""
    attributes = {name: value.get("stringValue", "") for name, value in message.get("messageAttributes", {}).items()}
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
            raise CannotBeSent("requestPayload is missing: what the function was given is not in the message")
        return Invocation(function, body["requestPayload"])
    raise CannotBeSent(
        "The attributes RULE_ARN and SCHEDULE_ARN are missing, as is requestContext: it is neither EventBridge's nor "
        "Scheduler's nor Lambda's. Delete it, or find out who sent it"
    )


def _read(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise CannotBeSent(f"The body is not JSON ({error}): delete the message, or find out who sent it") from error
    if not isinstance(body, dict):
        raise CannotBeSent(f"The body is {text[:40]}, not an object: delete the message, or find out who sent it")
    return body


def _requested(body: dict[str, Any], attributes: dict[str, str]) -> dict[str, Any]:
    """Documented is a body that holds the request to the target's API: the detail alone, or PutEvents' whole entry."""
    if attributes.get("IS_PAYLOAD_TRUNCATED") == "true":
        raise CannotBeSent("Scheduler truncated the request: ask for the export by hand")
    detail = body
    if entries := body.get("Entries"):
        detail = _read(entries[0]["Detail"])
    if "pipeline" not in detail:
        raise CannotBeSent("pipeline is missing: it is no request for an export")
    if str(detail.get("scheduled_time", "")).startswith(UNRESOLVED):
        if "SCHEDULED_TIME" not in attributes:
            raise CannotBeSent("The attribute SCHEDULED_TIME is missing: ask for the export by hand")
        detail = detail | {"scheduled_time": attributes["SCHEDULED_TIME"]}
    return detail


def _of(body: dict[str, Any], part: str, name: str) -> str:
    found = body[part].get(name) if isinstance(body[part], dict) else None
    if not isinstance(found, str):
        raise CannotBeSent(f"{part}.{name} is missing: what Lambda could not deliver is not known")
    return found


def _our_function(arn: str | None, where: str, message: dict[str, Any]) -> str:
    """The function without its version, if it is one of ours: in the queue's own account and Region."""
    if not arn:
        raise CannotBeSent(f"{where} is missing: whom the event was for is not known")
    _, partition, _, region, account, _ = message["eventSourceARN"].split(":")
    function = ":".join(arn.split(":")[:7])
    ours = f"arn:{partition}:lambda:{region}:{account}:function:table-exports-"
    if not function.startswith(ours):
        raise CannotBeSent(f"{arn} is no function of table-exports in this account and Region: delete the message")
    if not function.removeprefix(ours).startswith(("start_export", "on_")):
        raise CannotBeSent(f"{arn} handles no events that can be sent back: delete the message")
    return function
