"""The AWS events that move an export on, read once: what ended, how, and when.

Shapes: Glue and Athena user guides, "Automating with EventBridge" and "Monitoring Athena query events"; S3 user guide,
"EventBridge event message structure".
Fields that AWS may leave out are read as unknown, never guessed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from table_exports.domain import naming
from table_exports.domain.export import (
    Export,
    waits_for_crawler,
    waits_for_job_run,
    waits_for_query,
    waits_for_table_export,
)

UNKNOWN = "unknown"  # nobody waits for it
NO_MESSAGE = "no message"
ROUNDING = timedelta(seconds=2)  # the end is cut to the second, and the running time rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryWritten:
    """DynamoDB ended an export of a table, and wrote its summary last. The event says where, the summary of which."""

    uri: str
    arn: str = UNKNOWN  # of the table export

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        detail = event["detail"]
        return cls(uri=f"s3://{detail['bucket']['name']}/{detail['object']['key']}")

    @property
    def waiting_on(self) -> str:
        return waits_for_table_export(self.arn)

    def is_of(self, export: Export) -> bool:
        """Whether it lies where DynamoDB was asked to write, and is no copy of it elsewhere."""
        return self.uri == naming.table_export_summary(export.table_export_prefix, self.arn)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunEnded:
    run_id: str
    state: str  # SUCCEEDED, FAILED, TIMEOUT or STOPPED
    message: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        detail = event["detail"]
        return cls(
            run_id=detail.get("jobRunId") or UNKNOWN,
            state=detail.get("state") or UNKNOWN,
            message=detail.get("message") or NO_MESSAGE,
        )

    @property
    def waiting_on(self) -> str:
        return waits_for_job_run(self.run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlEnded:
    """A crawler names itself but no crawl, so only times tell whose crawl this was."""

    crawler: str
    state: str  # Succeeded or Failed
    began: datetime | None  # unknown of a failed crawl
    ended: datetime
    message: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        detail = event["detail"]
        completed, seconds = _time(detail.get("completionDate")), _seconds(detail.get("runningTime (sec)"))
        return cls(
            crawler=detail.get("crawlerName") or UNKNOWN,
            state=detail.get("state") or UNKNOWN,
            began=completed - seconds if completed and seconds is not None else None,
            ended=completed or datetime.fromisoformat(event["time"]),
            message=detail.get("errorMessage") or detail.get("message") or NO_MESSAGE,
        )

    @property
    def waiting_on(self) -> str:
        return waits_for_crawler(self.crawler)

    def ends_the_wait_of(self, export: Export) -> bool:
        """Whether this is the crawl that the export waits for, and not one before it."""
        assert export.waiting_since is not None
        since = export.waiting_since.replace(microsecond=0)
        if self.ended < since:
            return False
        return not export.own_crawl or self.began is None or self.began >= since - ROUNDING


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEnded:
    query_id: str
    state: str  # SUCCEEDED, FAILED or CANCELLED
    message: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        detail = event["detail"]
        error = detail.get("athenaError")
        return cls(
            query_id=detail.get("queryExecutionId") or UNKNOWN,
            state=detail.get("currentState") or UNKNOWN,
            message=(error.get("errorMessage") if isinstance(error, dict) else error) or NO_MESSAGE,
        )

    @property
    def waiting_on(self) -> str:
        return waits_for_query(self.query_id)


def _time(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds(text: Any) -> timedelta | None:
    try:
        return timedelta(seconds=float(text))
    except (TypeError, ValueError, OverflowError):
        return None
