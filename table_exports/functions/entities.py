"""Publishes the entities of a snapshot: catalogs their tables from the manifest, and has their views switch together.

A function has a minute, and Athena runs few DDL queries at a time. So a few views are published at once. When their
queries have ended, the next ones follow.
"""

from dataclasses import replace
from datetime import datetime

from table_exports.aws.cloud import Cloud
from table_exports.domain.datasets import datasets
from table_exports.domain.export import Export
from table_exports.domain.manifest import Manifest
from table_exports.domain.pipeline import Pipeline
from table_exports.functions import claims, publishing


def publish_first(export: Export, manifest: Manifest, pipeline: Pipeline, cloud: Cloud, now: datetime) -> Export:
    """Claim the names of new entities, then publish the first views.

    Raises PermanentError if a name belongs to someone else or a view would be too large, before any view shows the
    snapshot.
    """
    tables = datasets(export, manifest)
    for dataset, its_manifest in tables:
        cloud.athena.view_statement(dataset, its_manifest)
    entities = [dataset for dataset, _ in tables if dataset.catalog_name != export.catalog_name]
    if new := [dataset for dataset in entities if dataset.catalog_name not in pipeline.entities]:
        for dataset in new:
            claims.ensure_not_taken(export, dataset.catalog_name, pipeline, cloud)
        cloud.glue.ensure_own_names_of_entities(export, new)
    names = [dataset.catalog_name for dataset in entities]
    pipeline = claims.claim_entities(export, names, pipeline, cloud)
    appeared = tuple(name for name in names if name in pipeline.new_entities)
    return publish_next(replace(export, appeared=appeared, queries=()), manifest, pipeline, cloud, now)


def publish_next(export: Export, manifest: Manifest, pipeline: Pipeline, cloud: Cloud, now: datetime) -> Export:
    """Catalog and publish the next views: add the snapshot to their tables, then start their queries."""
    following = export.following(datasets(export, manifest))
    for dataset, its_manifest in following:
        cloud.glue.ensure_own_view(dataset)
        cloud.glue.ensure_cataloged(dataset, its_manifest, pipeline.published_snapshot)
        cloud.glue.ensure_partition(dataset, its_manifest)
    publishing.ask_to_show(export, cloud)
    return export.publish([cloud.athena.create_view(*dataset) for dataset in following], now)
