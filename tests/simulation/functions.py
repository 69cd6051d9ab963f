"""Lambda: functions run side by side, one goes on whenever another waits for AWS; what fails is tried again, twice.

Each invocation is a greenlet. At every call of AWS it gives way, before the call takes effect and after: whoever is
next on the world's agenda goes on. A crash is an exception that no service can catch, at such a place.
"""

import math
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ReadTimeoutError
from greenlet import getcurrent, greenlet

from simulation.aws.client import AwsError, Client
from simulation.faults import READS, Faults
from simulation.world import Violation, World

TIMEOUT = 60.0
COMMANDS = {"cancel"}  # of people, who wait for as long as it takes
RETRIES = (60.0, 120.0)  # seconds until Lambda's next try
LONGEST_HISTORY = 200_000  # steps

BUSY = {  # how an operation says "not now"; others say ThrottlingException
    "StartJobRun": "ConcurrentRunsExceededException",
    "StartQueryExecution": "TooManyRequestsException",
    "ExportTableToPointInTime": "LimitExceededException",
    "GetObject": "SlowDown",
    "ListObjectsV2": "SlowDown",
    "DeleteObjects": "SlowDown",
    "AssumeRole": "Throttling",
    "UpdateItem": "ProvisionedThroughputExceededException",
}


DEFECTS = (AssertionError, AttributeError, IndexError, KeyError, NameError, TypeError)  # not how AWS fails


class Killed(BaseException):
    """The function's process is gone, from one instruction to the next."""


@dataclass(eq=False)
class Invocation:
    function: str
    number: int
    event: Any
    tried: int
    began: float
    on_end: Callable[[str | None], None]
    wrote: bool = False
    greenlet: greenlet = field(init=False)

    def __str__(self) -> str:
        return f"{self.function} {self.number}"


@dataclass
class Call:
    """A line of the trace, put into words when it is read."""

    operation: str
    asked: dict[str, Any]
    result: str

    def __str__(self) -> str:
        return f"{self.operation}({_brief(self.asked)}){self.result}"


class Functions:
    def __init__(self, world: World, faults: Faults) -> None:
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.unhandled: list[tuple[str, Any]] = []  # the OnFailure queue
        self.out_of_order_until = 0.0
        self._world = world
        self._faults = faults
        self._numbers: Counter[str] = Counter()
        self._running: Invocation | None = None

    # ------------------------------------------------------------------------------------------------ invocations
    @property
    def running(self) -> str:
        return str(self._running) if self._running else "-"

    def invoke(self, function: str, event: Any, tried: int = 0) -> None:
        """Asynchronously: nobody waits for the answer, and what fails is tried again."""
        if self._world.seconds < self.out_of_order_until:  # throttled: Lambda tries again for six hours
            self._world.after(60.0, lambda: self.invoke(function, event, tried))
            return

        def ended(failure: str | None) -> None:
            if failure is None:
                return
            if tried < len(RETRIES):
                self._world.after(RETRIES[tried], lambda: self.invoke(function, event, tried + 1))
            else:
                self._world.note(function, "gave up: its event is in the OnFailure queue")
                self.unhandled.append((function, event))

        self.run(function, event, ended, tried)

    def run(self, function: str, event: Any, on_end: Callable[[str | None], None], tried: int = 0) -> None:
        """Once; `on_end` is told what it failed by, or None."""
        self._numbers[function] += 1
        invocation = Invocation(function, self._numbers[function], event, tried, self._world.seconds, on_end)
        invocation.greenlet = greenlet(lambda: self._carry_out(invocation))
        self._world.note(str(invocation), f"{'retried' if tried else 'invoked'}")
        self._resume(invocation)

    def _carry_out(self, invocation: Invocation) -> None:
        failure = None
        try:
            self.handlers[invocation.function](invocation.event)
        except Killed as killed:
            failure = f"killed: {killed}"
        except DEFECTS as defect:
            place = "".join(traceback.format_exception(defect)[-3:])
            raise Violation("no function has a defect", f"{invocation}: {place}") from defect
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        if failure:
            self._faults.befell[f"failed: {failure.partition(':')[0]}"] += 1
            self._world.note(str(invocation), failure)
        elif invocation.function == "reconcile_exports" and not invocation.wrote:
            self._world.uneventful.add(str(invocation))
        invocation.on_end(failure)

    def _resume(self, invocation: Invocation) -> None:
        self._running, before = invocation, self._running
        invocation.greenlet.switch()
        self._running = before

    def sleep(self, seconds: float) -> None:
        assert self._running is not None
        self._wait(self._running, seconds)

    def _wait(self, invocation: Invocation, seconds: float) -> None:
        timeout = math.inf if invocation.function in COMMANDS else TIMEOUT
        left = invocation.began + timeout - self._world.seconds
        waits = max(min(seconds, left), 0.0)
        if not self._world.passes_by(waits):  # others go on meanwhile
            self._world.after(waits, lambda: self._resume(invocation))
            getcurrent().parent.switch()
        if seconds > left:
            raise Killed("timed out")

    # ------------------------------------------------------------------------------------------------ calls
    def call(self, client: Client, operation: str, carry_out: Callable[[], Any], asked: dict[str, Any]) -> Any:
        """Carry out one call of AWS for the function that runs, as this history has it."""
        invocation = self._running
        if invocation is None:
            return carry_out()
        world = self._world
        if world.steps > LONGEST_HISTORY:
            raise Killed("the history does not end")
        fault = self._faults.of_call(invocation.function, operation)
        kind = fault.kind if fault else ""
        self._wait(invocation, fault.seconds if kind == "slow before" else world.varies(0.02, 0.01, 0.1, 0.5, 2.0, 8.0))
        if kind == "crash before":
            world.note(str(invocation), Call(operation, asked, " … never called"))
            raise Killed(f"before {operation}")
        try:
            if error := _refusal(kind, operation):
                raise client.error(operation, error)
            refused = kind == "throttled" and operation == "PutEvents"
            answer = _not_taken(asked["Entries"]) if refused else carry_out()
            if kind == "answer lost" and client.retries and operation != "TransactWriteItems":  # it brings a token
                world.note(str(invocation), Call(operation, asked, " … carried out, its answer lost, called again"))
                answer = carry_out()
        except Exception as error:
            world.note(str(invocation), Call(operation, asked, f" … {_code(error)}"))
            self._wait(invocation, world.varies(0.02, 0.01, 0.1))
            raise
        invocation.wrote |= not operation.startswith(READS)
        world.note(str(invocation), Call(operation, asked, f"{_brief_answer(operation, answer)}"))
        if kind == "crash after":
            raise Killed(f"after {operation}")
        self._wait(invocation, fault.seconds if kind == "slow after" else world.varies(0.02, 0.01, 0.1, 0.5, 2.0, 8.0))
        if kind == "answer lost for good" or (kind == "answer lost" and not client.retries):
            world.note(str(invocation), f"{operation} … its answer is lost")
            raise ReadTimeoutError(endpoint_url=f"https://{client.service}.amazonaws.com")
        return answer


