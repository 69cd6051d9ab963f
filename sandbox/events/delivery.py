"""Events that the emulator does not deliver: the stand-ins' state changes, and replayed ones.

Its PutEvents refuses `aws.*` sources, as AWS does. So the rules are asked for, the pattern is left to TestEventPattern,
and Lambda and SQS targets are called by their own APIs.
"""

import fnmatch
import json
import logging
import threading
import uuid
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.faults import Faults

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
        """Hand over one event; it is delivered soon, after those before it."""
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

    def deliver(self, event: Event, bus: str = "default", only: Collection[str] | None = None) -> None:
        """To the targets of the rules of the bus that match; where rules are given by ARN, of those alone."""
        for rule in self._rules(bus, only):
            if self._matches(event, rule["EventPattern"]):
                for target in self._targets(rule, bus):
                    self._deliver_to(target, event, rule)

    def _deliver_all(self) -> None:
        """Like AWS's, delivery is best effort: what fails is logged."""
        while True:
            event = self._waiting.get()
            try:
                for _ in range(self._times(event)):
                    self.sent.append(event)
                    self.deliver(event)
            except Exception:
                logger.exception("Not delivered: %s", event)

    def _times(self, event: Event) -> int:
        """Once, unless a fault was asked for."""
        try:
            fault = self._faults.of_event(lambda pattern: self._matches(event, pattern))
        except ClientError as error:
            logger.warning("A fault's event pattern: %s", error)
            return 1
        return {None: 1, "drop": 0, "repeat": 2}[fault and fault.do]

    def _matches(self, event: Event, pattern: str) -> bool:
        answer = self._cloud.client("events").test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
        return answer["Result"]

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
            logger.warning("Rule %s: the sandbox does not deliver to %s", rule["Name"], target)
            return
        try:
            if service == "sqs":
                self._send_message(target["Arn"], payload)
            else:
                self._invoke(target["Arn"], rule, payload)
        except ClientError as error:
            self._set_aside(payload, rule, target, error)

    def _invoke(self, function: str, rule: dict[str, Any], payload: str) -> None:
        """As EventBridge may: the function's own policy must let the rule in."""
        client = self._cloud.client("lambda")
        policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
        if not any(lets_in(statement, rule["Arn"]) for statement in policy["Statement"]):
            raise ClientError(
                {"Error": {"Code": "NO_PERMISSIONS", "Message": f"{function} lets {rule['Arn']} not in"}}, "Invoke"
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

    def _set_aside(self, payload: str, rule: dict[str, Any], target: dict[str, Any], error: ClientError) -> None:
        """To the target's dead-letter queue, with the attributes that EventBridge gives."""
        logger.warning("Rule %s: %s", rule["Name"], error)
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


def lets_in(statement: dict[str, Any], rule_arn: str) -> bool:
    principal = statement["Principal"]
    condition = statement.get("Condition", {})
    pattern = next((keys.get("AWS:SourceArn", keys.get("aws:SourceArn")) for keys in condition.values()), "*")
    return (
        statement["Effect"] == "Allow"
        and (principal == "*" or principal.get("Service") == "events.amazonaws.com")
        and fnmatch.fnmatchcase(rule_arn, pattern or "*")
    )


def iso(moment: datetime) -> str:
    """2026-11-23T02:07:50Z"""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
