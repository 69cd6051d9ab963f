"""State records changed: publish the events of the changes, and measure how long each stage took.

The table's stream is the outbox: an event is published even if the service that made the change died right after.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.aws.record_items import export_of, plain
from table_exports.domain import public_events
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.reports import metrics as measurements
from table_exports.functions.event_handling import report_event, report_invalid
from table_exports.functions.telemetry import about, logger, measure, metrics
from table_exports.functions.tracing import trace_handler


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_changed(event["Records"], the_cloud())


def on_export_changed(records: list[dict[str, Any]], cloud: Cloud) -> None:
    changes = [change for record in records if (change := change_of(record["dynamodb"]))]
    cloud.bus.publish([event for change in changes for event in public_events.of_change(*change)])
    for before, after in changes:
        with about(after):
            for event in public_events.of_change(before, after):
                report_event(event)
            for measurement in measurements.of_change(before, after, each_pipeline=cloud.measures_each_pipeline):
                measure(measurement.dimensions, measurement.values)


def change_of(images: dict[str, Any]) -> tuple[Export | None, Export] | None:
    """Return the export before and after. It is unknown before if that record was invalid.

    None if there is no event: the record is new, has expired or is invalid. One invalid record must not keep the
    events of all others from being published.
    """
    if "OldImage" not in images or "NewImage" not in images:
        return None
    try:
        after = export_of(plain(images["NewImage"]))
    except InvalidRecord as error:
        report_invalid(error)
        return None
    try:
        return export_of(plain(images["OldImage"])), after
    except InvalidRecord:
        return None, after
