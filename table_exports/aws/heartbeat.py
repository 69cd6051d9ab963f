"""A queue with one message, which every pass of the reconciler replaces. An alarm watches the message's age.

An alarm on missing data would go off on the day of the deployment, before there is any data.
"""

from typing import Any

AT_ONCE = 10  # the most messages that SQS returns


class Heartbeat:
    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue = queue_url

    def beat(self) -> None:
        """Replace the queue's messages by a new one."""
        found = self._client.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=AT_ONCE, WaitTimeSeconds=1)
        self._client.send_message(QueueUrl=self._queue, MessageBody="alive")
        for message in found.get("Messages", []):
            self._client.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
