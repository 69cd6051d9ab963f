"""A Glue crawl ended: correct what it inferred and publish the snapshots that waited for it, or fail their exports."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports import publication
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import CrawlEnded
from table_exports.domain.export import Export, Stage, waits_for_crawler
from table_exports.reaction import react, read
from table_exports.telemetry import logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_crawl_ended(event, the_cloud(), datetime.now(UTC))


def on_crawl_ended(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    if crawl := read({"Glue Crawler State Change": CrawlEnded}, event, cloud):
        react(crawl, lambda export: next_step(export, crawl, cloud, now), cloud, now)


def next_step(export: Export, crawl: CrawlEnded, cloud: Cloud, now: datetime) -> Export:
    if not export.own_crawl:
        return crawl_again(export, crawl, cloud, now)
    if crawl.state == "Succeeded":
        return publish_crawled(export, cloud, now)
    if crawl.state == "Failed" and export.may_try_again:
        return crawl_again(export.try_again(), crawl, cloud, now)
    reason = f"Crawler {crawl.crawler} ended {crawl.state}: {crawl.message}"
    return export.fail(reason, now, stopped=crawl.state == "Cancelled")


def crawl_again(export: Export, crawl: CrawlEnded, cloud: Cloud, now: datetime) -> Export:
    """The crawl in the way is over, or the export's own failed. Told of it once more, nobody may wait for it."""
    return export.advance(
        Stage.CATALOGING,
        waiting_on=waits_for_crawler(export.crawler_name),
        now=crawl.just_after(now),
        own_crawl=cloud.glue.start_crawler(export),
    )


def publish_crawled(export: Export, cloud: Cloud, now: datetime) -> Export:
    """The catalog follows the manifest, whatever the crawl made of the files."""
    publication.publishing_pipeline(export, cloud)
    manifest = cloud.manifests.proof_of(export)
    cloud.glue.ensure_table(export, manifest)
    cloud.glue.correct_partitions(export, manifest)
    return publication.publish(export, manifest, cloud, now, crawled=True)
