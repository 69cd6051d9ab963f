"""An export was requested: take the pipeline's lock, decide how to read the table and begin with it, or say why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain import facts, reading
from table_exports.domain.errors import InvalidRequest, Refused
from table_exports.domain.export import Export, Stage, waits_for_job_run, waits_for_table_export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import ExportRequest
from table_exports.reaction import announce, move_on
from table_exports.telemetry import logger, metrics, tracer

STARTED_WITHIN = timedelta(seconds=60)  # the function's timeout: until then another delivery may be at it


class TryAgain(Exception):
    """What will be known at Lambda's next try is not known now. The message says what."""


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_requested(event, the_cloud(), datetime.now(UTC))


def on_export_requested(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    try:
        request = ExportRequest.from_event(event)
        logger.append_keys(pipeline=request.pipeline, export_id=request.export_id)
        pipeline = request.must_fit(cloud.records.pipeline(request.pipeline))
    except InvalidRequest as error:
        return announce([facts.refused(event, str(error))], cloud)

    export = cloud.records.find(pipeline, request.export_id)
    if export is None:
        begin(request, pipeline, cloud, now)
    elif export.stage == Stage.STARTING:
        start_again(export, pipeline, cloud, now)
    else:
        logger.info("This request was delivered before: nothing to do", extra={"stage": export.stage})


def begin(request: ExportRequest, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    fail_overdue_export(pipeline, cloud, now)
    export = pipeline.begin(request.export_id, request.read_percentage, now)
    if cloud.records.begin(export):
        return start(export, pipeline, cloud, now)

    pipeline = cloud.records.pipeline(request.pipeline) or pipeline
    if pipeline.latest_export_id == request.export_id:
        raise TryAgain("The same request was delivered a moment ago")
    if pipeline.export_in_flight is None:
        raise TryAgain("The lock was held when we took it, and free when we looked why")
    announce([facts.skipped(request, pipeline.export_in_flight)], cloud)


def fail_overdue_export(pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    """Free the lock of an export that nobody will end any more."""
    if pipeline.export_in_flight is None:
        return
    holder = cloud.records.export(pipeline.pipeline, pipeline.export_in_flight)
    if holder and not holder.ended and holder.deadline < now:
        reason = f"Still waiting on {holder.waiting_on} at its deadline, {holder.deadline:%Y-%m-%d %H:%M:%S} UTC"
        move_on(holder, holder.fail(reason, now), cloud)


def start_again(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    """An earlier delivery died on the way to the read, or just behind its start; or it is still on its way."""
    if now <= export.requested_at + STARTED_WITHIN:
        raise TryAgain("Another delivery may still be starting the export")
    start(export, pipeline, cloud, now, look_first=True)


def start(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime, look_first: bool = False) -> None:
    try:
        export = planned(export, pipeline, cloud, now)
        if export.read_mode == reading.EXPORT:
            arn = cloud.tables.start_export(export, pipeline.table_role_arn)
            after = export.advance(Stage.STAGING, waiting_on=waits_for_table_export(arn), now=now)
        else:
            run_id = cloud.glue.find_job_run(export) if look_first else None
            run_id = run_id or cloud.glue.start_job_run(export)
            after = export.advance(Stage.EXPORTING, waiting_on=waits_for_job_run(run_id), now=now)
    except Refused as refusal:
        after = export.fail(str(refusal), now)
    move_on(export, after, cloud)


def planned(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime) -> Export:
    """The export with its plan recorded: another delivery must not read the table in another way, too."""
    if export.read_plan is not None:
        return export
    plan = reading.UNKNOWN
    if pipeline.table_role_arn:
        table = cloud.tables.describe(export, pipeline.table_role_arn)
        plan = reading.plan_read(table, pipeline, export.read_percentage)
    anew = max(now, export.waiting_since + timedelta(microseconds=1))  # so of two deliveries one alone records its plan
    after = replace(export, waiting_since=anew, read_mode=plan.mode, read_plan=plan.why, read_cost_usd=plan.cost_usd)
    if not cloud.records.move(export, after):
        raise TryAgain("Another delivery is starting the export")
    logger.info("Read planned", extra={"read_mode": plan.mode, "read_plan": plan.why})
    return after
