"""The last step before the view: who may take it, and how. Two services take it, after a crawl or without one."""

from datetime import datetime
from typing import Any

from table_exports.aws.cloud import Cloud
from table_exports.domain.errors import Refused
from table_exports.domain.export import Export, Stage, waits_for_query
from table_exports.domain.manifest import Manifest
from table_exports.domain.pipeline import Pipeline


def publishing_pipeline(export: Export, cloud: Cloud) -> Pipeline:
    """The export's pipeline. Raises Refused if its catalog and view are another export's by now, or nobody's."""
    pipeline = cloud.records.pipeline(export.pipeline)
    if pipeline is None:
        raise Refused("Its table stack was deleted meanwhile")
    if reason := pipeline.why_not_publish(export):
        raise Refused(reason)
    return pipeline


def publish(export: Export, manifest: Manifest, cloud: Cloud, now: datetime, **learned: Any) -> Export:
    """Put the snapshot into the snapshot table, which has its columns, and ask for the view that shows it."""
    cloud.glue.ensure_partition(export, manifest)
    if not cloud.records.ask_to_show(export):
        raise Refused("Another export took over, or the view was asked to show a newer snapshot")
    query_id = cloud.athena.create_view(export, manifest.view_columns)
    return export.advance(Stage.PUBLISHING, waiting_on=waits_for_query(query_id), now=now, **learned)
