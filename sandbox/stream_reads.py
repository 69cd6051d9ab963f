"""Who may read a DynamoDB stream: the emulator looks for a table in the call, finds none, and asks IAM about anything.

AWS asks about the stream. A call for records does not name it; the iterator that it has was given out for one.
"""

from sandbox.calls import Answer, Call
from sandbox.cloud import ACCOUNT, Cloud
from sandbox.permissions import REFUSED_ROLE


class StreamReads:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._streams: dict[str, str] = {}  # by iterator

    def wrongly_refused(self, call: Call, answer: Answer) -> bool:
        """Whether the caller's role may read the stream."""
        role, stream = REFUSED_ROLE.search(answer.json.get("message", "")), self._stream(call)
        if role is None or stream is None:
            return False
        asked = self._cloud.client("iam").simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/{role[2]}",
            ActionNames=[f"dynamodb:{call.action}"],
            ResourceArns=[stream],
        )
        return asked["EvaluationResults"][0]["EvalDecision"] == "allowed"

    def note_iterator(self, call: Call, answer: Answer) -> Answer:
        """Of either call: for which stream the iterator is that it gave out."""
        iterator = answer.json.get("ShardIterator") or answer.json.get("NextShardIterator")
        if iterator and (stream := self._stream(call)):
            self._streams[iterator] = stream
        return answer

    def _stream(self, call: Call) -> str | None:
        return call.json.get("StreamArn") or self._streams.get(call.json.get("ShardIterator", ""))
