"""A Glue crawl ended: correct what it inferred and publish the snapshots that waited for it, or fail their exports."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports import publication
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import CrawlEnded
from table_exports.domain.export import Export, Stage, waits_for_crawler
from table_exports.reaction import react
from table_exports.telemetry import logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_crawl_ended(CrawlEnded.from_event(event), the_cloud(), datetime.now(UTC))


def on_crawl_ended(crawl: CrawlEnded, cloud: Cloud, now: datetime) -> None:
    react(crawl, lambda export: next_step(export, crawl, cloud, now), cloud, now)


def next_step(export: Export, crawl: CrawlEnded, cloud: Cloud, now: datetime) -> Export | None:
    if not crawl.ends_the_wait_of(export):
        return None
    if not export.own_crawl:
        return crawl_again(export, cloud, now)
    match crawl.state:
        case "Succeeded":
            return publish_crawled(export, cloud, now)
        case "Failed":
            return export.fail(f"Crawler {crawl.crawler} failed: {crawl.message}", now)
        case _:
            return None


def crawl_again(export: Export, cloud: Cloud, now: datetime) -> Export:
    """The crawl in the way is over: now comes the export's own."""
    crawler = waits_for_crawler(export.crawler_name)
    return export.advance(Stage.CATALOGING, waiting_on=crawler, now=now, own_crawl=cloud.glue.start_crawler(export))


def publish_crawled(export: Export, cloud: Cloud, now: datetime) -> Export:
    """The catalog follows the manifest, whatever the crawl made of the files."""
    publication.publishing_pipeline(export, cloud)
    manifest = cloud.manifests.proof_of(export)
    cloud.glue.ensure_table(export, manifest)
    cloud.glue.correct_partitions(export, manifest)
    return publication.publish(export, manifest, cloud, now)
