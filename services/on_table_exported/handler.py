"""DynamoDB exported a table to S3: start the Glue job on what it wrote."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import SummaryWritten
from table_exports.domain.export import Export, Stage, waits_for_job_run
from table_exports.reaction import react
from table_exports.telemetry import logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_summary_written(SummaryWritten.from_event(event), the_cloud(), datetime.now(UTC))


def on_summary_written(summary: SummaryWritten, cloud: Cloud, now: datetime) -> None:
    if arn := cloud.summaries.arn_in(summary.uri):
        summary = replace(summary, arn=arn)
    else:
        logger.warning("No summary of a table export", extra={"uri": summary.uri})
    react(summary, lambda export: next_step(export, summary, cloud, now), cloud, now)


def next_step(export: Export, summary: SummaryWritten, cloud: Cloud, now: datetime) -> Export | None:
    if not summary.is_of(export):
        return None
    export = replace(export, table_export=summary.uri)
    run_id = cloud.glue.find_job_run(export) or cloud.glue.start_job_run(export)
    return export.advance(Stage.EXPORTING, waiting_on=waits_for_job_run(run_id), now=now)
