"""An Athena query ended: the export whose view it published has succeeded, or failed at the last step."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import QueryEnded
from table_exports.domain.export import Export
from table_exports.reaction import react
from table_exports.telemetry import logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_query_ended(QueryEnded.from_event(event), the_cloud(), datetime.now(UTC))


def on_query_ended(query: QueryEnded, cloud: Cloud, now: datetime) -> None:
    react(query, lambda export: next_step(export, query, now), cloud, now)


def next_step(export: Export, query: QueryEnded, now: datetime) -> Export | None:
    match query.state:
        case "SUCCEEDED":
            return export.succeed(now)
        case "FAILED" | "CANCELLED":
            return export.fail(f"Athena query {query.query_id} ended {query.state}: {query.message}", now)
        case _:
            return None
