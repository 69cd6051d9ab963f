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

# A stage that follows itself: another attempt; or another's crawl was in the way, now comes ours.
NEXT = {
    Stage.STARTING: {Stage.STAGING, Stage.EXPORTING},
    Stage.STAGING: {Stage.EXPORTING},
    Stage.EXPORTING: {Stage.EXPORTING, Stage.CATALOGING, Stage.PUBLISHING},  # the last: the catalog has the schema
    Stage.CATALOGING: {Stage.CATALOGING, Stage.PUBLISHING},
    Stage.PUBLISHING: {Stage.PUBLISHING, Stage.SUCCEEDED},
}

# How long an export may wait for one thing. A job run has its own timeout, too.
PATIENCE = {
    Stage.STARTING: timedelta(hours=1),  # AWS may say "not now" for a while
    Stage.STAGING: timedelta(hours=24),  # DynamoDB promises no time; that of terabytes takes hours
    Stage.EXPORTING: timedelta(hours=1),  # in Glue's queue
    Stage.CATALOGING: timedelta(hours=2),
    Stage.PUBLISHING: timedelta(hours=2),
}
STOPPED_WITHIN = timedelta(hours=1)  # what is overdue is stopped, and its end ends the export
STAGED_FOR = timedelta(days=2)  # what DynamoDB exported is there so long at least: StagingDays is 3 or more
CLAIM = timedelta(seconds=60)  # the functions' timeout: until then the delivery that claimed an export may be at it


