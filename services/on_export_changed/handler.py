"""State records changed: publish the facts that became true by it, and measure what took how long.

The table's stream is the outbox: a fact is published also when the service that made it true died right after.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.records import export_of, plain
from table_exports.domain import facts, measures
from table_exports.domain.export import Export
from table_exports.reaction import tell
from table_exports.telemetry import about, logger, measure, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_changed(event["Records"], the_cloud())


def on_export_changed(records: list[dict[str, Any]], cloud: Cloud) -> None:
    changes = [change for record in records if (change := change_of(record["dynamodb"]))]
    cloud.bus.publish([fact for change in changes for fact in facts.of_change(*change)])
    for change in changes:
        with about(change[1]):
            for fact in facts.of_change(*change):
                tell(fact)
            for found in measures.of_change(*change):
                measure(found.dimensions, found.values)


def change_of(images: dict[str, Any]) -> tuple[Export, Export] | None:
    """The export before and after. None if it was begun, or has expired: neither is news."""
    if "OldImage" not in images or "NewImage" not in images:
        return None
    return export_of(plain(images["OldImage"])), export_of(plain(images["NewImage"]))
