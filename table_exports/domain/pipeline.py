"""A pipeline: one configured table-format combination, and its head record."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from table_exports.domain import naming
from table_exports.domain.export import Export, Stage, waits_for_request

RECENT = 15  # ends that a head keeps
LONGEST_REASON = 300  # characters of it that a head keeps: the export's own record has it whole


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an export ended, as its pipeline's head remembers it."""

    export_id: str
    snapshot_timestamp: str
    stage: Stage  # SUCCEEDED or FAILED
    ended_at: datetime
    seconds: int  # since it was requested, or resumed
    items: int | None = None
    failed_stage: Stage | None = None
    reason: str | None = None

    @classmethod
    def of(cls, export: Export) -> "End":
        """Of an export that has ended."""
        assert export.ended_at is not None
        reason = export.reason
        if reason and len(reason) > LONGEST_REASON:
            reason = reason[: LONGEST_REASON - 1] + "…"
        return cls(
            export_id=export.export_id,
            snapshot_timestamp=export.snapshot_timestamp,
            stage=export.stage,
            ended_at=export.ended_at,
            seconds=export.seconds(export.ended_at),
            items=export.items if export.stage == Stage.SUCCEEDED else None,
            failed_stage=export.failed_stage,
            reason=reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What the table stack configured, and where the pipeline stands."""

    pipeline: str
    stack_id: str  # of the table stack that registered it
    table_name: str
    catalog_name: str
    output_format: str
    output_prefix: str
    glue_job_name: str
    crawler_name: str
    timeout_minutes: int  # of the Glue job
    dpus: int = 2  # of all its workers

    read_mode: str = "auto"
    read_percentage: Decimal = Decimal("0.25")
    read_capacity_cap: Decimal = Decimal(0)  # 0: none
    max_read_cost: Decimal = Decimal(0)  # in USD for one export; 0: any
    max_attempts: int = 2  # of one export, before a person is asked
    catalog_update: str = "on-schema-change"  # when to crawl; or always
    keep_snapshots: int = 0  # the newest so many; 0: all
    table_role_arn: str = ""  # may describe and export the table; a stack of an earlier version has none

    scheduled: bool = False  # and so expected to succeed again and again
    schedule_expression: str = ""
    scheduled_since: datetime | None = None  # by this expression
    interval_seconds: int = 0  # the longest between two exports that the schedule asks for; 0: unknown
    stale_after_seconds: int = 0  # without a success; 0: as the interval has it

    export_in_flight: str | None = None  # the record of the export that holds the lock
    latest_export_id: str | None = None  # the last one begun, whatever became of it
    published_snapshot: str | None = None
    asked_to_show: str | None = None  # the newest snapshot that the view was asked to show
    last_succeeded_at: datetime | None = None
    last_failed_at: datetime | None = None
    recent: tuple[End, ...] = ()  # the last to end last

    @property
    def newest_snapshot(self) -> str:
        """That the view may show: what a query does, it may have done though it failed or was cancelled."""
        return max(self.published_snapshot or "", self.asked_to_show or "")

    def begin(self, export_id: str, read_percentage: Decimal, now: datetime) -> Export:
        """A new export of this pipeline, of the table as it is `now`."""
        return Export(
            pipeline=self.pipeline,
            export_id=export_id,
            snapshot_timestamp=naming.snapshot_timestamp(now),
            stage=Stage.STARTING,
            requested_at=now,
            timeout_minutes=self.timeout_minutes,
            waiting_on=waits_for_request(export_id),
            waiting_since=now,
            claimed_at=now,
            last_attempt=self.max_attempts,
            table_name=self.table_name,
            catalog_name=self.catalog_name,
            read_percentage=read_percentage,
            output_format=self.output_format,
            output_prefix=self.output_prefix,
            glue_job_name=self.glue_job_name,
            crawler_name=self.crawler_name,
        ).with_step()

    def why_not_resume(self, export: Export) -> str | None:
        """None if an export that failed may go on."""
        if self.newest_snapshot > export.snapshot_timestamp:
            return (
                f"is of the snapshot {export.snapshot_timestamp}, and the view was asked for {self.newest_snapshot} "
                "already: request a new export"
            )
        return None

    def why_not_publish(self, export: Export) -> str | None:
        """None if the view may show this export's snapshot. It never moves backwards."""
        if self.export_in_flight != export.record_key:
            return f"Another export took over: {self.export_in_flight or 'it has ended'}"
        if self.newest_snapshot > export.snapshot_timestamp:
            return f"The view was asked to show a newer snapshot already: {self.newest_snapshot}"
        return None