class IllegalTransition(Exception):
    """A stage does not follow from the one before. Always a bug of ours, never bad input."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an export waited for, from when on."""

    stage: Stage
    since: datetime
    waiting_on: str
    attempt: int = 1
    until: datetime | None = None  # the export ended then; if not, it went on with the next step


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
    claimed_at: datetime | None = None  # a delivery is starting what must not be started twice
    held_up_by: str | None = None  # why AWS did not take the next step yet, in its own words
    end_seen_at: datetime | None = None  # what it waits for has ended, AWS said when asked; its event may be on its way
    steps: tuple[Step, ...] = ()  # all its waits, the last one too; none in a record of an earlier version

    attempt: int = 1  # never used again, so that whatever it starts can be told from an earlier attempt's
    last_attempt: int = 1  # that may be made before a person is asked
    resumed_by: str | None = None  # the request that had it go on after it failed, by its identity

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

    glue_job_run_id: str | None = None  # of the last attempt
    own_crawl: bool | None = None  # False: it waits for another's crawl to end
    crawled: bool | None = None
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
    def awaited_id(self) -> str:
        """The ARN, id or name of what it waits for."""
        return (self.waiting_on or "").partition("/")[2]

    @property
    def deadline(self) -> datetime:
        """Past it, what the export waits for is stopped."""
        assert self.waiting_since is not None
        own = timedelta(minutes=self.timeout_minutes) if self.stage == Stage.EXPORTING else timedelta(0)
        return self.waiting_since + PATIENCE[self.stage] + own

    def is_overdue(self, now: datetime) -> bool:
        return not self.ended and self.deadline < now

    def is_given_up(self, now: datetime) -> bool:
        """What it waits for should have come to an end, and did not: the reconciler fails the export."""
        return not self.ended and self.deadline + STOPPED_WITHIN < now

    def is_claimed(self, now: datetime) -> bool:
        """Whether another delivery may be at it still."""
        return self.claimed_at is not None and now < self.claimed_at + CLAIM

    @property
    def began_at(self) -> datetime:
        """When it was requested, or resumed for the last time."""
        begun = [step.since for step in self.steps if step.stage == Stage.STARTING]
        return begun[-1] if begun else self.requested_at

    @property
    def stage_since(self) -> datetime | None:
        """Since when it is in its stage, whatever the attempt. None if it has ended."""
        since = self.waiting_since
        for step in reversed(self.steps):
            if step.stage != self.stage:
                break
            since = step.since
        return since

    def seconds(self, now: datetime) -> int:
        """How long it took since it began, or has taken by now."""
        return max(0, round(((self.ended_at or now) - self.began_at).total_seconds()))

    @property
    def may_try_again(self) -> bool:
        return self.attempt < self.last_attempt

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

    def with_step(self) -> Self:
        """The export with what it waits for now among its steps."""
        assert self.waiting_since is not None
        assert self.waiting_on is not None
        return replace(self, steps=(*self.steps, Step(self.stage, self.waiting_since, self.waiting_on, self.attempt)))

    def claim(self, now: datetime, **learned: Any) -> Self:
        """For one delivery alone: of two that read the same record, one can write this."""
        return replace(self, claimed_at=now, **learned)

    def unclaim(self) -> Self:
        return replace(self, claimed_at=None)

    def hold_up(self, by: str) -> Self:
        """AWS said "not now". The claim is given back, for nothing was started."""
        return replace(self.unclaim(), held_up_by=by)

    def try_again(self) -> Self:
        return replace(self, attempt=self.attempt + 1)

    def advance(self, stage: Stage, *, waiting_on: str, now: datetime, **learned: Any) -> Self:
        """The export in its next stage, waiting for `waiting_on`, with what was learned on the way."""
        self._allow(stage)
        return replace(
            self,
            stage=stage,
            waiting_on=waiting_on,
            waiting_since=now,
            claimed_at=None,
            held_up_by=None,
            end_seen_at=None,
            **learned,
        ).with_step()

    def run_job(self, run_id: str, now: datetime) -> Self:
        """The export, waiting for the Glue job run of this attempt."""
        return self.advance(Stage.EXPORTING, waiting_on=waits_for_job_run(run_id), now=now, glue_job_run_id=run_id)

    def succeed(self, now: datetime) -> Self:
        self._allow(Stage.SUCCEEDED)
        return self._end(Stage.SUCCEEDED, now)

    def fail(self, reason: str, now: datetime, stopped: bool = False) -> Self:
        """`stopped`: at its deadline, as the record says then; or by someone who knows why."""
        if self.ended:
            raise IllegalTransition(f"{self.stage} -> {Stage.FAILED}")
        if stopped:
            reason += f" ({self.held_up_by or 'resume the export once it may go on'})"
        return replace(self._end(Stage.FAILED, now), failed_stage=self.stage, reason=reason)

    def give_up(self, now: datetime, told: str = "") -> Self:
        """`told` is what was found of the thing it waits for, and was handled by nobody."""
        reason = f"Still waiting on {self.waiting_on} since {self.waiting_since:%Y-%m-%d %H:%M:%S} UTC"
        if told:
            reason += (
                f": it was told of {told}, and could not go on. See the functions' log, mend it, resume the export"
            )
        return self.fail(f"{reason} ({self.held_up_by})" if self.held_up_by else reason, now)

    def resume(self, by: str, attempts: int, now: datetime) -> Self:
        """The failed export, on its way again. What its record knows to be done is not done again.

        `by` is the request's identity: delivered again, it resumes nothing.
        """
        if self.stage != Stage.FAILED:
            raise IllegalTransition(f"{self.stage} -> {Stage.STARTING}")
        table_export = self.table_export if now < self.requested_at + STAGED_FOR else None
        return replace(
            self,
            stage=Stage.STARTING,
            waiting_on=waits_for_request(self.export_id),
            waiting_since=now,
            claimed_at=now,
            attempt=self.attempt + 1,
            last_attempt=self.attempt + attempts,
            resumed_by=by,
            table_export=table_export,
            read_plan=self.read_plan if table_export or self.glue_job_run_id else None,
            ended_at=None,
            failed_stage=None,
            reason=None,
        ).with_step()

    def _end(self, stage: Stage, now: datetime) -> Self:
        return replace(
            self,
            stage=stage,
            waiting_on=None,
            waiting_since=None,
            claimed_at=None,
            held_up_by=None,
            end_seen_at=None,
            ended_at=now,
            steps=(*self.steps[:-1], *(replace(step, until=now) for step in self.steps[-1:])),
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
