"""What can go wrong: what is drawn of it for one history, and what of that came to pass.

Each fault names its place by counting: the second StartJobRun that start_export calls, the third Glue Job State
Change. So a fault stays where it is while others are taken out, and a history shrinks to the few that matter.
"""

from collections import Counter
from dataclasses import dataclass

MINUTE, HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class CallFault:
    """Befalls a call of AWS, and `times` - 1 of the same that come after it."""

    function: str
    operation: str
    nth: int
    kind: str
    times: int = 1
    seconds: float = 0.0  # of a call that is slow

    def __str__(self) -> str:
        place = f"{self.function}, call {self.nth + 1} of {self.operation}"
        more = f", {self.times} times" if self.times > 1 else ""
        return f"{place}: {self.kind}{f' by {self.seconds:.0f} s' if self.seconds else ''}{more}"


@dataclass(frozen=True)
class EventFault:
    """Befalls an event on its way from a bus to a function."""

    detail_type: str
    nth: int
    kind: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.detail_type} {self.nth + 1}: {self.kind}{f' by {self.seconds:.0f} s' if self.seconds else ''}"


@dataclass(frozen=True)
class Fate:
    """What becomes of the nth job run, crawl, query or table export."""

    thing: str
    nth: int
    fate: str

    def __str__(self) -> str:
        return f"{self.thing} {self.nth + 1}: {self.fate}"


@dataclass(frozen=True)
class Act:
    """What a person does, or the world."""

    at: float  # seconds
    what: str
    pipeline: int = 0

    def __str__(self) -> str:
        return f"after {self.at / MINUTE:.0f} min: {self.what} (pipeline {self.pipeline + 1})"


CALL_FAULTS = (
    "crash before",
    "crash after",
    "throttled",
    "internal error",
    "answer lost",  # the call was carried out; botocore calls again, where it may
    "answer lost for good",
    "slow before",
    "slow after",
    "conflict",  # of transactions
)
SLOW = (1.0, 5.0, 20.0, 45.0, 70.0)  # the last is more than a function has

EVENT_FAULTS = ("twice", "late", "dropped")
LATE = (0.05, 0.3, 10.0, 30.0, 5 * MINUTE, 50 * MINUTE, 5 * HOUR)

WEATHER = ("fair", "every event comes twice", "no event of AWS comes", "events come in any order")

FATES = {
    "job run": (
        "FAILED",
        "FAILED after its manifest",
        "TIMEOUT",
        "STOPPED",  # by a person
        "ERROR",  # of which there is no event
        "EXPIRED",  # nor of this, in the queue
        "DELETED",  # nor of this
        "stuck in the queue",
        "slow",
    ),
    "crawl": ("FAILED", "CANCELLED", "slow", "hangs"),
    "query": ("FAILED", "FAILED, retryable", "CANCELLED", "slow", "hangs"),
    "table export": ("FAILED", "slow", "hangs"),
}

ACTS = (
    "request",
    "request again",  # the same one, delivered anew
    "bad request",
    "resume the last failure",
    "resume the first export",
    "cancel the latest export",
    "replay requests",
    "replay AWS events",
    "send unhandled events back",
    "delete the stack",
    "deploy the stack",
    "run the job by hand",
    "run the crawler by hand",
    "add an attribute",
    "a type appears",  # of items, where the pipeline has entities
    "a type disappears",
    "start over",
    "switch recovery off",
    "switch recovery on",
    "functions out of order",  # for a quarter of an hour: none can be invoked
)

