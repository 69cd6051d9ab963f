"""An export: one run of a pipeline, from request to published view."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from table_exports.domain import naming


class Stage(StrEnum):
    STARTING = "STARTING"
    STAGING = "STAGING"  # only in read mode export
    EXPORTING = "EXPORTING"
    CATALOGING = "CATALOGING"
    PUBLISHING = "PUBLISHING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


TERMINAL = frozenset({Stage.SUCCEEDED, Stage.FAILED})

NEXT = {
    Stage.STARTING: {Stage.STAGING, Stage.EXPORTING},
    Stage.STAGING: {Stage.EXPORTING},
    Stage.EXPORTING: {Stage.CATALOGING, Stage.PUBLISHING},  # the latter: the catalog has the schema already
    Stage.CATALOGING: {Stage.CATALOGING, Stage.PUBLISHING},  # itself: another's crawl was in the way, now comes ours
    Stage.PUBLISHING: {Stage.SUCCEEDED},
}

START = timedelta(minutes=15)  # for all that Lambda tries of one request
CATALOG_AND_VIEW = timedelta(hours=2)  # what a crawl and a view may take beyond the job's own timeout
TABLE_EXPORT = timedelta(hours=24)  # DynamoDB promises no time; that of terabytes takes hours


class IllegalTransition(Exception):
    """A stage does not follow from the one before. Always a bug of ours, never bad input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """In flight it waits for exactly one outside thing; ended, for none."""

    pipeline: str
    export_id: str
    snapshot_timestamp: str
    stage: Stage
    requested_at: datetime
    timeout_minutes: int  # of the Glue job
    waiting_on: str | None = None
    waiting_since: datetime | None = None

    table_name: str
    catalog_name: str
    read_percentage: Decimal
    read_mode: str = "scan"  # or export; decided once, with the two next
    read_plan: str | None = None  # why so
    read_cost_usd: Decimal | None = None  # estimated
    table_export: str | None = None  # the table export's summary, where its manifest lies; None: the job scans
    output_format: str
    output_prefix: str
    glue_job_name: str
    crawler_name: str

    own_crawl: bool | None = None  # False: it waits for another's crawl to end
    items: int | None = None
    files: int | None = None
    bytes: int | None = None
    warning: str | None = None  # of what may be wrong with a snapshot that is proven complete

    ended_at: datetime | None = None
    failed_stage: Stage | None = None
    reason: str | None = None  # why it failed, in words an operator can act on

    def __post_init__(self) -> None:
        if (self.waiting_on is None) != (self.stage in TERMINAL):
            raise IllegalTransition(f"{self.stage} with waiting_on={self.waiting_on!r}")

    @property
    def record_key(self) -> str:
        """The sort key of its state record."""
        return f"export#{self.snapshot_timestamp}#{self.export_id}"

    @property
    def deadline(self) -> datetime:
        """Past it, nobody will end the export any more, and the pipeline's lock may be taken over."""
        if self.stage == Stage.STARTING:
            return self.requested_at + START
        table_export = TABLE_EXPORT if self.read_mode == "export" else timedelta(0)
        return self.requested_at + table_export + timedelta(minutes=self.timeout_minutes) + CATALOG_AND_VIEW

    @property
    def ended(self) -> bool:
        return self.stage in TERMINAL

    @property
    def snapshot_table(self) -> str:
        return naming.snapshot_table(self.catalog_name)

    @property
    def snapshot_location(self) -> str:
        return naming.snapshot_location(self.output_prefix, self.snapshot_timestamp)

    @property
    def table_export_prefix(self) -> str:
        """Under which DynamoDB writes its export of the table."""
        return naming.table_export_prefix(self.output_prefix, self.snapshot_timestamp)

    @property
    def manifest_uri(self) -> str:
        return naming.manifest_uri(self.output_prefix, self.snapshot_timestamp)

    def advance(self, stage: Stage, *, waiting_on: str, now: datetime, **learned: Any) -> Self:
        """The export in its next stage, waiting for `waiting_on`, with what was learned on the way."""
        self._allow(stage)
        return replace(self, stage=stage, waiting_on=waiting_on, waiting_since=now, **learned)

    def succeed(self, now: datetime) -> Self:
        self._allow(Stage.SUCCEEDED)
        return replace(self, stage=Stage.SUCCEEDED, waiting_on=None, waiting_since=None, ended_at=now)

    def fail(self, reason: str, now: datetime) -> Self:
        if self.ended:
            raise IllegalTransition(f"{self.stage} -> {Stage.FAILED}")
        return replace(
            self,
            stage=Stage.FAILED,
            waiting_on=None,
            waiting_since=None,
            ended_at=now,
            failed_stage=self.stage,
            reason=reason,
        )

    def _allow(self, stage: Stage) -> None:
        if stage not in NEXT.get(self.stage, ()):
            raise IllegalTransition(f"{self.stage} -> {stage}")


def waits_for_request(export_id: str) -> str:
    """What a STARTING export waits for: its own request, handled to the end."""
    return f"export-request/{export_id}"


def waits_for_table_export(arn: str) -> str:
    return f"table-export/{arn}"


def waits_for_job_run(run_id: str) -> str:
    return f"glue-job-run/{run_id}"


def waits_for_crawler(name: str) -> str:
    return f"glue-crawler/{name}"


def waits_for_query(query_id: str) -> str:
    return f"athena-query/{query_id}"
