"""Completions: AWS's events about the end of an operation, parsed from AWS and written by the reconciler.

Shapes: Glue and Athena user guides, "Automating with EventBridge" and "Monitoring Athena query events"; S3 user guide,
"EventBridge event message structure".
An event is invalid if it does not name the operation, or if a time in it is malformed. A field that AWS may omit is
unknown, never guessed. A state that this version does not know completes no export.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from table_exports.domain import naming
from table_exports.domain.errors import InvalidEvent
from table_exports.domain.export import Export
from table_exports.domain.foreign import preview, text_or_default
from table_exports.domain.limits import ARN_CHARACTERS, NAME_CHARACTERS
from table_exports.domain.stages import Operation

RECONCILER_SOURCE = "table-exports.reconciler"  # the source of events that the reconciler publishes in place of AWS
UNKNOWN = "unknown"  # an id that no export waits for
NO_MESSAGE = "no message"
NOT_GIVEN = (None, "", "N/A")  # what AWS writes for a missing value
PERMANENT = "Permanent error: "  # in the message of a job run. The job writes it, and Glue may put text before it
SYSTEM_ERROR = 1  # Athena's error category for its own errors
SKEW = timedelta(minutes=1)  # the largest difference between AWS's clocks
ROUNDING = timedelta(seconds=2)  # AWS cuts the end to the second, and rounds the running time
LONGEST_CRAWL = timedelta(days=366)

# AWS also publishes states that are no ends. Only the reconciler publishes ERROR, EXPIRED, DELETED and Cancelled.
FAILED_RUNS = {"FAILED", "TIMEOUT", "ERROR", "EXPIRED", "DELETED"}
ENDS_OF_CRAWLS = {"Succeeded", "Failed", "Cancelled"}
ENDS_OF_QUERIES = {"SUCCEEDED", "FAILED", "CANCELLED"}

BUCKET = r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]"
SUMMARY_KEY = r"(?=.{1,1024}$)staging/[A-Za-z0-9_=/\-]+/AWSDynamoDB/[A-Za-z0-9\-]+/manifest-summary\.json"
TIME = r"[2-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})?"


def check_envelope(event: Any, account: str, region: str) -> None:
    """Raise InvalidEvent unless the event is from the function's own account and Region."""
    if not isinstance(event, dict):
        raise InvalidEvent("event", f"is {preview(event)}: it must be an object, as EventBridge delivers it")
    for name, ours in (("account", account), ("region", region)):
        if event.get(name) != ours:
            raise InvalidEvent(
                name,
                f"{_is(event, name)}: the exports are in {ours}, so events from elsewhere cannot be about them. "
                "Remove the rule that sends them here",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryWritten:
    """DynamoDB completed an export of a table: it wrote the summary, which is its last file.

    The event has the summary's address. The ARN of the table export is in the summary.
    """

    detail_type: ClassVar[str] = "Object Created"

    bucket: str
    key: str
    arn: str = UNKNOWN  # of the table export

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        return cls(
            bucket=_matching(event, "detail.bucket.name", BUCKET, "the name of an S3 bucket"),
            key=_matching(
                event,
                "detail.object.key",
                SUMMARY_KEY,
                "where DynamoDB writes the summary of a table export, "
                "staging/FOLDER/AWSDynamoDB/ID/manifest-summary.json",
            ),
        )

    @property
    def detail(self) -> dict[str, Any]:
        return {"bucket": {"name": self.bucket}, "object": {"key": self.key}}

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def waiting_on(self) -> str:
        return Operation.TABLE_EXPORT.waiting_on(self.arn)

    def completes(self, export: Export) -> bool:
        """Return whether the summary is where DynamoDB was asked to write it. A copy elsewhere does not count."""
        return self.uri == naming.table_export_summary(export.table_export_prefix, self.arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableExportFailed:
    """DynamoDB's export of a table failed. AWS has no event for it: this one is the reconciler's own."""

    detail_type: ClassVar[str] = "Table Export State Change"

    arn: str
    state: str = "FAILED"
    message: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        return cls(
            arn=_name(event, "detail.exportArn", "the ARN of a table export", ARN_CHARACTERS),
            state=_name(event, "detail.state", "a table export's state, such as FAILED"),
            message=text_or_default(event["detail"].get("message"), NO_MESSAGE),
        )

    @property
    def detail(self) -> dict[str, Any]:
        return {"exportArn": self.arn, "state": self.state, "message": self.message}

    def completes(self, export: Export) -> bool:
        return self.state == "FAILED"

    @property
    def waiting_on(self) -> str:
        return Operation.TABLE_EXPORT.waiting_on(self.arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunEnded:
    detail_type: ClassVar[str] = "Glue Job State Change"

    job_name: str
    run_id: str
    state: str  # AWS publishes SUCCEEDED, FAILED, TIMEOUT and STOPPED, the reconciler also ERROR, EXPIRED and DELETED
    message: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        return cls(
            job_name=_name(event, "detail.jobName", "the name of a Glue job"),
            run_id=_name(event, "detail.jobRunId", "the id of a Glue job run"),
            state=_name(event, "detail.state", "a job run's state, such as SUCCEEDED"),
            message=text_or_default(event["detail"].get("message"), NO_MESSAGE),
        )

    @property
    def detail(self) -> dict[str, Any]:
        severity = {"SUCCEEDED": "INFO", "STOPPED": "INFO", "TIMEOUT": "WARN"}
        return {
            "jobName": self.job_name,
            "severity": severity.get(self.state, "ERROR"),
            "state": self.state,
            "jobRunId": self.run_id,
            "message": self.message,
        }

    @property
    def failed_by_itself(self) -> bool:
        """Whether the run failed without being stopped, so that another attempt may help."""
        return self.state in FAILED_RUNS

    @property
    def failed_permanently(self) -> bool:
        """Whether another run would fail, too: it would have the same timeout, or the job says so.

        Jobs of earlier versions never say so.
        """
        return self.state == "TIMEOUT" or (self.failed_by_itself and PERMANENT in self.message)

    def completes(self, export: Export) -> bool:
        return self.state in ("SUCCEEDED", "STOPPED") or self.failed_by_itself

    @property
    def waiting_on(self) -> str:
        return Operation.JOB_RUN.waiting_on(self.run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlEnded:
    """A crawl ended. The event names the crawler but not the crawl, which only times can identify."""

    detail_type: ClassVar[str] = "Glue Crawler State Change"

    crawler: str
    state: str  # AWS publishes Succeeded and Failed, the reconciler also Cancelled
    began: datetime | None  # unknown of a failed crawl
    ended: datetime  # or when the reconciler found it ended
    message: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        crawler = _name(event, "detail.crawlerName", "the name of a crawler")
        state = _name(event, "detail.state", "a crawl's state, such as Succeeded")
        detail = event["detail"]
        completed = _given(event, "detail.completionDate", _time)
        ran = _given(event, "detail.runningTime (sec)", _seconds)
        return cls(
            crawler=crawler,
            state=state,
            began=completed - ran if completed and ran is not None else None,
            ended=completed or _time(event, "time"),
            message=text_or_default(detail.get("errorMessage") or detail.get("message"), NO_MESSAGE),
        )

    @property
    def detail(self) -> dict[str, Any]:
        """The event's detail. As in AWS's own, all values are strings, and times are cut to the second."""
        ended = self.ended.astimezone(UTC).replace(microsecond=0)
        known = {"crawlerName": self.crawler, "state": self.state, "completionDate": f"{ended:%Y-%m-%dT%H:%M:%SZ}"}
        if self.began is not None:
            ran = ended - self.began
            known["runningTime (sec)"] = str(max(0, round(ran.total_seconds())))
        if self.state in ("Failed", "Cancelled"):
            return known | {"message": f"Crawler {self.state}", "errorMessage": self.message}
        return known | {"message": self.message}

    @property
    def waiting_on(self) -> str:
        return Operation.CRAWL.waiting_on(self.crawler)

    def just_after(self, now: datetime) -> datetime:
        """Return a start for a new wait that this crawl cannot complete. Its end is rounded, and by another clock."""
        return max(now, min(self.ended, now + SKEW) + timedelta(seconds=1))

    def completes(self, export: Export) -> bool:
        """Return whether this is the crawl that the export waits for, and not an earlier one."""
        assert export.waiting_since is not None
        if self.state not in ENDS_OF_CRAWLS:
            return False
        since = export.waiting_since.replace(microsecond=0)
        if self.ended < since:
            return False
        return not export.own_crawl or self.began is None or self.began >= since - ROUNDING


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEnded:
    detail_type: ClassVar[str] = "Athena Query State Change"

    workgroup: str
    query_id: str
    state: str  # SUCCEEDED, FAILED or CANCELLED
    message: str
    error_category: int | None = None
    error_type: int | None = None
    called_retryable: bool = False  # whether Athena says that a retry may help

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        workgroup = _name(event, "detail.workgroupName", "the name of a workgroup")
        query_id = _name(event, "detail.queryExecutionId", "the id of a query")
        state = _name(event, "detail.currentState", "a query's state, such as SUCCEEDED")
        error = event["detail"].get("athenaError")
        error = error if isinstance(error, dict) else {"errorMessage": error}
        return cls(
            workgroup=workgroup,
            query_id=query_id,
            state=state,
            message=text_or_default(error.get("errorMessage"), NO_MESSAGE),
            error_category=_whole(error.get("errorCategory")),
            error_type=_whole(error.get("errorType")),
            called_retryable=error.get("retryable") is True,
        )

    @property
    def detail(self) -> dict[str, Any]:
        detail: dict[str, Any] = {
            "currentState": self.state,
            "queryExecutionId": self.query_id,
            "workgroupName": self.workgroup,
        }
        numbers = {"errorCategory": self.error_category, "errorType": self.error_type}
        error = {name: number for name, number in numbers.items() if number is not None}
        if self.state != "FAILED" and not error and not self.called_retryable and self.message == NO_MESSAGE:
            return detail
        return detail | {"athenaError": error | {"retryable": self.called_retryable, "errorMessage": self.message}}

    @property
    def retryable(self) -> bool:
        """Whether the same query may succeed in another attempt."""
        return self.called_retryable or self.error_category == SYSTEM_ERROR

    def completes(self, export: Export) -> bool:
        return self.state in ENDS_OF_QUERIES

    @property
    def waiting_on(self) -> str:
        return Operation.QUERY.waiting_on(self.query_id)


Completion = SummaryWritten | TableExportFailed | JobRunEnded | CrawlEnded | QueryEnded


def _name(event: Any, path: str, what: str, longest: int = NAME_CHARACTERS) -> str:
    """Return a name or id that AWS always gives. All its characters are visible, because it becomes a key."""
    value = _at(event, path, what)
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not _is_plain(value):
        raise InvalidEvent(path, f"is {preview(value)}: it must be {what}, of 1 to {longest} visible ASCII characters")
    return value


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _matching(event: Any, path: str, pattern: str, what: str) -> str:
    value = _at(event, path, what)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InvalidEvent(path, f"is {preview(value)}: it must be {what}")
    return value


def _time(event: Any, path: str) -> datetime:
    value = _at(event, path, "a time")
    try:
        if re.fullmatch(TIME, value):
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidEvent(path, f"is {preview(value)}: it must be a time in UTC, such as 2026-11-23T02:09:20Z")


def _seconds(event: Any, path: str) -> timedelta:
    value = _at(event, path, "a number of seconds")
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_CRAWL.total_seconds():  # NaN is in no range
        longest = f"{LONGEST_CRAWL.total_seconds():.0f}"
        raise InvalidEvent(path, f"is {preview(value)}: it must be a number of seconds from 0 to {longest}")
    return timedelta(seconds=seconds)


def _given(event: Any, path: str, read: Any) -> Any:
    """Return a field that AWS may omit. None if it did."""
    parent, _, name = path.rpartition(".")
    value = event[parent].get(name)
    return None if isinstance(value, str | None) and value in NOT_GIVEN else read(event, path)


def _whole(value: Any) -> int | None:
    """Return a whole number, which Athena may write as 2.0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and math.isfinite(value) and 0 <= value < 10**9 else None


def _at(event: Any, path: str, what: str) -> Any:
    """Return the value at `path`, for example `detail.bucket.name`. Raises InvalidEvent if there is none."""
    holder = event
    walked: list[str] = []
    for name in path.split("."):
        if not isinstance(holder, dict):
            where = ".".join(walked) or "event"
            raise InvalidEvent(where, f"is {preview(holder)}: it must be an object with {name}, {what}")
        walked.append(name)
        if name not in holder:
            raise InvalidEvent(".".join(walked), f"is missing: it must be {what}")
        holder = holder[name]
    return holder


def _is(holder: dict[str, Any], name: str) -> str:
    return f"is {preview(holder[name])}" if name in holder else "is missing"
