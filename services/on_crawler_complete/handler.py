"""A Glue crawl ended: correct the catalog and publish the snapshot that waited for it, crawl again, or fail."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import CrawlEnded
from table_exports.domain.export import Export
from table_exports.functions import publishing
from table_exports.functions.event_handling import handle_completion, parse_event
from table_exports.functions.telemetry import logger, metrics
from table_exports.functions.tracing import trace_handler


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_crawl_ended(event, the_cloud(), datetime.now(UTC))


def on_crawl_ended(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    if crawl := parse_event({CrawlEnded.detail_type: CrawlEnded}, event, cloud):
        handle_completion(crawl, lambda export: next_step(export, crawl, cloud, now), cloud, now)


def next_step(export: Export, crawl: CrawlEnded, cloud: Cloud, now: datetime) -> Export:
    if not export.own_crawl:
        return start_crawl(export, crawl, cloud, now)
    if crawl.state == "Succeeded":
        return publish_crawled(export, cloud, now)
    if crawl.state == "Failed" and export.can_retry:
        return start_crawl(export.retry(), crawl, cloud, now)
    reason = f"Crawler {crawl.crawler} ended {crawl.state}: {crawl.message}"
    return export.fail(reason, now, stopped=crawl.state == "Cancelled")


def start_crawl(export: Export, ended: CrawlEnded, cloud: Cloud, now: datetime) -> Export:
    """Start the export's crawl after another crawl ended, or after its own failed.

    The new wait begins just after the end of the old crawl, so that a duplicate of its event does not match.
    """
    return export.crawl(cloud.glue.start_crawler(export), ended.just_after(now))


def publish_crawled(export: Export, cloud: Cloud, now: datetime) -> Export:
    """Make the catalog match the manifest, whatever the crawler inferred from the files, then publish."""
    pipeline = publishing.pipeline_to_publish(export, cloud)
    manifest = cloud.manifests.proof_of(export)
    cloud.glue.ensure_table(export, manifest)
    cloud.glue.correct_partitions(export, manifest, pipeline.published_snapshot)
    return publishing.publish(export.after_own_crawl(), manifest, cloud, now)
