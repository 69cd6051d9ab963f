"""An export was requested: take the pipeline's lock, decide how to read the table, and start reading it.

A request can also resume an export that failed, or restart one whose function died. Then only what its record does not
show as done is done. A request that cannot be met ends as the event Export Failed or Export Skipped.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain import public_events, reading
from table_exports.domain.aws_events import RECONCILER_SOURCE, check_envelope
from table_exports.domain.errors import InvalidEvent, InvalidRecord, InvalidRequest, RetryableError
from table_exports.domain.export import Export
from table_exports.domain.pipeline import STACK_DELETED, Pipeline
from table_exports.domain.request import ExportRequest
from table_exports.domain.stages import Stage
from table_exports.functions.event_handling import claim, publish_events, report_invalid, take_step
from table_exports.functions.telemetry import about, count, logger, metrics
from table_exports.functions.tracing import trace_handler


class UnsettledLock(Exception):
    """The pipeline's lock is changing hands. Lambda's retry will find it settled."""


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_requested(event, the_cloud(), datetime.now(UTC))


def on_export_requested(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    try:
        check_envelope(event, cloud.account, cloud.region)
        request = ExportRequest.from_event(event)
        with about(request):
            pipeline = cloud.records.pipeline(request.pipeline)
            if pipeline is None and end_without_stack(request, cloud, now):
                return
            pipeline = request.validate_against(pipeline)
            by_reconciler = event.get("source") == RECONCILER_SOURCE
            handle_request(request, pipeline, cloud, now, by_reconciler=by_reconciler)
    except (InvalidEvent, InvalidRequest, InvalidRecord) as error:
        reason = str(error)
        if isinstance(error, InvalidRecord):
            report_invalid(error)
            reason = f"{error}. Remedy: {error.remedy}"
        publish_events([public_events.request_rejected(event, reason)], cloud)
        count("RequestsRefused")


def end_without_stack(request: ExportRequest, cloud: Cloud, now: datetime) -> bool:
    """End the export that an earlier delivery of the request began, if it has not started to read.

    False if there is none: the request must be refused. An export that has started to read ends elsewhere.
    """
    export = cloud.records.find(request.pipeline, request.export_id) or cloud.records.find_in_flight(request.pipeline)
    if export is None or export.export_id != request.export_id or (request.resumes and export.ended):
        return False
    if export.stage != Stage.STARTING:
        logger.info("This request was handled before: nothing to do", extra={"stage": export.stage})
    elif claimed := claim(export, cloud, now):
        take_step(claimed, lambda export: export.fail(STACK_DELETED, now), cloud, now)
    return True


def handle_request(
    request: ExportRequest, pipeline: Pipeline, cloud: Cloud, now: datetime, *, by_reconciler: bool
) -> None:
    export = cloud.records.find(pipeline.pipeline, request.export_id)
    if export is None and request.resumes:
        raise InvalidRequest(
            "resume_export_id",
            f"{pipeline.pipeline} has no record of this export, or it has expired: request a new export",
        )
    if export is None:
        begin(request, pipeline, cloud, now)
    elif export.stage == Stage.STARTING:
        start_again(export, pipeline, cloud, now)
    elif export.stage == Stage.FAILED and request.resumes and not by_reconciler:
        resume(export, request, pipeline, cloud, now)
    else:
        logger.info("This request was handled before: nothing to do", extra={"stage": export.stage})


def begin(request: ExportRequest, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    """Start a new export if the pipeline's lock is free. Otherwise skip the request."""
    export = pipeline.begin(request.export_id, request.read_percentage, now)
    if cloud.records.begin(export):
        return start(export, pipeline, cloud, now)

    pipeline = cloud.records.pipeline(request.pipeline) or pipeline
    if pipeline.latest_export_id == request.export_id:
        return logger.info("The same request was delivered a moment ago: nothing to do")
    skip(request.export_id, pipeline, cloud)


