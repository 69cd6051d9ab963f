"""Every few minutes: ask AWS about the exports that have waited for longer than an event takes, and tell what it says.

Events are best effort. What is found goes onto our bus in the shape of the event that should have come, so that the
service which waits for it handles it as it would the event. What is overdue is stopped: its end is told next time.
Then the pipelines are measured, and a heartbeat says that all of this is done still.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reconcile_exports.measuring import measure_pipelines
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.records import export_of
from table_exports.domain.aws_events import Happening
from table_exports.domain.export import Export, Stage
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import Resumption
from table_exports.reaction import move_on
from table_exports.telemetry import about, count, logger, metrics, tracer

ON_ITS_WAY = timedelta(minutes=2)  # an event may still be, of what AWS says has ended
STOPS = {Stage.EXPORTING, Stage.CATALOGING, Stage.PUBLISHING}  # DynamoDB's exports cannot be stopped


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    make_a_pass(the_cloud(), datetime.now(UTC))


def make_a_pass(cloud: Cloud, now: datetime) -> None:
    reconcile(cloud, now)
    measure_pipelines(cloud, now)
    cloud.heartbeat.beat()


def reconcile(cloud: Cloud, now: datetime) -> None:
    for record in cloud.records.in_flight():
        try:
            export = export_of(record)
            if export.waiting_since + cloud.late_after < now and not export.is_claimed(now):
                with about(export):
                    ask_about(export, cloud, now)
        except Exception:  # whatever it is, the other exports are none the worse, and the next pass asks again
            named = {name: record.get(name) for name in ("pipeline", "export_id", "stage", "record")}
            logger.exception("Export not reconciled", extra=named)
            count("ExportsNotReconciled")


def ask_about(export: Export, cloud: Cloud, now: datetime) -> None:
    pipeline = cloud.records.pipeline(export.pipeline)
    if pipeline is None and export.stage in (Stage.STARTING, Stage.STAGING):
        move_on(export, export.fail("Its table stack was deleted meanwhile", now), cloud)
        return
    try:
        found = what_happened(export, pipeline, cloud, now)
    except Exception as error:
        if not export.is_given_up(now):
            move_on(export, replace(export, held_up_by=f"AWS cannot be asked for it: {error}"), cloud)
            raise
        found = None
    shows = found is not None and export.stage == Stage.PUBLISHING  # the view, so that it is too late to give up
    if export.is_given_up(now) and not shows:
        move_on(export, export.give_up(now, told=found.detail_type if found else ""), cloud)
    elif found and not is_late(export, cloud, now):
        if export.end_seen_at is None:
            move_on(export, replace(export, end_seen_at=now), cloud)
    elif found:
        told = {"detail_type": found.detail_type, "detail": found.detail}
        logger.warning("An event is late: told in its stead", extra=told)
        count("ReconciledEvents")
        cloud.bus.tell([found])
    elif export.is_overdue(now) and export.stage in STOPS:
        stop(export, cloud)


def is_late(export: Export, cloud: Cloud, now: datetime) -> bool:
    """Whether the event of an end that was found should have come by now. It may have ended a moment ago."""
    if export.stage == Stage.STARTING:
        return True
    return now - (export.end_seen_at or now) >= min(ON_ITS_WAY, cloud.late_after)


def what_happened(
    export: Export, pipeline: Pipeline | None, cloud: Cloud, now: datetime
) -> Happening | Resumption | None:
    """None if what the export waits for has not come to its end."""
    match export.stage:
        case Stage.STARTING:
            return Resumption(export)
        case Stage.STAGING:
            return cloud.tables.export_end(export, export.awaited_id, pipeline.table_role_arn)
        case Stage.EXPORTING:
            return cloud.glue.job_run_end(export, export.awaited_id)
        case Stage.CATALOGING:
            return cloud.glue.crawl_end(export, now)
        case Stage.PUBLISHING:
            return cloud.athena.query_end(export.awaited_id)


def stop(export: Export, cloud: Cloud) -> None:
    """The end it comes to by that will be told in the next pass."""
    why = f"stopped, for it ran past {export.deadline:%Y-%m-%d %H:%M:%S} UTC"
    if not move_on(export, replace(export, held_up_by=why), cloud):
        return
    match export.stage:
        case Stage.EXPORTING:
            cloud.glue.stop_job_run(export, export.awaited_id)
        case Stage.CATALOGING:
            cloud.glue.stop_crawler(export)
        case Stage.PUBLISHING:
            cloud.athena.stop_query(export.awaited_id)
