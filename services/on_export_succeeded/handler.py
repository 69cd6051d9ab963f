"""An export succeeded: remove the snapshots that its pipeline no longer keeps."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.public_events import ExportSucceeded
from table_exports.domain.retention import depending_on_records, superseded
from table_exports.functions.event_handling import parse_event
from table_exports.functions.telemetry import about, count, logger, metrics
from table_exports.functions.tracing import trace_handler


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_succeeded(event, the_cloud())


def on_export_succeeded(event: dict[str, Any], cloud: Cloud) -> None:
    if succeeded := parse_event({ExportSucceeded.detail_type: ExportSucceeded}, event, cloud):
        with about(succeeded):
            remove_superseded(succeeded.pipeline, cloud)


def remove_superseded(name: str, cloud: Cloud) -> None:
    """Remove snapshots by the pipeline's current head, because the event may be late or a duplicate."""
    pipeline = cloud.records.pipeline(name)
    if pipeline is None or not pipeline.keep_snapshots:
        return
    existing = cloud.snapshots.of(pipeline)
    unknown = [each for each in depending_on_records(existing, pipeline) if not cloud.records.has_export(name, each)]
    for snapshot in superseded(existing, pipeline, unknown):
        files = cloud.snapshots.remove(pipeline, snapshot)
        logger.info("Snapshot removed", extra={"snapshot_timestamp": snapshot, "files": files})
        count("SnapshotsRemoved")
