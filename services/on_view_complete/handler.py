"""An Athena query ended: the export whose view it created has succeeded. If it failed, retry or fail the export.

With entities, several queries run at once, and the export waits for one of them at a time. When the last one has ended,
the next views follow, or the export has succeeded.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.errors import PERMANENT_CODES
from table_exports.domain.aws_events import QueryEnded
from table_exports.domain.export import Export
from table_exports.domain.stages import Stage
from table_exports.functions import entities, publishing
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
        for export in handle_completion(query, lambda export: next_step(export, query, cloud, now), cloud, now):
            if export.awaited_id in export.queries and query.query_id in export.queries_together:
                republish_end(export, cloud)


def next_step(export: Export, query: QueryEnded, cloud: Cloud, now: datetime) -> Export:
    ends = {query.query_id: query}
    for query_id in export.queries_together:
        if query_id not in ends and (end := cloud.athena.query_end(query_id)):
            ends[query_id] = end
    if running := [query_id for query_id in export.queries_together if query_id not in ends]:
        waiting = export.advance(Stage.PUBLISHING, running[-1], now)
        return replace(waiting, blocked_reason=export.blocked_reason)  # of the same views: it says who cancelled them
    query = max(ends.values(), key=severity)
    if query.state == "SUCCEEDED":
        return publish_more(export, cloud, now) if export.views_left else succeed(export, cloud, now)
    if query.state == "FAILED" and query.retryable and export.can_retry:
        return publish_more(export.retry(), cloud, now)
    reason = f"Athena query {query.query_id} ended {query.state}: {query.message}"
    return export.fail(reason, now, stopped=query.state == "CANCELLED")


def severity(query: QueryEnded) -> int:
    """Return how much an end decides about an export: what was cancelled or cannot be repeated, before the others."""
    if query.state == "FAILED":
        return 1 if query.retryable else 2
    return 0 if query.state == "SUCCEEDED" else 3


def succeed(export: Export, cloud: Cloud, now: datetime) -> Export:
    """End the export. All views show its snapshot, so names of entities that it does not have are free."""
    try:
        cloud.records.release_entities(export)
    except ClientError as error:  # the snapshot is published all the same, and the next success releases the names
        if error.response["Error"]["Code"] not in PERMANENT_CODES:
            raise
        logger.warning("The names of entities that are gone were not released", extra={"reason": str(error)})
    return export.succeed(now)


def publish_more(export: Export, cloud: Cloud, now: datetime) -> Export:
    """Start the queries of the next views, or those of a failed attempt again."""
    pipeline = publishing.pipeline_to_publish(export, cloud)
    manifest = cloud.manifests.proof_of(export)
    if manifest.entities:
        return entities.publish_next(export, manifest, pipeline, cloud, now)
    return publishing.publish(export, manifest, cloud, now)


def republish_end(export: Export, cloud: Cloud) -> None:
    """Publish the end of a query that ended just before the export began to wait for it. Its event found no export."""
    if end := cloud.athena.query_end(export.awaited_id):
        cloud.bus.republish_missing([end])
