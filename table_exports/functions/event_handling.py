"""How a function handles an event: claim each export that waits for it, take the next step, record the result."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar

from botocore.exceptions import ClientError

from table_exports.aws.cloud import Cloud
from table_exports.aws.interrupted import settle
from table_exports.domain.aws_events import Completion, check_envelope
from table_exports.domain.errors import FinalError, InvalidEvent, InvalidRecord, PermanentError, RetryableError
from table_exports.domain.export import Export
from table_exports.domain.foreign import preview
from table_exports.domain.pipeline import STACK_DELETED
from table_exports.domain.public_events import PublicEvent
from table_exports.domain.stages import Stage
from table_exports.functions.telemetry import about, count, logger

Update = Callable[[Export], Export]  # from an export to what it becomes


class Parsed(Protocol):
    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self: ...


P = TypeVar("P", bound=Parsed)
R = TypeVar("R")


def parse_event(kinds: Mapping[str, type[P]], event: dict[str, Any], cloud: Cloud) -> P | None:
    """Return the event, parsed as its detail type requires. None if it is invalid, because no retry would help."""
    try:
        check_envelope(event, cloud.account, cloud.region)
        detail_type = event.get("detail-type")
        kind = kinds.get(detail_type) if isinstance(detail_type, str) else None
        if kind is None:
            raise InvalidEvent("detail-type", f"is {preview(detail_type)}: it must be one of {', '.join(kinds)}")
        return kind.from_event(event)
    except InvalidEvent as error:
        event_id = event.get("id") if isinstance(event, dict) else None
        logger.error(str(error), extra={"event_id": preview(event_id), "field": error.field})
        count("InvalidEvents")
        return None


def handle_completion(
    completion: Completion, step: Update, cloud: Cloud, now: datetime, *, learn: Update | None = None
) -> list[Export]:
    """Take the next step of each export that waits for the completed operation. Returns those that moved on.

    `learn` adds to the export what the completion says. It is recorded together with the claim.
    A completion that no export waits for leaves a log line and a metric.
    """
    matched, moved = False, []
    for export in valid(cloud.records.waiting_on(completion.waiting_on)):
        if completion.completes(export):
            matched = True
            with about(export):
                if claimed := claim(export, cloud, now, learn=learn):
                    moved.append(take_step(claimed, step, cloud, now))
    if not matched:
        logger.info("No export waits for this event", extra={"waiting_on": completion.waiting_on})
        count("UnmatchedEvents")
    return [export for export in moved if export]


def claim(export: Export, cloud: Cloud, now: datetime, *, learn: Update | None = None) -> Export | None:
    """Claim the export for this delivery. None if another delivery may be working on it.

    The claim comes before the step, because a refused write cannot undo what the step did in AWS.
    """
    known = learn(export) if learn else export
    claimed = None if export.is_claimed(now) else known.claim(now)
    if claimed is None or not cloud.records.move(export, claimed):
        logger.info("Another delivery is working on this export: nothing to do")
        return None
    return claimed


def take_step(claimed: Export, step: Update, cloud: Cloud, now: datetime) -> Export | None:
    """Take one step with a claimed export and record the result. None if another delivery recorded one first.

    A PermanentError fails the export, after a look for what an interrupted step may have started. A RetryableError
    defers it: it waits as before, until the reconciler publishes the event again. So does an invalid head of its
    pipeline, which someone may correct in the meantime.
    """
    with _released_on_error(claimed, cloud):
        try:
            after = step(claimed)
        except PermanentError as error:
            after = claimed.fail(str(error), now, final=isinstance(error, FinalError))
        except (RetryableError, InvalidRecord) as error:
            count("StepsDeferred")
            after = claimed.defer(str(error))
        if after.stage == Stage.FAILED:
            try:
                after = _settled(claimed, _with_cause(after, cloud), cloud, now)
            except RetryableError as error:
                after = claimed.defer(str(error))
        return after if record(claimed, after, cloud) else None


def _with_cause(failed: Export, cloud: Cloud) -> Export:
    """Return the failed export with the loss of its table stack as reason, because AWS's own reason would mislead."""
    try:
        pipeline = cloud.records.pipeline(failed.pipeline)
    except InvalidRecord:
        return failed
    cause = STACK_DELETED if pipeline is None else pipeline.why_stack_lost(failed)
    if cause is None:
        return failed
    logger.warning("The export failed after its table stack was lost", extra={"reason": failed.reason})
    return replace(failed, reason=cause)


def _settled(claimed: Export, failed: Export, cloud: Cloud, now: datetime) -> Export:
    """Return the failed export, after a look for what an interrupted step had started."""
    settled, notes = settle(claimed, cloud.glue, cloud.records, now)
    for note in notes:
        logger.warning(note)
    return replace(
        failed,
        attempt=settled.attempt,
        glue_job_run_id=settled.glue_job_run_id,
        published=settled.published,
        reason=". ".join([failed.reason or "", *notes]),
    )


def record(before: Export, after: Export, cloud: Cloud) -> bool:
    """Record that `before` became `after`. False if another delivery was first."""
    if not cloud.records.move(before, after):
        logger.info("Another delivery of this event was first: nothing to do")
        return False
    known = {"waiting_on": after.waiting_on, "reason": after.reason, "blocked_reason": after.blocked_reason}
    known = {name: value for name, value in known.items() if value}
    logger.info("Export moved on", extra={"became": after.stage, "attempt": after.attempt} | known)
    return True


def valid(found: Iterable[R | InvalidRecord]) -> Iterator[R]:
    """Yield what could be parsed. Reports each invalid record, which must not affect the others."""
    for each in found:
        if isinstance(each, InvalidRecord):
            report_invalid(each)
        else:
            yield each


def report_invalid(invalid: InvalidRecord) -> None:
    named = {"pipeline": invalid.pipeline, "record": invalid.record, "remedy": invalid.remedy}
    logger.error(str(invalid), extra=named)
    count("InvalidRecords")


def publish_events(events: Sequence[PublicEvent], cloud: Cloud) -> None:
    """Put public events on the bus, into the log and into the metrics."""
    cloud.bus.publish(events)
    for event in events:
        report_event(event)


def report_event(event: PublicEvent) -> None:
    """Log and count a public event."""
    logger.info(event.detail_type, extra=event.detail)
    count(event.detail_type.replace(" ", ""))


@contextmanager
def _released_on_error(claimed: Export, cloud: Cloud) -> Iterator[None]:
    """Release the claim if AWS answers with an error: nothing is under way, so the next delivery need not wait."""
    try:
        yield
    except ClientError:
        with suppress(ClientError):
            cloud.records.move(claimed, claimed.release())
        raise
