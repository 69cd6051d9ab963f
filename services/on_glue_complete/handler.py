"""A Glue job run ended: prove its snapshot complete and have it cataloged and published; or try again, or fail."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports import publication
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.errors import Refused
from table_exports.domain.export import Export, Stage, waits_for_crawler
from table_exports.reaction import react, read
from table_exports.telemetry import count, logger, metrics, tracer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_job_run_ended(event, the_cloud(), datetime.now(UTC))


def on_job_run_ended(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    if run := read({"Glue Job State Change": JobRunEnded}, event, cloud):
        react(run, lambda export: next_step(export, run, cloud, now), cloud, now)


def next_step(export: Export, run: JobRunEnded, cloud: Cloud, now: datetime) -> Export:
    if run.state == "SUCCEEDED":
        return catalog(export, cloud, now)
    if run.failed_by_itself and not run.failed_permanently and export.may_try_again:
        return run_again(export, run, cloud, now)
    return export.fail(why_it_failed(run), now, stopped=run.state == "STOPPED")


def run_again(export: Export, run: JobRunEnded, cloud: Cloud, now: datetime) -> Export:
    """The same snapshot, by another run. An earlier delivery of the event may have started it."""
    logger.warning("The job run failed: another attempt", extra={"state": run.state, "reason": run.message})
    count("JobRunsRepeated")
    export = export.try_again()
    try:
        run_id = cloud.glue.find_job_run(export) or cloud.glue.start_job_run(export)
    except Refused as refusal:
        raise Refused(f"{why_it_failed(run)}. And another attempt: {refusal}") from refusal
    return export.run_job(run_id, now)


def why_it_failed(run: JobRunEnded) -> str:
    return f"Glue job run {run.run_id} ended {run.state}: {run.message}"


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
        count("ItemCountWarnings")
    crawl = pipeline.catalog_update == "always" and not export.crawled
    if not crawl and cloud.glue.has_schema(export, manifest):
        return publication.publish(export, manifest, cloud, now, **learned)
    cloud.glue.prepare_crawl(export, manifest)
    return export.advance(
        Stage.CATALOGING,
        waiting_on=waits_for_crawler(export.crawler_name),
        now=now,
        own_crawl=cloud.glue.start_crawler(export),
        **learned,
    )
