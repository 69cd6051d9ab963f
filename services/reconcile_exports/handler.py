"""Runs every few minutes: find operations that ended without an event reaching us, and publish what is missing.

AWS delivers its events at best effort. The reconciler asks AWS about each export that has waited longer than an event
takes. It publishes what it finds on our bus in the shape of AWS's event, so that the service which waits for it handles
both alike. It stops operations that are overdue: the next pass publishes their end. Then it measures all pipelines, and
sends a heartbeat.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reconcile_exports.measuring import measure_pipelines
from table_exports.aws import operations
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import Completion
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.pipeline import STACK_DELETED, Pipeline
from table_exports.domain.request import ResumeRequest
from table_exports.domain.stages import STAGES, Stage
from table_exports.functions.event_handling import Update, claim, record, report_invalid, take_step
from table_exports.functions.telemetry import about, count, logger, metrics
from table_exports.functions.tracing import trace_handler

GRACE = timedelta(minutes=2)  # for the event of an operation that AWS says has ended
QUEUED = "Glue has queued the job run"


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    make_a_pass(the_cloud(), datetime.now(UTC))


def make_a_pass(cloud: Cloud, now: datetime) -> None:
    reconcile(cloud, now)
    measure_pipelines(cloud, now)
    cloud.heartbeat.beat()


def reconcile(cloud: Cloud, now: datetime) -> None:
    for export in cloud.records.in_flight():
        if isinstance(export, InvalidRecord):
            report_invalid(export)
            count("ExportsNotReconciled")
            continue
        try:
            if has_waited(export, cloud.late_after, now) and not export.is_claimed(now):
                with about(export):
                    reconcile_export(export, cloud, now)
        except Exception:  # one export's error must not affect the others. The next pass asks again
            named = {"pipeline": export.pipeline, "export_id": export.export_id, "stage": export.stage}
            logger.exception("Export not reconciled", extra=named | {"record": export.record_key})
            count("ExportsNotReconciled")


def has_waited(export: Export, longer_than: timedelta, now: datetime) -> bool:
    assert export.waiting_since is not None
    return export.waiting_since + longer_than < now


def reconcile_export(export: Export, cloud: Cloud, now: datetime) -> None:
    try:
        pipeline = cloud.records.pipeline(export.pipeline)
        if pipeline is None and STAGES[export.stage].needs_table_stack:
            return end(export, lambda export: export.fail(STACK_DELETED, now), cloud, now)
        missing = find_completion(export, pipeline, cloud, now)
    except Exception as error:
        if not export.is_given_up(now):
            record(export, replace(export, blocked_reason=f"Its status could not be read: {error}"), cloud)
            raise
        missing = None
    if export.is_given_up(now) and not is_published(export, cloud):  # if it is, it is too late to give up
        unhandled = missing.detail_type if missing else ""
        end(export, lambda export: export.give_up(now, unhandled=unhandled), cloud, now)
    elif missing and not is_late(export, cloud, now):
        if export.end_seen_at is None:
            record(export, replace(export, end_seen_at=now), cloud)
    elif missing:
        republish(missing, cloud)
    elif export.is_overdue(now) and STAGES[export.stage].can_be_stopped:
        stop(export, cloud)
    elif export.stage == Stage.EXPORTING:
        show_queue(export, cloud)


def is_published(export: Export, cloud: Cloud) -> bool:
    """Return whether all views show the snapshot, so that the export has only to be recorded as successful."""
    if export.stage != Stage.PUBLISHING or export.views_left:
        return False
    try:
        ends = [cloud.athena.query_end(query_id) for query_id in export.queries_together]
    except Exception:
        logger.exception("Athena could not be asked about the queries of the export")
        return False
    return all(end is not None and end.state == "SUCCEEDED" for end in ends)


def end(export: Export, how: Update, cloud: Cloud, now: datetime) -> None:
    """End the export. It is claimed first, so that no delivery takes up what is being stopped."""
    if claimed := claim(export, cloud, now):
        take_step(claimed, how, cloud, now)


def is_late(export: Export, cloud: Cloud, now: datetime) -> bool:
    """Return whether the event of an end that was found should have arrived. It may have ended a moment ago."""
    if export.stage == Stage.STARTING:
        return True
    return now - (export.end_seen_at or now) >= min(GRACE, cloud.late_after)


def republish(missing: Completion | ResumeRequest, cloud: Cloud) -> None:
    published = {"detail_type": missing.detail_type, "detail": missing.detail}
    logger.warning("An event is late: the reconciler publishes it", extra=published)
    count("ReconciledEvents")
    cloud.bus.republish_missing([missing])


def find_completion(
    export: Export, pipeline: Pipeline | None, cloud: Cloud, now: datetime
) -> Completion | ResumeRequest | None:
    """Return how the export's operation ended. None if it has not."""
    match export.stage:
        case Stage.STARTING:
            return ResumeRequest(export)
        case Stage.STAGING:
            assert pipeline is not None
            return cloud.tables.export_end(export, export.awaited_id, pipeline.table_role_arn)
    return operations.end_of(export, cloud, now)


def stop(export: Export, cloud: Cloud) -> None:
    """Stop an overdue operation. The next pass publishes its end."""
    queued = cloud.glue.why_queued(export, export.awaited_id) if export.stage == Stage.EXPORTING else None
    deadline = f"{export.deadline:%Y-%m-%d %H:%M:%S} UTC"
    was = f"was still in Glue's queue at {deadline} ({queued})" if queued else f"ran past {deadline}"
    reason = f"stopped because it {was}"
    if record(export, replace(export, blocked_reason=reason), cloud):
        operations.stop(export, cloud)


def show_queue(export: Export, cloud: Cloud) -> None:
    """Record that the job run waits in Glue's queue, and why, or that it no longer does."""
    queued = cloud.glue.why_queued(export, export.awaited_id)
    reason = f"{QUEUED}: {queued}" if queued else None
    was_queued = (export.blocked_reason or "").startswith(QUEUED)
    if reason != export.blocked_reason and (reason or was_queued):
        record(export, replace(export, blocked_reason=reason), cloud)
