"""Message move tasks of SQS (redrive of a dead-letter queue), which the emulator does not have.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

import json
import logging
import threading
import time
import uuid
from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloud import Cloud
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.routes import Routes

logger = logging.getLogger(__name__)

MOST_LISTED = 10
DOCUMENTED_OPTIONS = {"SourceArn", "DestinationArn", "MaxNumberOfMessagesPerSecond"}


class Task:
    def __init__(self, request: dict[str, Any], to_move: int) -> None:
        self.request, self.to_move = request, to_move
        self.handle = str(uuid.uuid4())
        self.started = int(time.time() * 1000)
        self.moved = 0
        self.status = "RUNNING"
        self.failure: str | None = None

    def describe(self) -> dict[str, Any]:
        """Returns the task of ListMessageMoveTasks."""
        return {
            **({"TaskHandle": self.handle} if self.status == "RUNNING" else {}),
            **({"FailureReason": self.failure} if self.failure else {}),
            **{name: self.request[name] for name in DOCUMENTED_OPTIONS if name in self.request},
            "Status": self.status,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "StartedTimestamp": self.started,
        }


class MessageMoves:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._tasks: list[Task] = []
        self._lock = threading.Lock()

    def routes(self) -> Routes:
        return Routes(
            handlers={
                ("sqs", "StartMessageMoveTask"): self.start,
                ("sqs", "ListMessageMoveTasks"): self.recent,
            }
        )

    def start(self, call: Call, response: Response) -> dict[str, Any]:
        """The emulator has authenticated the caller and returned an error, because it does not know this action."""
        request = call.json
        source = request.get("SourceArn", "")
        waiting = int(self._attributes(source)["ApproximateNumberOfMessages"])
        if source not in self._dead_letter_queues():
            raise AwsError("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
        if "DestinationArn" in request:
            self._attributes(request["DestinationArn"])
        with self._lock:
            if any(task.status == "RUNNING" for task in self._of(source)):
                raise AwsError("UnsupportedOperation", f"There is already a task that moves messages from {source}")
            task = Task(request, waiting)
            self._tasks.insert(0, task)
        threading.Thread(target=self._run, args=[task], name=f"move {task.handle}", daemon=True).start()
        return {"TaskHandle": task.handle}

    def recent(self, call: Call, response: Response) -> dict[str, Any]:
        source, most = call.json.get("SourceArn", ""), call.json.get("MaxResults", 1)
        self._attributes(source)
        return {"Results": [task.describe() for task in self._of(source)[: min(most, MOST_LISTED)]]}

    def _of(self, source: str) -> list[Task]:
        return [task for task in self._tasks if task.request["SourceArn"] == source]

    def _run(self, task: Task) -> None:
        try:
            while task.moved < task.to_move and (messages := self._receive(task)):
                for message in messages:
                    self._move(task, message)
            task.status = "COMPLETED"
        except Exception as error:
            logger.exception("Messages of %s could not be moved", task.request["SourceArn"])
            task.failure, task.status = str(error), "FAILED"

    def _receive(self, task: Task) -> list[dict[str, Any]]:
        """Receives no more messages than there were at the start: moved messages can come back."""
        response = self._cloud.client("sqs").receive_message(
            QueueUrl=self._url(task.request["SourceArn"]),
            MaxNumberOfMessages=min(10, task.to_move - task.moved),
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        return response.get("Messages", [])

    def _move(self, task: Task, message: dict[str, Any]) -> None:
        origin = message["Attributes"].get("DeadLetterQueueSourceArn")
        destination = task.request.get("DestinationArn", origin)
        if destination is None:
            raise LookupError("CouldNotDetermineMessageSource")
        sqs = self._cloud.client("sqs")
        sqs.send_message(
            QueueUrl=self._url(destination),
            MessageBody=message["Body"],
            MessageAttributes=message.get("MessageAttributes", {}),
        )
        source = self._url(task.request["SourceArn"])
        sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
        task.moved += 1

    def _dead_letter_queues(self) -> set[str]:
        """Returns the dead-letter queues of queues. Those of functions and rules do not count."""
        sqs = self._cloud.client("sqs")
        urls = [url for page in sqs.get_paginator("list_queues").paginate() for url in page.get("QueueUrls", [])]
        policies = [
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"]).get("Attributes", {})
            for url in urls
        ]
        return {json.loads(found["RedrivePolicy"])["deadLetterTargetArn"] for found in policies if found}

    def _attributes(self, arn: str) -> dict[str, str]:
        """Returns the attributes of a queue. Raises AwsError if it does not exist."""
        sqs = self._cloud.client("sqs")
        try:
            return sqs.get_queue_attributes(QueueUrl=self._url(arn), AttributeNames=["All"])["Attributes"]
        except ClientError as error:
            raise AwsError("ResourceNotFoundException", f"There is no queue {arn}") from error

    def _url(self, arn: str) -> str:
        return self._cloud.client("sqs").get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
