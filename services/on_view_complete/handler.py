"""An Athena query ended: the export whose view it created has succeeded. If it failed, retry or fail the export."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import QueryEnded
from table_exports.domain.export import Export
from table_exports.functions import publishing
from table_exports.functions.event_handling import handle_completion, parse_event
from table_exports.functions.telemetry import logger, metrics
from table_exports.functions.tracing import trace_handler


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_query_ended(event, the_cloud(), datetime.now(UTC))


def on_query_ended(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    if query := parse_event({QueryEnded.detail_type: QueryEnded}, event, cloud):
        handle_completion(query, lambda export: next_step(export, query, cloud, now), cloud, now)


def next_step(export: Export, query: QueryEnded, cloud: Cloud, now: datetime) -> Export:
    if query.state == "SUCCEEDED":
        return export.succeed(now)
    if query.state == "FAILED" and query.retryable and export.can_retry:
        return publish_again(export.retry(), cloud, now)
    reason = f"Athena query {query.query_id} ended {query.state}: {query.message}"
    return export.fail(reason, now, stopped=query.state == "CANCELLED")


def publish_again(export: Export, cloud: Cloud, now: datetime) -> Export:
    publishing.pipeline_to_publish(export, cloud)
    return publishing.publish(export, cloud.manifests.proof_of(export), cloud, now)
