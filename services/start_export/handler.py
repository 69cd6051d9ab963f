"""An export was requested: take the pipeline's lock, decide how to read the table and begin with it, or say why not.

Or an export that failed, or whose start died, is to go on: then with what its record does not know to be done.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain import facts, reading
from table_exports.domain.aws_events import TOLD_AGAIN, check_envelope
from table_exports.domain.errors import InvalidEvent, InvalidRequest
from table_exports.domain.export import Export, Stage, waits_for_table_export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import ExportRequest
from table_exports.reaction import announce, claim, given_back, move_on, outcome
from table_exports.telemetry import about, count, logger, metrics, tracer


class TryAgain(Exception):
    """What will be known at Lambda's next try is not known now. The message says what."""


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_requested(event, the_cloud(), datetime.now(UTC))


def on_export_requested(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    try:
        check_envelope(event, cloud.account, cloud.region)
        request = ExportRequest.from_event(event)
        with about(request):
            pipeline = request.must_fit(cloud.records.pipeline(request.pipeline))
            answer(request, pipeline, by_reconciler=event.get("source") == TOLD_AGAIN, cloud=cloud, now=now)
    except (InvalidEvent, InvalidRequest) as error:
        announce([facts.refused(event, str(error))], cloud)
        count("RequestsRefused")


def answer(request: ExportRequest, pipeline: Pipeline, by_reconciler: bool, cloud: Cloud, now: datetime) -> None:
    export = cloud.records.find(pipeline, request.export_id)
    if export is None and request.resumes:
        raise InvalidRequest(
            "resume_export_id", f"is of no export of {pipeline.pipeline} whose record is kept: request a new one"
        )
    if export is None:
        begin(request, pipeline, cloud, now)
    elif export.stage == Stage.STARTING:
        start_again(export, pipeline, cloud, now)
    elif export.stage == Stage.FAILED and request.resumes and not by_reconciler:
        resume(export, request, pipeline, cloud, now)
    else:
        logger.info("This request was answered before: nothing to do", extra={"stage": export.stage})


def begin(request: ExportRequest, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    export = pipeline.begin(request.export_id, request.read_percentage, now)
    if cloud.records.begin(export):
        return start(export, pipeline, cloud, now)

    pipeline = cloud.records.pipeline(request.pipeline) or pipeline
    if pipeline.latest_export_id == request.export_id:
        return logger.info("The same request was delivered a moment ago: nothing to do")
    skip(request.export_id, pipeline, cloud)


def start_again(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    """An earlier delivery died on the way to the read, or just behind its start; or AWS held it up."""
    if claimed := claim(export, cloud, now):
        start(claimed, pipeline, cloud, now, look_first=True)


def resume(export: Export, request: ExportRequest, pipeline: Pipeline, cloud: Cloud, now: datetime) -> None:
    if export.resumed_by == request.identity:
        return logger.info("This request resumed the export before, and it failed again: nothing to do")
    if reason := pipeline.why_not_resume(export):
        raise InvalidRequest("resume_export_id", reason)
    resumed = export.resume(request.identity, pipeline.max_attempts, now)
    if cloud.records.resume(export, resumed):
        return start(resumed, pipeline, cloud, now)

    pipeline = cloud.records.pipeline(pipeline.pipeline) or pipeline
    if pipeline.export_in_flight == export.record_key:
        return logger.info("Another delivery resumed the export: nothing to do")
    skip(export.export_id, pipeline, cloud)


def skip(export_id: str, pipeline: Pipeline, cloud: Cloud) -> None:
    if pipeline.export_in_flight is None:
        raise TryAgain("The lock was held when we took it, and free when we looked why")
    if cloud.records.export(pipeline.pipeline, pipeline.export_in_flight) is None:
        cloud.records.free(pipeline.pipeline, pipeline.export_in_flight)
        raise TryAgain(f"The lock was {pipeline.export_in_flight}'s, of which there is no record: it is free now")
    announce([facts.skipped(pipeline, export_id)], cloud)


def start(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime, look_first: bool = False) -> None:
    """Plan the read and begin with it. The export is claimed, so no other delivery is at it."""
    with given_back(export, cloud):
        if export.read_plan is None:
            before, export = export, outcome(export, lambda export: planned(export, pipeline, cloud), now)
            if not move_on(before, export, cloud) or export.ended or export.held_up_by:
                return
        after = outcome(export, lambda export: begin_to_read(export, pipeline, cloud, now, look_first), now)
        waits_for_earlier_run = after.stage == Stage.EXPORTING and after.glue_job_run_id == export.glue_job_run_id
        if move_on(export, after, cloud) and waits_for_earlier_run:
            tell_of_its_run(after, cloud)


def planned(export: Export, pipeline: Pipeline, cloud: Cloud) -> Export:
    """The export with its plan: it is recorded before it is carried out, so that no other try reads in another way."""
    plan = reading.UNKNOWN
    if pipeline.table_role_arn:
        table = cloud.tables.describe(export, pipeline.table_role_arn)
        plan = reading.plan_read(table, pipeline, export.read_percentage)
    return replace(export, held_up_by=None, read_mode=plan.mode, read_plan=plan.why, read_cost_usd=plan.cost_usd)


def tell_of_its_run(export: Export, cloud: Cloud) -> None:
    """Of one that ended before the export was resumed, no event will come."""
    if end := cloud.glue.job_run_end(export, export.glue_job_run_id):
        cloud.bus.tell([end])


def begin_to_read(export: Export, pipeline: Pipeline, cloud: Cloud, now: datetime, look_first: bool) -> Export:
    """The export, waiting for what reads the table: or for the job run of before it was resumed, if that has."""
    if export.glue_job_run_id:
        end = cloud.glue.job_run_end(export, export.glue_job_run_id)
        if end is None or end.state == "SUCCEEDED":
            return export.run_job(export.glue_job_run_id, now)
    if export.read_mode == reading.EXPORT and export.table_export is None:
        arn = cloud.tables.start_export(export, pipeline.table_role_arn)
        return export.advance(Stage.STAGING, waiting_on=waits_for_table_export(arn), now=now)
    run_id = cloud.glue.find_job_run(export) if look_first else None
    return export.run_job(run_id or cloud.glue.start_job_run(export), now)
