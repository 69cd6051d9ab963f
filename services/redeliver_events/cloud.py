"""The AWS clients that only this service needs: to invoke functions, and to read a stream again."""

import base64
import json
from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from redeliver_events.messages import CannotRedeliver, StreamBatch
from table_exports.aws import cloud

if TYPE_CHECKING:
    from botocore.client import BaseClient

MOST_PAGES = 100  # of up to a thousand records each. A batch is far smaller

StreamRecord = dict[str, Any]


class Functions:
    def __init__(self, client: Any) -> None:
        self._client = client

    def invoke(self, function: str, payload: Any) -> None:
        """Invoke a function as EventBridge does. Lambda tries three times, then puts the event into the queue again."""
        self._client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode())


class Streams:
    def __init__(self, client: Any) -> None:
        self._client = client

    def records(self, batch: StreamBatch) -> list[StreamRecord]:
        """Return the records as Lambda gives them to a function. Raises CannotRedeliver if they have expired."""
        try:
            return [_as_lambda_has_it(record, batch.stream) for record in self._read(batch)]
        except (
            self._client.exceptions.TrimmedDataAccessException,
            self._client.exceptions.ResourceNotFoundException,
        ) as error:
            raise CannotRedeliver(
                f"The stream no longer has the records from {batch.first}: it keeps them for 24 hours. No export is "
                "blocked by that, but the events of these changes were not published: delete the message"
            ) from error

    def _read(self, batch: StreamBatch) -> list[StreamRecord]:
        found: list[StreamRecord] = []
        iterator = self._client.get_shard_iterator(
            StreamArn=batch.stream,
            ShardId=batch.shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=batch.first,
        )["ShardIterator"]
        for _ in range(MOST_PAGES):
            page = self._client.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                if int(record["dynamodb"]["SequenceNumber"]) <= int(batch.last):
                    found.append(record)
                if int(record["dynamodb"]["SequenceNumber"]) >= int(batch.last):
                    return found
            iterator = page.get("NextShardIterator")
            if iterator is None:  # the shard is closed, and was read to its end
                break
        raise LookupError(f"Record {batch.last} was not found, reading {batch.shard} from {batch.first}")


class Cloud(cloud.Cloud):
    @cached_property
    def functions(self) -> Functions:
        return Functions(_client("lambda"))

    @cached_property
    def streams(self) -> Streams:
        return Streams(_client("dynamodbstreams"))


@cache
def the_cloud() -> Cloud:
    """Return the one Cloud of the execution environment."""
    return Cloud()


def _client(service: str) -> "BaseClient":
    from botocore.session import Session

    return Session().create_client(service)


def _as_lambda_has_it(record: StreamRecord, stream: str) -> StreamRecord:
    """Convert a record of the API to JSON as in Lambda's events: times in seconds, binary values in base64."""
    return json.loads(json.dumps(record | {"eventSourceARN": stream}, default=_plain))


def _plain(value: object) -> float | str:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{value!r} in a record of a stream")
