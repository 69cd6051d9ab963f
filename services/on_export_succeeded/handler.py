"""An export succeeded: remove the snapshots that its pipeline keeps no more."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.retention import Published, superseded
from table_exports.reaction import read
from table_exports.telemetry import about, count, logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_export_succeeded(event, the_cloud())


def on_export_succeeded(event: dict[str, Any], cloud: Cloud) -> None:
    if published := read({"Export Succeeded": Published}, event, cloud):
        with about(published):
            remove_superseded(published.pipeline, cloud)


def remove_superseded(name: str, cloud: Cloud) -> None:
    """By what the pipeline's head says now: the fact may be late, or told again."""
    pipeline = cloud.records.pipeline(name)
    if pipeline is None or not pipeline.keep_snapshots:
        return
    for snapshot in superseded(cloud.snapshots.of(pipeline), pipeline):
        files = cloud.snapshots.remove(pipeline, snapshot)
        logger.info("Snapshot removed", extra={"snapshot_timestamp": snapshot, "files": files})
        count("SnapshotsRemoved")
