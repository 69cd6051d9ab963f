"""How a service reacts to an event: find the exports that wait for it, decide, record, leave."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from aws_lambda_powertools.metrics import MetricUnit

from table_exports.aws.cloud import Cloud
from table_exports.domain.errors import Refused
from table_exports.domain.export import Export
from table_exports.domain.facts import Fact
from table_exports.telemetry import logger, metrics


class Happening(Protocol):
    """Something outside that an export may wait for."""

    @property
    def waiting_on(self) -> str: ...


def react(
    happening: Happening,
    next_step: Callable[[Export], Export | None],
    cloud: Cloud,
    now: datetime,
) -> None:
    """Take each export that waits for `happening` through `next_step`, and record what it became.

    `next_step` returns None where the export does not wait for this after all; what it is Refused, fails the export.
    A happening that nobody waits for leaves a log line and a metric.
    """
    awaited = False
    for export in cloud.records.waiting_on(happening.waiting_on):
        logger.append_keys(pipeline=export.pipeline, export_id=export.export_id, stage=export.stage)
        try:
            after = next_step(export)
        except Refused as refusal:
            after = export.fail(str(refusal), now)
        if after is not None:
            awaited = True
            move_on(export, after, cloud)
    if not awaited:
        logger.info("No export waits for this event", extra={"waiting_on": happening.waiting_on})
        metrics.add_metric("UnmatchedEvents", MetricUnit.Count, 1)


def move_on(before: Export, after: Export, cloud: Cloud) -> None:
    """Record that `before` became `after`, unless another delivery of the event did so first."""
    if not cloud.records.move(before, after):
        logger.info("Another delivery of this event was first: nothing to do")
        return
    outcome = {"became": after.stage, "waiting_on": after.waiting_on, "reason": after.reason}
    logger.info("Export moved on", extra={name: value for name, value in outcome.items() if value})


def announce(facts: Sequence[Fact], cloud: Cloud) -> None:
    """Put facts on the bus, in the log and in the metrics."""
    cloud.bus.publish(facts)
    for fact in facts:
        logger.info(fact.detail_type, extra=fact.detail)
        metrics.add_metric(fact.detail_type.replace(" ", ""), MetricUnit.Count, 1)