def start_again(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    """Start an export that an earlier delivery left in STARTING, because it died or AWS was busy."""
    if claimed := claim(export, cloud, now):
        start(claimed, pipeline, cloud, now, find_run_first=True)


def resume(export: Export, request: ExportRequest, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    """Resume a failed export if the pipeline's lock is free. Otherwise skip the request."""
    if export.resumed_by == request.identity:
        return logger.info("This request resumed the export before, and it failed again: nothing to do")
    if reason := pipeline.why_not_resume(export):
        raise InvalidRequest("resume_export_id", reason)
    resumed = export.resume(request.identity, pipeline.max_attempts, now)
    resumed = replace(resumed, table_stack=pipeline.stack_id)
    if cloud.records.resume(export, resumed):
        return start(resumed, pipeline, cloud, now)

    pipeline = cloud.records.pipeline(pipeline.pipeline) or pipeline
    if pipeline.export_in_flight == export.record_key:
        return logger.info("Another delivery resumed the export: nothing to do")
    skip(export.export_id, pipeline, cloud)


def skip(export_id: str, pipeline: Pipeline, cloud: Cloud) -> None:
    """Publish that the request was skipped. Raises UnsettledLock if no export in flight explains it."""
    if pipeline.export_in_flight is None:
        raise UnsettledLock("The lock was taken a moment ago, and is free now")
    holder = cloud.records.export(pipeline.pipeline, pipeline.export_in_flight)
    if holder is None or holder.ended:
        cloud.records.free(pipeline.pipeline, pipeline.export_in_flight)
        why = "has ended" if holder else "has no record"
        raise UnsettledLock(f"The lock was held by export {pipeline.export_id_in_flight}, which {why}: it is free now")
    publish_events([public_events.request_skipped(pipeline, export_id)], cloud)


def start(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime, *, find_run_first: bool = False) -> None:
    """Plan the read, then start it. The export is claimed, so no other delivery works on it."""
    if export.read_plan is None:
        planned = take_step(export, lambda export: plan(export, pipeline, cloud), cloud, now)
        if planned is None or planned.ended or planned.blocked_reason:
            return
        export = planned
    started = take_step(
        export, lambda export: start_reading(export, pipeline, cloud, now, find_run_first=find_run_first), cloud, now
    )
    if started and started.stage == Stage.EXPORTING and started.glue_job_run_id == export.glue_job_run_id:
        republish_end_of_earlier_run(started, cloud)


def plan(export: Export, pipeline: Pipeline, cloud: Cloud) -> Export:
    """Return the export with its read plan. It is recorded before the read starts, so that every attempt follows it."""
    cloud.glue.ensure_permitted()
    found = reading.UNKNOWN
    if pipeline.table_role_arn:
        table = cloud.tables.describe(export, pipeline.table_role_arn)
        found = reading.plan_read(table, pipeline, export.read_percentage)
    return replace(export, blocked_reason=None, read_mode=found.mode, read_plan=found.why, read_cost_usd=found.cost_usd)


def start_reading(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime, *, find_run_first: bool) -> Export:
    """Start a table export or a job run, unless a job run from before the resume is running or has succeeded."""
    if export.glue_job_run_id:
        end = cloud.glue.job_run_end(export, export.glue_job_run_id)
        if end is None and cloud.glue.is_stopping(export, export.glue_job_run_id):
            raise RetryableError(f"Glue job run {export.glue_job_run_id} was stopped and has not ended yet")
        if end is None or end.state == "SUCCEEDED":
            return export.run_job(export.glue_job_run_id, now)
    cloud.glue.ensure_own_names(export)  # before someone pays for a snapshot that could not be published
    if export.read_mode == reading.EXPORT and export.table_export is None:
        arn = cloud.tables.start_export(export, pipeline.table_role_arn)
        return export.advance(Stage.STAGING, arn, now)
    run_id = cloud.glue.find_job_run(export) if find_run_first else None
    return export.run_job(run_id or cloud.glue.start_job_run(export), now)


def republish_end_of_earlier_run(export: Export, cloud: Cloud) -> None:
    """Publish the end of a job run that ended before the export was resumed. AWS will not send its event again."""
    assert export.glue_job_run_id is not None
    if end := cloud.glue.job_run_end(export, export.glue_job_run_id):
        cloud.bus.republish_missing([end])
