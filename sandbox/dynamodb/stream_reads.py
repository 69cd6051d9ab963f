"""Who may read a DynamoDB stream: the emulator looks for a table in the call, finds none, and asks IAM about anything.

AWS asks about the stream. A call for records does not name it; the iterator that it has was given out for one.
"""

from sandbox.cloud import Cloud
from sandbox.gateway.calls import Answer, Call
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

    def is_wrongly_denied(self, call: Call, answer: Answer) -> bool:
        """Whether the caller's role may read the stream."""
        stream = self._stream(call)
        return stream is not None and is_wrongly_denied(self._cloud, answer, f"dynamodb:{call.action}", stream)

    def note_iterator(self, call: Call, answer: Answer) -> Answer:
        """Of either call: for which stream the iterator is that it gave out."""
        iterator = answer.json.get("ShardIterator") or answer.json.get("NextShardIterator")
        if iterator and (stream := self._stream(call)):
            self._streams[iterator] = stream
        return answer

    def _stream(self, call: Call) -> str | None:
        return call.json.get("StreamArn") or self._streams.get(call.json.get("ShardIterator", ""))
