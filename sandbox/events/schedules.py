"""Schedules whose target is an event bus. On AWS they call PutEvents in the schedule's role.

The emulator starts them on time, but puts its own `Scheduled Event` on the bus. A rule sends these events to a queue of
the sandbox, which then puts the event that the schedule defines.
"""

import json
import logging
import threading
import uuid
from typing import Any
from zoneinfo import ZoneInfo

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.cloud import Cloud
from sandbox.gateway.calls import AwsError, Call
from sandbox.gateway.routes import Routes

logger = logging.getLogger(__name__)

NAME = "sandbox-schedules"  # of the queue, and of the rule on each bus
WAIT_SECONDS = 2

Fired = dict[str, Any]  # the emulator's event


class TimeZones:
    """Refuses schedules in a time zone that does not exist. The emulator accepts them."""

    def routes(self) -> Routes:
        return Routes(requests={("scheduler", action): self.check for action in ("CreateSchedule", "UpdateSchedule")})

    def check(self, call: Call) -> Call:
        """Returns the call. Raises AwsError. AWS documents the error's code and not its message."""
        name = call.json.get("ScheduleExpressionTimezone", "UTC")
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError) as error:
            raise AwsError("ValidationException", f"Invalid ScheduleExpressionTimezone {name}") from error
        return call


class Schedules:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._stopped = threading.Event()
        self._buses: set[str] = set()
        sqs = cloud.client("sqs")
        self._queue = sqs.create_queue(QueueName=NAME)["QueueUrl"]
        described = sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self._queue_arn = described["Attributes"]["QueueArn"]
        threading.Thread(target=self._run, name="schedules", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen_to_new_buses()
                for fired in self._receive():
                    self._put(fired)
            except (BotoCoreError, ClientError):
                if not self._stopped.wait(WAIT_SECONDS):
                    logger.exception("Schedules could not be read; the sandbox tries again")

    def _listen_to_new_buses(self) -> None:
        events = self._cloud.client("events")
        for bus in {bus["Name"] for bus in events.list_event_buses()["EventBuses"]} - self._buses:
            pattern = json.dumps({"source": ["aws.scheduler"], "detail-type": ["Scheduled Event"]})
            events.put_rule(Name=NAME, EventBusName=bus, EventPattern=pattern)
            events.put_targets(Rule=NAME, EventBusName=bus, Targets=[{"Id": "queue", "Arn": self._queue_arn}])
            self._buses.add(bus)

    def _receive(self) -> list[Fired]:
        sqs = self._cloud.client("sqs")
        found = sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT_SECONDS)
        messages = found.get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    def _put(self, fired: Fired) -> None:
        group, name = fired["resources"][0].split("/")[-2:]
        schedule = self._cloud.client("scheduler").get_schedule(GroupName=group, Name=name)
        target = schedule["Target"]
        if "EventBridgeParameters" not in target:
            logger.warning("Schedule %s defines no event for %s", name, target["Arn"])
            return
        entry = {
            "EventBusName": target["Arn"],
            "Source": target["EventBridgeParameters"]["Source"],
            "DetailType": target["EventBridgeParameters"]["DetailType"],
            "Detail": filled_in(target["Input"], fired),
        }
        in_its_role = self._cloud.assume(target["RoleArn"], "schedule")
        try:
            self._cloud.client("events", in_its_role).put_events(Entries=[entry])
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            logger.warning("Schedule %s is not allowed to put its event on %s: %s", name, target["Arn"], error)


def filled_in(text: str, fired: Fired) -> str:
    """Returns the input with the context attributes replaced."""
    attributes = {
        "schedule-arn": fired["resources"][0],
        "scheduled-time": fired["time"],
        "execution-id": uuid.uuid4().hex[:16],
        "attempt-number": "1",
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text
