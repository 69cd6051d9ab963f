"""State records changed: publish the facts that became true by it.

The table's stream is the outbox: a fact is published also when the service that made it true died right after.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.records import export_of, plain
from table_exports.domain import facts
from table_exports.reaction import announce
from table_exports.telemetry import logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_changed(event["Records"], the_cloud())


def on_export_changed(changes: list[dict[str, Any]], cloud: Cloud) -> None:
    announce([fact for change in changes for fact in facts_of(change["dynamodb"])], cloud)


def facts_of(change: dict[str, Any]) -> list[facts.Fact]:
    if "OldImage" not in change or "NewImage" not in change:
        return []  # begun, or expired: neither is news
    return facts.of_change(export_of(plain(change["OldImage"])), export_of(plain(change["NewImage"])))
