"""An Athena query ended: the export whose view it published has succeeded; or is published again, or failed."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports import publication
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import QueryEnded
from table_exports.domain.export import Export
from table_exports.reaction import react, read
from table_exports.telemetry import logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_query_ended(event, the_cloud(), datetime.now(UTC))


def on_query_ended(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    if query := read({"Athena Query State Change": QueryEnded}, event, cloud):
        react(query, lambda export: next_step(export, query, cloud, now), cloud, now)


def next_step(export: Export, query: QueryEnded, cloud: Cloud, now: datetime) -> Export:
    if query.state == "SUCCEEDED":
        return export.succeed(now)
    if query.state == "FAILED" and query.retryable and export.may_try_again:
        return ask_again(export.try_again(), cloud, now)
    reason = f"Athena query {query.query_id} ended {query.state}: {query.message}"
    return export.fail(reason, now, stopped=query.state == "CANCELLED")


def ask_again(export: Export, cloud: Cloud, now: datetime) -> Export:
    """Athena failed at it, and says that another try may help."""
    publication.publishing_pipeline(export, cloud)
    return publication.publish(export, cloud.manifests.proof_of(export), cloud, now)