def _not_taken(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """PutEvents does not raise it: it says of each entry whether it was taken."""
    refused = {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}
    return {"FailedEntryCount": len(entries), "Entries": [refused for _ in entries]}


def _refusal(kind: str, operation: str) -> AwsError | None:
    if kind == "throttled" and operation != "PutEvents":
        return AwsError(BUSY.get(operation, "ThrottlingException"), "Rate exceeded")
    if kind == "internal error":
        return AwsError("InternalServerError", "Something went wrong on our side")
    if kind == "conflict" and operation == "TransactWriteItems":
        reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
        return AwsError("TransactionCanceledException", "Transaction cancelled", CancellationReasons=reasons)
    return None


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return response["Error"]["Code"] if response else f"{type(error).__name__}: {error}"


SHOWN = (
    "stage",
    "waiting_on",
    "claimed_at",
    "attempt",
    "held_up_by",
    "export_in_flight",
    "published_snapshot",
    "reason",
)


def _brief(asked: dict[str, Any]) -> str:
    if "TransactItems" in asked:
        return "; ".join(_brief(write) for item in asked["TransactItems"] for write in item.values())
    if "Entries" in asked and "DetailType" in asked["Entries"][0]:
        return ", ".join(f"{entry['DetailType']} {entry['Detail']}" for entry in asked["Entries"])
    if "TableName" in asked and ("Key" in asked or "Item" in asked):
        key = asked.get("Key") or asked["Item"]
        record = next(iter(key.get("record", {}).values()), "")
        values = asked.get("Item") or {
            name.removeprefix(":"): value for name, value in asked.get("ExpressionAttributeValues", {}).items()
        }
        shown = {name: next(iter(values[name].values())) for name in SHOWN if name in values}
        return f"{record}{''.join(f' {name}={value}' for name, value in shown.items())}"
    wanted = ("Arguments", "QueryString", "JobName", "RunId", "Name", "JobRunIds", "QueryExecutionId", "Key")
    shown = {name: asked[name] for name in wanted if name in asked}
    if "Arguments" in shown:
        shown = {name: shown["Arguments"].get(name) for name in ("--export_id", "--attempt")}
    if "QueryString" in shown:
        shown = {"view of": shown["QueryString"].rpartition("= ")[2]}
    if "ExpressionAttributeValues" in asked:
        shown |= {name[1:]: next(iter(value.values())) for name, value in asked["ExpressionAttributeValues"].items()}
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def _brief_answer(operation: str, answer: Any) -> str:
    match operation:
        case "StartJobRun":
            return f" -> {answer['JobRunId']}"
        case "StartQueryExecution":
            return f" -> {answer['QueryExecutionId']}"
        case "GetJobRun":
            return f" -> {answer['JobRun']['JobRunState']}"
        case "GetQueryExecution":
            return f" -> {answer['QueryExecution']['Status']['State']}"
        case "GetCrawler":
            return f" -> {answer['Crawler']['State']}"
        case "Query" | "Scan":
            return f" -> {answer['Count']} found"
        case "GetItem" if "Item" in answer:
            shown = {name: next(iter(answer["Item"][name].values())) for name in SHOWN if name in answer["Item"]}
            return f" -> {', '.join(f'{name}={value}' for name, value in shown.items())}"
    return ""
