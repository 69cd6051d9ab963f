"""A pipeline: one table in one format as configured, and its state. Both are in its head record."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from table_exports.domain import naming
from table_exports.domain.export import Export, export_key
from table_exports.domain.parameters import DPUS, default_of
from table_exports.domain.stages import Operation, Stage

RECENT = 15  # ends that a head keeps
STACK_LOST = "The table stack was deleted or renamed while the export was running"
STACK_DELETED = f"{STACK_LOST}. To continue, deploy it again and resume the export"
LONGEST_REASON = 300  # characters that a head keeps. The export's own record has the whole reason


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an export ended, as its pipeline's head keeps it."""

    export_id: str
    snapshot_timestamp: str
    stage: Stage  # SUCCEEDED or FAILED
    ended_at: datetime
    seconds: int  # since it was requested or resumed
    items: int | None = None
    failed_stage: Stage | None = None
    reason: str | None = None

    @property
    def record_key(self) -> str:
        """The sort key of the export's state record, which may have expired."""
        return export_key(self.snapshot_timestamp, self.export_id)

    @classmethod
    def of(cls, export: Export) -> "End":
        """Return the end of an export that has ended."""
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


def published_in(listed: Iterable[str], latest: str | None, recent: Iterable[End]) -> set[str]:
    """Return the published snapshots that a head knows. 0.1.0 lists none, but its recent ends tell the last ones."""
    ended = (end.snapshot_timestamp for end in recent if end.stage == Stage.SUCCEEDED)
    return {*listed, *([latest] if latest else []), *ended}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The table stack's configuration, and the pipeline's state."""

    pipeline: str
    stack_id: str  # of the table stack that registered it
    table_name: str
    catalog_name: str
    output_format: str
    output_prefix: str
    glue_job_name: str
    crawler_name: str
    timeout_minutes: int  # of the Glue job
    dpus: int = DPUS[default_of("WorkerType")] * int(default_of("NumberOfWorkers"))  # of all its workers

    read_mode: str = default_of("ReadMode")
    read_percentage: Decimal = Decimal(default_of("ReadPercentage"))
    read_capacity_cap: Decimal = Decimal(default_of("ReadCapacityCap"))  # 0: none
    max_read_cost: Decimal = Decimal(default_of("MaxReadCost"))  # in USD for one export. 0: any
    max_attempts: int = int(default_of("MaxAttempts"))  # of one operation, before its export fails
    catalog_update: str = default_of("CatalogUpdate")  # when to crawl
    keep_snapshots: int = int(default_of("KeepSnapshots"))  # how many published ones. 0: all
    table_role_arn: str = ""  # may describe and export the table. A stack of an earlier version has none

    scheduled: bool = False
    schedule_expression: str = ""
    schedule_time_zone: str = ""  # empty: registered by a stack of an earlier version, which does not say
    scheduled_since: datetime | None = None  # by this expression in this time zone
    stale_after_seconds: int = 0  # the longest time without a success. 0: follows the schedule

    export_in_flight: str | None = None  # the record key of the export that holds the lock
    latest_export_id: str | None = None  # of the export that began last, however it ended
    published_snapshot: str | None = None
    published_snapshots: tuple[str, ...] = ()  # the newest that were published. A head of 0.1.0 has none
    entities: tuple[str, ...] = ()  # the names in the catalog that its entities hold
    new_entities: tuple[str, ...] = ()  # those of them that no export has published yet
    asked_to_show: str | None = None  # the newest snapshot that the view was asked to show
    hot_share: Decimal | None = None  # of its last scan: what one segment had far more of than the others. 0: none
    last_succeeded_at: datetime | None = None
    last_failed_at: datetime | None = None
    recent: tuple[End, ...] = ()  # how its last exports ended, the newest last

    @property
    def newest_snapshot(self) -> str:
        """The newest snapshot that the view may show. Even a query that failed may have changed the view."""
        return max(self.published_snapshot or "", self.asked_to_show or "")

    @property
    def published(self) -> set[str]:
        """The published snapshots that are known: all from the oldest of them to the newest."""
        return published_in(self.published_snapshots, self.published_snapshot, self.recent)

    @property
    def tables(self) -> "list[Pipeline]":
        """The pipeline as each of its tables: the table of all items, and that of each entity."""
        return [self, *map(self.of_entity, self.entities)]

    def published_tables(self, existing: Container[str]) -> "list[Pipeline]":
        """Return the pipeline as each table that its exports have published. `existing`: all tables in the catalog.

        With entities, a pipeline has the table of all items only if it is configured. Then the snapshot table exists.
        """
        published = [self.of_entity(name) for name in self.entities if name not in self.new_entities]
        return (
            published if published and naming.snapshot_table(self.catalog_name) not in existing else [self, *published]
        )

    def of_entity(self, name: str) -> "Pipeline":
        """Return the pipeline as if it had the table and view of this entity alone."""
        return replace(self, catalog_name=name, output_prefix=naming.entity_prefix(self.output_prefix, name))

    def snapshot_to_show(self, shown: Iterable[str | None]) -> str | None:
        """Return the snapshot that all views must show, if they show these. None before the first success.

        That is the latest published one, or a newer one that a view shows: an export that failed or was cancelled
        between two views leaves them at different snapshots. Views may differ only while that export is in flight.
        """
        latest = self.published_snapshot
        if latest is None:
            return None
        newest = max([latest, *filter(None, shown)])
        return latest if newest == self.snapshot_in_flight else newest

    @property
    def snapshot_in_flight(self) -> str | None:
        return self.export_in_flight.split("#")[1] if self.export_in_flight else None

    @property
    def export_id_in_flight(self) -> str | None:
        return self.export_in_flight.rpartition("#")[2] if self.export_in_flight else None

    def begin(self, export_id: str, read_percentage: Decimal, now: datetime) -> Export:
        """Return a new export of the table as it is `now`."""
        return Export(
            pipeline=self.pipeline,
            export_id=export_id,
            snapshot_timestamp=naming.snapshot_timestamp(now),
            stage=Stage.STARTING,
            requested_at=now,
            timeout_minutes=self.timeout_minutes,
            waiting_on=Operation.REQUEST.waiting_on(export_id),
            waiting_since=now,
            claimed_at=now,
            table_stack=self.stack_id,
            max_attempts=self.max_attempts,
            table_name=self.table_name,
            catalog_name=self.catalog_name,
            read_percentage=read_percentage,
            output_format=self.output_format,
            output_prefix=self.output_prefix,
            glue_job_name=self.glue_job_name,
            crawler_name=self.crawler_name,
        ).with_step()

    def why_not_read_at(self, percentage: Decimal) -> str | None:
        """Return why a request must not read at this share of the table's capacity. None if it may."""
        if percentage > self.read_percentage:
            return (
                f"is {percentage}, but {self.pipeline} is deployed with ReadPercentage {self.read_percentage}: request "
                "this value or less, or deploy the table stack with a higher one"
            )
        return None

    def why_not_resume(self, export: Export) -> str | None:
        """Return why a failed export must not be resumed. None if it may."""
        if self.newest_snapshot > export.snapshot_timestamp:
            newest = self.newest_snapshot
            return f"the view already shows, or was asked to show, the newer snapshot {newest}: request a new export"
        if export.final:
            return f"it could only fail again. {export.reason}"
        return None

    def why_stack_lost(self, export: Export) -> str | None:
        """Return that another table stack has the pipeline now. None if it is the export's own, or not known."""
        if export.table_stack in (None, self.stack_id):
            return None
        return f"{STACK_LOST}: its pipeline belongs to {self.stack_id} now. Resume the export, or request a new one"

    def why_not_publish(self, export: Export) -> str | None:
        """Return why the view must not show the export's snapshot. None if it may: the view never moves backwards."""
        if self.export_in_flight != export.record_key:
            return f"Another export took over: {self.export_id_in_flight or 'it has ended'}"
        if self.newest_snapshot > export.snapshot_timestamp:
            return f"The view was already asked to show a newer snapshot: {self.newest_snapshot}"
        return None
