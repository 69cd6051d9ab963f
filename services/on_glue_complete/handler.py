"""A Glue job run ended: prove its snapshot complete and have it cataloged and published, or fail the export."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports import publication
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.export import Export, Stage, waits_for_crawler
from table_exports.reaction import react
from table_exports.telemetry import logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_job_run_ended(JobRunEnded.from_event(event), the_cloud(), datetime.now(UTC))


def on_job_run_ended(run: JobRunEnded, cloud: Cloud, now: datetime) -> None:
    react(run, lambda export: next_step(export, run, cloud, now), cloud, now)


def next_step(export: Export, run: JobRunEnded, cloud: Cloud, now: datetime) -> Export | None:
    match run.state:
        case "SUCCEEDED":
            return catalog(export, cloud, now)
        case "FAILED" | "TIMEOUT" | "STOPPED":
            return export.fail(f"Glue job run {run.run_id} ended {run.state}: {run.message}", now)
        case _:
            return None


def catalog(export: Export, cloud: Cloud, now: datetime) -> Export:
    """Straight to the view if the catalog has the snapshot's schema already, else by a crawl."""
    manifest = cloud.manifests.proof_of(export)
    pipeline = publication.publishing_pipeline(export, cloud)
    learned = {
        "items": manifest.items_written,
        "files": manifest.files,
        "bytes": manifest.bytes,
        "warning": manifest.warning,
    }
    if manifest.warning:
        logger.warning(manifest.warning)
        metrics.add_metric("ItemCountWarnings", MetricUnit.Count, 1)
    if pipeline.catalog_update != "always" and cloud.glue.has_schema(export, manifest):
        return publication.publish(export, manifest, cloud, now, **learned)
    cloud.glue.prepare_crawl(export, manifest)
    return export.advance(
        Stage.CATALOGING,
        waiting_on=waits_for_crawler(export.crawler_name),
        now=now,
        own_crawl=cloud.glue.start_crawler(export),
        **learned,
    )
