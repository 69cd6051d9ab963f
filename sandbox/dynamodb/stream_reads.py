"""IAM checks for DynamoDB streams. The emulator checks the wrong resource, because these calls do not name a table.

AWS checks the stream. GetRecords does not name the stream, so the streams of all iterators are remembered.
"""

from sandbox.cloud import Cloud
from sandbox.gateway.calls import Call, Response
from sandbox.gateway.permissions import is_wrongly_denied
from sandbox.gateway.routes import Routes


class StreamReads:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._streams: dict[str, str] = {}  # by iterator

    def routes(self) -> Routes:
        actions = [("dynamodb", "GetShardIterator"), ("dynamodb", "GetRecords")]
        return Routes(
            denials=dict.fromkeys(actions, self.is_wrongly_denied), handlers=dict.fromkeys(actions, self.note_iterator)
        )

    def is_wrongly_denied(self, call: Call, response: Response) -> bool:
        """Whether the caller's role allows reading the stream."""
        stream = self._stream(call)
        return stream is not None and is_wrongly_denied(self._cloud, response, f"dynamodb:{call.action}", stream)

    def note_iterator(self, call: Call, response: Response) -> Response:
        """Remembers the stream of the iterator in the response."""
        iterator = response.json.get("ShardIterator") or response.json.get("NextShardIterator")
        if iterator and (stream := self._stream(call)):
            self._streams[iterator] = stream
        return response

    def _stream(self, call: Call) -> str | None:
        return call.json.get("StreamArn") or self._streams.get(call.json.get("ShardIterator", ""))
