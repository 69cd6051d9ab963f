"""State records changed: publish the events of the changes, and measure how long each stage took.

The table's stream is the outbox: an event is published even if the service that made the change died right after.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.records import export_of, plain
from table_exports.domain import public_events
from table_exports.domain.export import Export
from table_exports.domain.reports import metrics as measurements
from table_exports.functions.event_handling import report_event
from table_exports.functions.telemetry import about, logger, measure, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_changed(event["Records"], the_cloud())


def on_export_changed(records: list[dict[str, Any]], cloud: Cloud) -> None:
    changes = [change for record in records if (change := change_of(record["dynamodb"]))]
    cloud.bus.publish([event for change in changes for event in public_events.of_change(*change)])
    for before, after in changes:
        with about(after):
            for event in public_events.of_change(before, after):
                report_event(event)
            for measurement in measurements.of_change(before, after):
                measure(measurement.dimensions, measurement.values)


def change_of(images: dict[str, Any]) -> tuple[Export, Export] | None:
    """Return the export before and after. None for a record that is new or has expired: neither has an event."""
    if "OldImage" not in images or "NewImage" not in images:
        return None
    return export_of(plain(images["OldImage"])), export_of(plain(images["NewImage"]))
