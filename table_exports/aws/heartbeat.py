"""The one message of a queue, which grows old if nobody replaces it: so silence is noticed, too.

An alarm that took missing data for silence would go off on the day of deployment, before there is any.
"""

from typing import Any

AT_ONCE = 10  # messages, at most, that SQS hands out


class Heartbeat:
    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue = queue_url

    def beat(self) -> None:
        """Leave a new message in place of those that are there."""
        found = self._client.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=AT_ONCE, WaitTimeSeconds=1)
        self._client.send_message(QueueUrl=self._queue, MessageBody="alive")
        for message in found.get("Messages", []):
            self._client.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
