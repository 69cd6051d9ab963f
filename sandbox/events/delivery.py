"""Delivers state-change events of the sandbox's services, and replayed events.

PutEvents rejects `aws.*` sources, as on AWS. So this module lists the rules, tests patterns with TestEventPattern, and
calls Lambda and SQS targets itself.
"""

import fnmatch
import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.faults import Fault, Faults

logger = logging.getLogger(__name__)

KEPT = 10_000  # events

Event = dict[str, Any]


class AwsEvents:
    def __init__(self, cloud: Cloud, faults: Faults) -> None:
        self._cloud, self._faults = cloud, faults
        self.sent: deque[Event] = deque(maxlen=KEPT)
        self.failed: deque[tuple[str, str]] = deque(maxlen=KEPT)  # deliveries: the rule and its bus
        self._waiting: SimpleQueue[Event] = SimpleQueue()
        threading.Thread(target=self._deliver_all, name="events", daemon=True).start()

    def send(self, source: str, detail_type: str, detail: dict[str, Any]) -> None:
        """Queues an event for delivery. Takes longer if a fault says so."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": iso(datetime.now(UTC)),
            "region": REGION,
            "resources": [],
            "detail": detail,
        }
        self._waiting.put(event)
        if fault := self._fault_of(event, "slow"):
            time.sleep(fault.seconds)

    def deliver(self, event: Event, bus: str = "default", only: Collection[str] | None = None) -> None:
        """Delivers the event to the targets of all matching rules of the bus, or only of the rules in `only` (ARNs)."""
        for rule in self._rules(bus, only):
            if self._matches(event, rule["EventPattern"]):
                for target in self._targets(rule, bus):
                    self._deliver_to(target, event, rule)

    def _deliver_all(self) -> None:
        """Delivers queued events. As on AWS this is best effort: failures are logged."""
        while True:
            event = self._waiting.get()
            try:
                for _ in range(self._times(event)):
                    self.sent.append(event)
                    self.deliver(event)
            except Exception:
                logger.exception("Event was not delivered: %s", event)

    def _times(self, event: Event) -> int:
        """Returns how often to deliver the event: once, unless there is a fault."""
        fault = self._fault_of(event, "drop", "repeat")
        return {None: 1, "drop": 0, "repeat": 2}[fault and fault.do]

    def _fault_of(self, event: Event, *kinds: str) -> Fault | None:
        try:
            return self._faults.of_event(lambda pattern: self._matches(event, pattern), *kinds)
        except ClientError as error:
            logger.warning("The event pattern of a fault is not valid: %s", error)
            return None

    def _matches(self, event: Event, pattern: str) -> bool:
        if is_of_another_source(event, pattern):
            return False
        response = self._cloud.client("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
        return response["Result"]

    def _rules(self, bus: str, only: Collection[str] | None) -> list[dict[str, Any]]:
        pages = self._cloud.client("events").get_paginator("list_rules").paginate(EventBusName=bus)
        return [
            rule
            for page in pages
            for rule in page["Rules"]
            if rule["State"] == "ENABLED" and rule.get("EventPattern") and (only is None or rule["Arn"] in only)
        ]

    def _targets(self, rule: dict[str, Any], bus: str) -> list[dict[str, Any]]:
        paginator = self._cloud.client("events").get_paginator("list_targets_by_rule")
        pages = paginator.paginate(Rule=rule["Name"], EventBusName=bus)
        return [target for page in pages for target in page["Targets"]]

    def _deliver_to(self, target: dict[str, Any], event: Event, rule: dict[str, Any]) -> None:
        payload = target.get("Input") or json.dumps(event)
        service = target["Arn"].split(":")[2]
        if service not in ("lambda", "sqs") or "InputPath" in target or "InputTransformer" in target:
            logger.warning("Rule %s: the sandbox does not support the target %s", rule["Name"], target)
            return
        try:
            if service == "sqs":
                self._send_message(target["Arn"], payload)
            else:
                self._invoke(target["Arn"], rule, payload)
        except ClientError as error:
            self._send_to_dead_letter_queue(payload, rule, target, error)

    def _invoke(self, function: str, rule: dict[str, Any], payload: str) -> None:
        """Invokes a function whose policy allows the rule."""
        client = self._cloud.client("lambda")
        policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
        if not any(allows(statement, rule["Arn"]) for statement in policy["Statement"]):
            raise ClientError(
                {"Error": {"Code": "NO_PERMISSIONS", "Message": f"{function} does not allow {rule['Arn']}"}}, "Invoke"
            )
        client.invoke(FunctionName=function, InvocationType="Event", Payload=payload.encode())

    def _send_message(self, queue: str, body: str, **attributes: str) -> None:
        sqs = self._cloud.client("sqs")
        url = sqs.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"]
        sqs.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )

    def _send_to_dead_letter_queue(
        self, payload: str, rule: dict[str, Any], target: dict[str, Any], error: ClientError
    ) -> None:
        """Sends the event to the target's dead-letter queue, with EventBridge's attributes."""
        logger.warning("Rule %s: delivery failed: %s", rule["Name"], error)
        self.failed.append((rule["Name"], rule["EventBusName"]))
        if queue := target.get("DeadLetterConfig", {}).get("Arn"):
            self._send_message(
                queue,
                payload,
                RULE_ARN=rule["Arn"],
                TARGET_ARN=target["Arn"],
                ERROR_CODE=error.response["Error"]["Code"],
                ERROR_MESSAGE=error.response["Error"]["Message"] or "-",
            )


def is_of_another_source(event: Event, pattern: str) -> bool:
    """Returns whether the pattern lists sources or detail types by name, without the event's.

    Most rules are about other sources, and a call of TestEventPattern for each would cost the sandbox more than the
    delivery does.
    """
    try:
        fields = json.loads(pattern)
        named = [(fields[name], event[name]) for name in ("source", "detail-type") if name in fields]
        return any(all(isinstance(one, str) for one in names) and value not in names for names, value in named)
    except (ValueError, TypeError):
        return False  # not a pattern: EventBridge's own error tells so


def allows(statement: dict[str, Any], rule_arn: str) -> bool:
    principal = statement["Principal"]
    condition = statement.get("Condition", {})
    pattern = next((keys.get("AWS:SourceArn", keys.get("aws:SourceArn")) for keys in condition.values()), "*")
    return (
        statement["Effect"] == "Allow"
        and (principal == "*" or principal.get("Service") == "events.amazonaws.com")
        and fnmatch.fnmatchcase(rule_arn, pattern or "*")
    )


def iso(moment: datetime) -> str:
    """Formats a time as 2026-11-23T02:07:50Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
