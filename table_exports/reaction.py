"""How a service reacts to an event: find the exports that wait for it, decide, record, leave."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from table_exports.aws.cloud import Cloud
from table_exports.domain.aws_events import Happening, check_envelope
from table_exports.domain.errors import Busy, InvalidEvent, Refused
from table_exports.domain.export import Export
from table_exports.domain.facts import Fact
from table_exports.domain.foreign import shown
from table_exports.telemetry import about, count, logger


def read(kinds: Mapping[str, type[Happening]], event: dict[str, Any], cloud: Cloud) -> Happening | None:
    """What the event tells, by its detail type. None if it cannot be read: then no other try would mend it."""
    try:
        check_envelope(event, cloud.account, cloud.region)
        detail_type = event.get("detail-type")
        kind = kinds.get(detail_type) if isinstance(detail_type, str) else None
        if kind is None:
            raise InvalidEvent("detail-type", f"is {shown(detail_type)}: it must be one of {', '.join(kinds)}")
        return kind.from_event(event)
    except InvalidEvent as error:
        event_id = event.get("id") if isinstance(event, dict) else None
        logger.error(str(error), extra={"event_id": shown(event_id), "field": error.field})
        count("InvalidEvents")
        return None


def react(
    happening: Happening, next_step: Callable[[Export], Export], cloud: Cloud, now: datetime, **learned: Any
) -> None:
    """Take each export whose wait the happening ends through `next_step`, and record what it became.

    It is claimed first, with what is `learned`: what a step does to AWS is not undone by a record that is refused.
    What the step is Refused, fails the export; where AWS is Busy, the export waits as before, until the reconciler
    tells of the happening again.
    A happening that nobody waits for leaves a log line and a metric.
    """
    awaited = False
    for export in cloud.records.waiting_on(happening.waiting_on):
        if happening.ends_the_wait_of(export):
            awaited = True
            with about(export):
                if claimed := claim(export, cloud, now, **learned):
                    with given_back(claimed, cloud):
                        move_on(claimed, outcome(claimed, next_step, now), cloud)
    if not awaited:
        logger.info("No export waits for this event", extra={"waiting_on": happening.waiting_on})
        count("UnmatchedEvents")


@contextmanager
def given_back(claimed: Export, cloud: Cloud) -> Iterator[None]:
    """Where AWS has said no, nothing is under way, and the next try need not wait for the claim to lapse."""
    try:
        yield
    except ClientError:
        with suppress(ClientError):
            cloud.records.move(claimed, claimed.unclaim())
        raise


def outcome(export: Export, next_step: Callable[[Export], Export], now: datetime) -> Export:
    """What the export becomes by its next step, whatever AWS says to it."""
    try:
        return next_step(export)
    except Refused as refusal:
        return export.fail(str(refusal), now)
    except Busy as busy:
        count("HeldUp")
        return export.hold_up(str(busy))


def claim(export: Export, cloud: Cloud, now: datetime, **learned: Any) -> Export | None:
    """The export, claimed for this delivery; None if another may be at it."""
    claimed = None if export.is_claimed(now) else export.claim(now, **learned)
    if claimed is None or not cloud.records.move(export, claimed):
        logger.info("Another delivery is at it: nothing to do")
        return None
    return claimed


def move_on(before: Export, after: Export, cloud: Cloud) -> bool:
    """Record that `before` became `after`. False if another delivery of the event did so first."""
    if not cloud.records.move(before, after):
        logger.info("Another delivery of this event was first: nothing to do")
        return False
    became = {"waiting_on": after.waiting_on, "reason": after.reason, "held_up_by": after.held_up_by}
    known = {name: value for name, value in became.items() if value}
    logger.info("Export moved on", extra={"became": after.stage, "attempt": after.attempt} | known)
    return True


def announce(facts: Sequence[Fact], cloud: Cloud) -> None:
    """Put facts on the bus, in the log and in the metrics."""
    cloud.bus.publish(facts)
    for fact in facts:
        tell(fact)


def tell(fact: Fact) -> None:
    """In the log and in the metrics."""
    logger.info(fact.detail_type, extra=fact.detail)
    count(fact.detail_type.replace(" ", ""))
