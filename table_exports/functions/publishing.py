"""The last step before the view. Two services take it: after a crawl, or without one."""

from datetime import datetime

from table_exports.aws.cloud import Cloud
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.manifest import Manifest
from table_exports.domain.pipeline import STACK_DELETED, Pipeline
from table_exports.domain.stages import Stage


def pipeline_to_publish(export: Export, cloud: Cloud) -> Pipeline:
    """Return the export's pipeline. Raises PermanentError if the export must not publish in it any more."""
    pipeline = cloud.records.pipeline(export.pipeline)
    if pipeline is None:
        raise PermanentError(STACK_DELETED)
    if reason := pipeline.why_not_publish(export):
        raise PermanentError(reason)
    return pipeline


def publish(export: Export, manifest: Manifest, cloud: Cloud, now: datetime) -> Export:
    """Add the snapshot to the snapshot table, then start the query that makes the view show it.

    Raises PermanentError if the view would replace something of someone else.
    """
    cloud.glue.ensure_own_view(export)
    cloud.glue.ensure_partition(export, manifest)
    ask_to_show(export, cloud)
    query_id = cloud.athena.create_view(export, manifest)
    return export.advance(Stage.PUBLISHING, query_id, now)


def ask_to_show(export: Export, cloud: Cloud) -> None:
    """Record which snapshot the views are about to show. Raises PermanentError if it must not be this one any more."""
    if not cloud.records.ask_to_show(export):
        raise PermanentError("Another export took over, or the view was asked to show a newer snapshot")
