"""DynamoDB's export of a table to S3 ended: start the Glue job that reads its files, or fail the export."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import SummaryWritten, TableExportFailed
from table_exports.domain.export import Export
from table_exports.functions.event_handling import handle_completion, parse_event
from table_exports.functions.telemetry import logger, metrics
from table_exports.functions.tracing import trace_handler

EVENTS: dict[str, type[SummaryWritten | TableExportFailed]] = {
    SummaryWritten.detail_type: SummaryWritten,
    TableExportFailed.detail_type: TableExportFailed,
}


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_table_export_ended(event, the_cloud(), datetime.now(UTC))


def on_table_export_ended(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    match parse_event(EVENTS, event, cloud):
        case SummaryWritten() as summary:
            on_summary_written(summary, cloud, now)
        case TableExportFailed(message=message) as failure:
            reason = f"DynamoDB's export of the table failed: {message}"
            handle_completion(failure, lambda export: export.fail(reason, now), cloud, now)


def on_summary_written(summary: SummaryWritten, cloud: Cloud, now: datetime) -> None:
    if arn := cloud.summaries.arn_in(summary.uri):
        summary = replace(summary, arn=arn)
    else:
        logger.warning("The object is not the summary of a table export", extra={"uri": summary.uri})
    handle_completion(
        summary,
        lambda export: run_job(export, cloud, now),
        cloud,
        now,
        learn=lambda export: replace(export, table_export=summary.uri),
    )


def run_job(export: Export, cloud: Cloud, now: datetime) -> Export:
    """Start the job, unless an earlier delivery of the event has done so."""
    return export.run_job(cloud.glue.find_job_run(export) or cloud.glue.start_job_run(export), now)