# Which function calls what: where a fault has a chance.
STEPS = {
    "start_export": (
        "StartJobRun",
        "TransactWriteItems",
        "UpdateItem",
        "GetItem",
        "Query",
        "GetJobRuns",
        "GetJobRun",
        "PutEvents",
        "AssumeRole",
        "DescribeTable",
        "DescribeContinuousBackups",
        "ExportTableToPointInTime",
    ),
    "on_table_exported": (
        "StartJobRun",
        "UpdateItem",
        "TransactWriteItems",
        "Query",
        "GetObject",
        "GetJobRuns",
        "GetItem",
        "AssumeRole",
        "ExportTableToPointInTime",
    ),
    "on_glue_complete": (
        "StartQueryExecution",
        "StartCrawler",
        "StartJobRun",
        "UpdateItem",
        "TransactWriteItems",
        "Query",
        "GetItem",
        "GetObject",
        "GetTable",
        "GetTables",
        "UpdateTable",
        "BatchCreatePartition",
        "GetPartition",
        "UpdatePartition",
        "GetJobRuns",
        "CreateTable",
        "GetPartitions",
        "BatchUpdatePartition",
    ),
    "on_crawler_complete": (
        "StartQueryExecution",
        "StartCrawler",
        "UpdateItem",
        "TransactWriteItems",
        "Query",
        "GetItem",
        "GetObject",
        "GetTable",
        "CreateTable",
        "UpdateTable",
        "GetPartitions",
        "BatchUpdatePartition",
        "BatchCreatePartition",
    ),
    "on_view_complete": (
        "TransactWriteItems",
        "UpdateItem",
        "Query",
        "GetItem",
        "StartQueryExecution",
        "GetObject",
        "BatchCreatePartition",
        "GetQueryExecution",
        "GetTable",
        "CreateTable",
        "UpdateTable",
        "GetPartitions",
        "BatchUpdatePartition",
        "PutEvents",
    ),
    "on_export_changed": ("PutEvents",),
    "on_export_succeeded": ("DeletePartition", "DeleteObjects", "ListObjectsV2", "GetPartitions", "GetItem"),
    "reconcile_exports": (
        "Scan",
        "PutEvents",
        "GetJobRun",
        "GetCrawler",
        "GetQueryExecution",
        "DescribeExport",
        "AssumeRole",
        "BatchStopJobRun",
        "StopCrawler",
        "StopQueryExecution",
        "GetItem",
        "TransactWriteItems",
    ),
}
READS = ("Get", "Describe", "Scan", "Query", "Assume", "List")
DETAIL_TYPES = (
    "Glue Job State Change",
    "Glue Crawler State Change",
    "Athena Query State Change",
    "Object Created",
    "Export Requested",
    "Table Export State Change",
    "Export Succeeded",
)


class Faults:
    """Those of one history. Whoever comes to a place asks for what happens there."""

    def __init__(
        self, calls: list[CallFault], events: list[EventFault], fates: list[Fate], weather: str = WEATHER[0]
    ) -> None:
        self._weather = weather
        self.befell: Counter[str] = Counter()
        self.places: Counter[tuple[str, str, str]] = Counter()
        self.over = False
        self._calls = {
            (fault.function, fault.operation, fault.nth + again): fault
            for fault in reversed(calls)
            for again in range(fault.times)
        }
        self._events = {(fault.detail_type, fault.nth): fault for fault in reversed(events)}
        self._fates = {(fate.thing, fate.nth): fate.fate for fate in reversed(fates)}
        self._seen: Counter[tuple[str, ...]] = Counter()

    def of_call(self, function: str, operation: str) -> CallFault | None:
        fault = self._at(self._calls, function, operation)
        if fault:
            self.befell[f"call: {fault.kind}"] += 1
            self.places[function, operation, fault.kind] += 1
        return fault

    def of_event(self, detail_type: str, source: str) -> EventFault | None:
        fault = self._at(self._events, detail_type) or self._of_the_weather(detail_type, source)
        if fault:
            self.befell[f"event: {fault.kind}"] += 1
        return fault

    def _of_the_weather(self, detail_type: str, source: str) -> EventFault | None:
        nth = self._seen[detail_type,] - 1
        match self._weather:
            case _ if self.over:
                return None
            case "every event comes twice":
                return EventFault(detail_type, nth, "twice", LATE[nth % 3])
            case "no event of AWS comes" if source.startswith("aws."):
                return EventFault(detail_type, nth, "dropped")
            case "events come in any order":
                return EventFault(detail_type, nth, "late", 40.0 * (nth * 7 % 5))
        return None

    def fate(self, thing: str) -> str:
        fate = self._at(self._fates, thing)
        if fate:
            self.befell[f"{thing}: {fate}"] += 1
        return fate or "SUCCEEDED"

    def _at(self, faults: dict, *place: str):
        nth = self._seen[place]
        self._seen[place] += 1
        return None if self.over else faults.get((*place, nth))
