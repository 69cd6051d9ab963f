"""An export: one run of a pipeline, from the request to the published view."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self, TypeVar

from table_exports.domain import naming
from table_exports.domain.stages import STAGES, TERMINAL, Operation, Stage, parse_waiting_on

T = TypeVar("T")

STOP_TIMEOUT = timedelta(hours=1)  # an overdue operation is stopped. Within this time its end fails the export
TABLE_EXPORT_KEPT = timedelta(days=2)  # then a job run of up to seven days begins with DynamoDB's files: StagingDays
VIEWS_AT_ONCE = 10  # Athena runs 20 DDL queries of an account and Region at a time
CLAIM = timedelta(seconds=60)  # the functions' timeout: after it, the delivery that claimed the export is gone


class IllegalTransition(Exception):
    """The stage cannot follow the one before. Always a bug of ours, never bad input."""


def export_key(snapshot_timestamp: str, export_id: str) -> str:
    return f"export#{snapshot_timestamp}#{export_id}"


@dataclass(frozen=True, slots=True)
class Step:
    """One wait of an export: for what, and since when."""

    stage: Stage
    since: datetime
    waiting_on: str
    attempt: int = 1
    until: datetime | None = None  # set if the export ended here. Otherwise the next step's `since` ends this one


@dataclass(frozen=True, slots=True)
class NotConverted:
    """How many values of an attribute do not fit the type that the column contract declares."""

    attribute: str
    values: int


@dataclass(frozen=True, slots=True)
class EntityItems:
    """How many items of an entity a snapshot has."""

    name: str  # in the catalog
    items: int
    value: str | None = None  # of the discriminator, shortened. None: the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export in flight waits for exactly one external operation. An ended export waits for none."""

    pipeline: str
    export_id: str
    snapshot_timestamp: str
    stage: Stage
    requested_at: datetime
    timeout_minutes: int  # of the Glue job
    waiting_on: str | None = None
    waiting_since: datetime | None = None
    claimed_at: datetime | None = None  # a delivery is starting an operation that must not be started twice
    interrupted_at: datetime | None = None  # when a delivery claimed it that recorded no result. It may have died
    blocked_reason: str | None = None  # why the next step could not be taken yet, in AWS's words
    end_seen_at: datetime | None = None  # when AWS first said that the operation has ended. Its event may still arrive
    steps: tuple[Step, ...] = ()  # all waits, including the current one. Empty in a record of an earlier version

    attempt: int = 1  # identifies each operation that is started. Never reused, not even after a resume
    max_attempts: int = 1  # of one operation, counted from the request or the last resume
    resumed_by: str | None = None  # the identity of the request that resumed it last

    table_name: str
    catalog_name: str
    read_percentage: Decimal
    read_mode: str = "scan"  # or export. Decided once, with the next two
    read_plan: str | None = None  # the reason for the read mode
    read_cost_usd: Decimal | None = None  # an estimate
    table_export: str | None = None  # the URI of the table export's summary. None: the job scans the table
    output_format: str
    output_prefix: str
    glue_job_name: str
    crawler_name: str

    glue_job_run_id: str | None = None  # of the last attempt
    own_crawl: bool | None = None  # False: it waits for the end of another crawl
    crawled: bool | None = None
    items: int | None = None
    files: int | None = None
    bytes: int | None = None
    warning: str | None = None  # of a possible problem with a snapshot that is proven complete
    hot_share: Decimal | None = None  # as in the manifest
    not_converted: tuple[NotConverted, ...] = ()
    entities: tuple[EntityItems, ...] = ()
    appeared: tuple[str, ...] = ()  # the names of entities that no earlier export published
    wide: bool | None = None  # whether the table of all items is published, too. None: there are no entities
    queries: tuple[str, ...] = ()  # of entities: the ids of the queries that were started, in the order of the views

    ended_at: datetime | None = None
    failed_stage: Stage | None = None
    reason: str | None = None  # why it failed, so that an operator can act on it
    final: bool | None = None  # it failed, and could only fail again if it was resumed
    published: bool | None = None  # it failed, after an interrupted step had made the view show its snapshot
    table_stack: str | None = None  # the id of the table stack when it began or was resumed. 0.1.0 does not record it

    def __post_init__(self) -> None:
        if (self.waiting_on is None) != (self.stage in TERMINAL):
            raise IllegalTransition(f"{self.stage} with waiting_on={self.waiting_on!r}")

    # ------------------------------------------------------------------------------------------------ What is known
    @property
    def record_key(self) -> str:
        """The sort key of its state record."""
        return export_key(self.snapshot_timestamp, self.export_id)

    @property
    def awaited_id(self) -> str:
        """The ARN, id or name of the operation that it waits for."""
        return parse_waiting_on(self.waiting_on or "").awaited_id

    @property
    def queries_together(self) -> tuple[str, ...]:
        """The queries that were started together with the awaited one, including it."""
        return self.queries[self._first_together :] or (self.awaited_id,)

    @property
    def views_left(self) -> int:
        """How many views no query was started for yet. 0 without entities."""
        return max(0, len(self.entities) + bool(self.wide) - len(self.queries))

    def following(self, views: Sequence[T]) -> Sequence[T]:
        """Return which of all `views` to publish next."""
        return views[len(self.queries) :][:VIEWS_AT_ONCE]

    @property
    def _first_together(self) -> int:
        """The index of the first query that was started together with the awaited one."""
        return max(0, len(self.queries) - 1) // VIEWS_AT_ONCE * VIEWS_AT_ONCE

    @property
    def deadline(self) -> datetime:
        """When the operation is overdue, so that the reconciler stops it."""
        assert self.waiting_since is not None
        job_timeout = timedelta(minutes=self.timeout_minutes) if self.stage == Stage.EXPORTING else timedelta(0)
        return self.waiting_since + STAGES[self.stage].max_duration + job_timeout

    def is_overdue(self, now: datetime) -> bool:
        return not self.ended and self.deadline < now

    def is_given_up(self, now: datetime) -> bool:
        """Whether the operation has not even ended after it was stopped, so that the reconciler fails the export."""
        return not self.ended and self.deadline + STOP_TIMEOUT < now

    def is_claimed(self, now: datetime) -> bool:
        """Whether another delivery may still be working on it."""
        return self.claimed_at is not None and now < self.claimed_at + CLAIM

    def may_have_started(self, now: datetime) -> tuple[Operation, ...]:
        """What a delivery may have started that was interrupted before it recorded a result."""
        if self.interrupted_at is None and (self.claimed_at is None or self.is_claimed(now)):
            return ()
        started = [operation for stage in STAGES[self.stage].next_stages if (operation := STAGES[stage].operation)]
        if self.stage == Stage.STARTING:  # one of two, as planned and recorded before
            by_export = self.read_mode == "export" and self.read_plan is not None and self.table_export is None
            started = [Operation.TABLE_EXPORT if by_export else Operation.JOB_RUN]
        return tuple(started)

    @property
    def began_at(self) -> datetime:
        """When it was requested or last resumed."""
        begun = [step.since for step in self.steps if step.stage == Stage.STARTING]
        return begun[-1] if begun else self.requested_at

    @property
    def stage_since(self) -> datetime | None:
        """When it entered its stage, over all attempts. None if it has ended."""
        since = self.waiting_since
        for step in reversed(self.steps):
            if step.stage != self.stage:
                break
            since = step.since
        return since

    def seconds(self, now: datetime) -> int:
        """How long it took since it began, or has taken so far."""
        return max(0, round(((self.ended_at or now) - self.began_at).total_seconds()))

    @property
    def attempts_made(self) -> int:
        """How many times its stage's operation was started since the request or the last resume.

        Of the queries of entities, those count that were started together with the awaited one.
        """
        attempts: set[int] = set()
        earlier = self.queries[: self._first_together]
        for step in reversed(self.steps):
            if step.stage == Stage.PUBLISHING and parse_waiting_on(step.waiting_on).awaited_id in earlier:
                return len(attempts)
            if step.stage == self.stage:
                attempts.add(step.attempt)
            if step.stage == Stage.STARTING:
                return len(attempts)
        return self.attempt  # a record of an earlier version, which has not all its steps

    @property
    def can_retry(self) -> bool:
        """Whether its stage's operation may be started once more."""
        limit = STAGES[self.stage].max_attempts
        return self.attempts_made < (self.max_attempts if limit is None else min(limit, self.max_attempts))

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
        """The folder in which DynamoDB writes its export of the table."""
        return naming.table_export_prefix(self.output_prefix, self.snapshot_timestamp)

    @property
    def manifest_uri(self) -> str:
        return naming.manifest_uri(self.output_prefix, self.snapshot_timestamp)

    # ------------------------------------------------------------------------------------------------ Transitions
    def with_step(self) -> Self:
        """The export with its current wait added to its steps."""
        assert self.waiting_since is not None
        assert self.waiting_on is not None
        return replace(self, steps=(*self.steps, Step(self.stage, self.waiting_since, self.waiting_on, self.attempt)))

    def claim(self, now: datetime) -> Self:
        """The export, claimed by one delivery. Of two that read the same record, only one can write this."""
        return replace(self, claimed_at=now, interrupted_at=self.claimed_at or self.interrupted_at)

    def release(self) -> Self:
        """The export after an error, which does not tell whether the step had an effect."""
        return replace(self, claimed_at=None, interrupted_at=self.claimed_at or self.interrupted_at)

    def defer(self, reason: str) -> Self:
        """The export after AWS refused a step for now. Nothing was started, so the claim is released."""
        return replace(self, claimed_at=None, blocked_reason=reason)

    def retry(self) -> Self:
        """The export with the number of its next attempt, which repeats the queries that were started together."""
        return replace(self, attempt=self.attempt + 1, queries=self.queries[: self._first_together])

    def wrote(
        self,
        *,
        items: int,
        files: int,
        size: int,
        warning: str | None,
        hot_share: Decimal | None = None,
        not_converted: Mapping[str, int] | None = None,
        entities: Iterable[EntityItems] = (),
        wide: bool | None = None,
    ) -> Self:
        """The export with what its job wrote."""
        counts = tuple(NotConverted(attribute, values) for attribute, values in (not_converted or {}).items())
        return replace(
            self,
            items=items,
            files=files,
            bytes=size,
            warning=warning,
            hot_share=hot_share,
            not_converted=counts,
            entities=tuple(entities),
            wide=wide,
        )

    def advance(self, stage: Stage, awaited_id: str, now: datetime) -> Self:
        """The export in `stage`, waiting for the stage's operation with this ARN, id or name."""
        self._allow(stage)
        operation = STAGES[stage].operation
        assert operation is not None
        return replace(
            self,
            stage=stage,
            waiting_on=operation.waiting_on(awaited_id),
            waiting_since=now,
            claimed_at=None,
            interrupted_at=None,
            blocked_reason=None,
            end_seen_at=None,
        ).with_step()

    def run_job(self, run_id: str, now: datetime) -> Self:
        """The export, waiting for the Glue job run of this attempt."""
        return replace(self, glue_job_run_id=run_id).advance(Stage.EXPORTING, run_id, now)

    def crawl(self, own_crawl: bool, now: datetime) -> Self:
        """The export, waiting for its own crawl, or for another that must end before."""
        return replace(self, own_crawl=own_crawl).advance(Stage.CATALOGING, self.crawler_name, now)

    def after_own_crawl(self) -> Self:
        return replace(self, crawled=True)

    def publish(self, queries: Iterable[str], now: datetime) -> Self:
        """The export, waiting for the last of these queries, which were started together."""
        started = replace(self, queries=(*self.queries, *queries))
        return started.advance(Stage.PUBLISHING, started.queries[-1], now)

    def succeed(self, now: datetime) -> Self:
        self._allow(Stage.SUCCEEDED)
        return self._end(Stage.SUCCEEDED, now)

    def fail(self, reason: str, now: datetime, *, stopped: bool = False, final: bool = False) -> Self:
        """The failed export.

        `stopped`: the reconciler or a person stopped its operation. `final`: it could only fail again.
        """
        if self.ended:
            raise IllegalTransition(f"{self.stage} -> {Stage.FAILED}")
        if stopped:
            reason += f" ({self.blocked_reason or 'resume the export when it may continue'})"
        return replace(self._end(Stage.FAILED, now), failed_stage=self.stage, reason=reason, final=final or None)

    def cancel(self, by: str, now: datetime, notes: Iterable[str] = ()) -> Self:
        """The export, failed because someone cancelled it. `notes`: what else its reason says."""
        return self.fail(". ".join([f"Cancelled by {by} while it waited for {self.waiting_on}", *notes]) + ".", now)

    def give_up(self, now: datetime, unhandled: str = "") -> Self:
        """The export, failed at its deadline. `unhandled`: the event that was published again, but not handled."""
        reason = f"Waited for {self.waiting_on} since {self.waiting_since:%Y-%m-%d %H:%M:%S} UTC, without a result"
        if unhandled:
            find = (
                "Correct the cause"
                if self.blocked_reason
                else "Find the error in the functions' log, correct its cause"
            )
            reason += f": {unhandled} was published again and not handled. {find}, then resume the export"
        return self.fail(f"{reason} ({self.blocked_reason})" if self.blocked_reason else reason, now)

    def resume(self, requested_by: str, max_attempts: int, now: datetime) -> Self:
        """The failed export, in flight again. Steps that its record shows as done are not repeated.

        `requested_by` is the identity of the request, so that a redelivery resumes nothing.
        """
        if self.stage != Stage.FAILED:
            raise IllegalTransition(f"{self.stage} -> {Stage.STARTING}")
        table_export = self.table_export if now < self.requested_at + TABLE_EXPORT_KEPT else None
        return replace(
            self,
            stage=Stage.STARTING,
            waiting_on=Operation.REQUEST.waiting_on(self.export_id),
            waiting_since=now,
            claimed_at=now,
            attempt=self.attempt + 1,
            max_attempts=max_attempts,
            resumed_by=requested_by,
            table_export=table_export,
            read_plan=self.read_plan if table_export or self.glue_job_run_id else None,
            ended_at=None,
            failed_stage=None,
            reason=None,
            final=None,
            published=None,
        ).with_step()

    def _end(self, stage: Stage, now: datetime) -> Self:
        return replace(
            self,
            stage=stage,
            waiting_on=None,
            waiting_since=None,
            queries=(),
            claimed_at=None,
            interrupted_at=None,
            blocked_reason=None,
            end_seen_at=None,
            ended_at=now,
            steps=(*self.steps[:-1], *(replace(step, until=now) for step in self.steps[-1:])),
        )

    def _allow(self, stage: Stage) -> None:
        if stage not in STAGES[self.stage].next_stages:
            raise IllegalTransition(f"{self.stage} -> {stage}")
