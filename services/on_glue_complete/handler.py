"""A Glue job run ended: check that its snapshot is complete and have it cataloged and published, retry, or fail."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.datasets import entity_items
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.pipeline import STACK_DELETED
from table_exports.functions import entities, publishing
from table_exports.functions.event_handling import handle_completion, parse_event
from table_exports.functions.telemetry import count, logger, metrics
from table_exports.functions.tracing import trace_handler

NEW_EXPORT = "Request a new export"  # in the job's message if the snapshot can never be written


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    on_job_run_ended(event, the_cloud(), datetime.now(UTC))


def on_job_run_ended(event: dict[str, Any], cloud: Cloud, now: datetime) -> None:
    if run := parse_event({JobRunEnded.detail_type: JobRunEnded}, event, cloud):
        handle_completion(run, lambda export: next_step(export, run, cloud, now), cloud, now)


def next_step(export: Export, run: JobRunEnded, cloud: Cloud, now: datetime) -> Export:
    if run.state == "SUCCEEDED":
        return catalog(export, cloud, now)
    if run.failed_by_itself and cloud.glue.job_is_gone(export):  # its role goes next: the run's error would mislead
        return export.fail(f"{STACK_DELETED} (Glue job {export.glue_job_name} is gone)", now)
    if run.failed_by_itself and not run.failed_permanently and export.can_retry:
        return run_again(export, run, cloud, now)
    final = run.failed_permanently and NEW_EXPORT in run.message
    return export.fail(failure_reason(run), now, stopped=run.state == "STOPPED", final=final)


def run_again(export: Export, run: JobRunEnded, cloud: Cloud, now: datetime) -> Export:
    """Start another job run for the same snapshot, unless an earlier delivery of the event has done so."""
    logger.warning("The job run failed: starting another attempt", extra={"state": run.state, "reason": run.message})
    count("JobRunsRepeated")
    export = export.retry()
    try:
        run_id = cloud.glue.find_job_run(export) or cloud.glue.start_job_run(export)
    except PermanentError as error:
        raise PermanentError(f"{failure_reason(run)}. Another attempt could not start: {error}") from error
    return export.run_job(run_id, now)


def failure_reason(run: JobRunEnded) -> str:
    return f"Glue job run {run.run_id} ended {run.state}: {run.message}"


def catalog(export: Export, cloud: Cloud, now: datetime) -> Export:
    """Publish at once if the catalog has the snapshot's schema already. Otherwise start a crawl.

    The tables of entities need none: the manifest has their schemas.
    """
    manifest = cloud.manifests.proof_of(export)
    pipeline = publishing.pipeline_to_publish(export, cloud)
    if manifest.warning:
        count("ItemCountWarnings")
    warning = ". ".join(text for text in (manifest.warning, manifest.hot_key) if text) or None
    if warning:
        logger.warning(warning)
    export = export.wrote(
        items=manifest.items_written,
        files=manifest.files,
        size=manifest.bytes,
        warning=warning,
        hot_share=manifest.hot_share,
        not_converted=manifest.not_converted,
        entities=entity_items(manifest),
        wide=any(section.wide for section in manifest.entities) if manifest.entities else None,
    )
    if manifest.entities:
        return entities.publish_first(export, manifest, pipeline, cloud, now)
    must_crawl = pipeline.catalog_update == "always" and not export.crawled
    if not must_crawl and cloud.glue.has_schema(export, manifest):
        return publishing.publish(export, manifest, cloud, now)
    cloud.glue.prepare_crawl(export, manifest)
    return export.crawl(cloud.glue.start_crawler(export), now)
