"""Checks of what queries need: database, workgroup, bucket, views, snapshot tables and files."""

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from table_exports.aws.manifests import Manifests
from table_exports.aws.snapshots import Snapshots
from table_exports.domain import catalog, retention
from table_exports.domain.datasets import datasets
from table_exports.domain.errors import PermanentError
from table_exports.domain.pipeline import Pipeline
from table_exports_cli.deployed import Deployed
from table_exports_cli.findings import RESTORE, Problem
from table_exports_cli.problems import in_words
from table_exports_cli.system import NAME

LAKE_FORMATION = f'{RESTORE}, then let a data lake administrator grant it: docs/runbook.md, "Lake Formation"'


def database(deployed: Deployed) -> Iterator[Problem]:
    """the Glue database of all views and snapshot tables exists, and IAM decides about its tables"""
    client, name = deployed.client("glue"), deployed.output("DatabaseName")
    try:
        found = client.get_database(Name=name).get("Database", {})
    except client.exceptions.EntityNotFoundException:
        create = f"aws glue create-database --database-input '{json.dumps(catalog.database_input(name))}'"
        published = [pipeline.pipeline for pipeline in deployed.pipelines if pipeline.published_snapshot]
        yield Problem(name, "is gone: nothing can be queried", _repair(published[0]) if published else create)
    except ClientError as error:
        if "Lake Formation" not in error.response["Error"].get("Message", ""):
            raise
        yield Problem(name, f"Lake Formation denies it: {in_words(error)}", LAKE_FORMATION)
    else:
        if catalog.is_governed_by_lake_formation(found):
            yield Problem(name, "Lake Formation decides about its new tables, not IAM alone", LAKE_FORMATION)


def workgroup(deployed: Deployed) -> Iterator[Problem]:
    """the Athena workgroup that publishes views exists and is enabled"""
    client = deployed.client("athena")
    try:
        state = client.get_work_group(WorkGroup=NAME)["WorkGroup"]["State"]
    except client.exceptions.InvalidRequestException:  # Athena's answer if there is none
        yield Problem(NAME, "is gone: no view can be published", RESTORE)
        return
    if state != "ENABLED":
        enable = f"aws athena update-work-group --work-group {NAME} --state ENABLED"
        yield Problem(NAME, f"is {state}: no view can be published", enable)


def bucket(deployed: Deployed) -> Iterator[Problem]:
    """the bucket exists and sends its events to EventBridge"""
    client, name = deployed.s3, deployed.output("BucketName")
    try:
        found = client.get_bucket_notification_configuration(Bucket=name)
    except client.exceptions.NoSuchBucket:
        yield Problem(name, "is gone, and all snapshots with it", f"{RESTORE}, then export each table again")
        return
    found.pop("ResponseMetadata", None)
    if "EventBridgeConfiguration" not in found:
        wanted = json.dumps(found | {"EventBridgeConfiguration": {}})  # the call replaces all that it has
        yield Problem(
            name,
            "sends no events to EventBridge: the end of a DynamoDB export is noticed late",
            f"aws s3api put-bucket-notification-configuration --bucket {name} --notification-configuration '{wanted}'",
        )


def views(deployed: Deployed) -> Iterator[Problem]:
    """all views of a pipeline show the latest published snapshot, and nothing else has their names"""
    for pipeline in deployed.pipelines:
        found = _wrong_views(pipeline, deployed)
        to_repair = _shown_by_repair(pipeline, deployed) if found else set()
        for view, what in found.items():
            remedy = _repair(pipeline.pipeline) if view in to_repair else _export_again(pipeline.pipeline)
            yield Problem(pipeline.pipeline, what, remedy)
        yield from _taken_names(pipeline, deployed)
        yield from _two_snapshots(pipeline, deployed)


def _wrong_views(pipeline: Pipeline, deployed: Deployed) -> dict[str, str]:
    """Return the views that do not exist or show a snapshot before the published one, each with what is wrong."""
    found, latest = {}, pipeline.published_snapshot
    for table in pipeline.published_tables(deployed.catalog) if latest else []:
        name, shown = table.catalog_name, deployed.cataloged.views.get(table.catalog_name)
        if name not in deployed.catalog:
            found[name] = f"its view {name} is gone"
        elif shown and latest and shown < latest:
            found[name] = f"its view {name} shows {shown}, not {latest}"
    return found


def _shown_by_repair(pipeline: Pipeline, deployed: Deployed) -> set[str]:
    """Return the names of the views that can be created again: those of the latest published snapshot, if S3 has it."""
    stored = Snapshots(deployed.s3, deployed.client("glue"), deployed.output("DatabaseName"))
    latest = pipeline.published_snapshot or ""
    try:
        tables = datasets(*Manifests(deployed.s3).of_snapshot(pipeline, latest))
        for table in tables:
            stored.ensure_complete(*table)
    except PermanentError:
        can_restore_manifest = latest in stored.without_manifest(pipeline)
        return {table.catalog_name for table in pipeline.tables} if can_restore_manifest else set()
    return {export.catalog_name for export, _ in tables}


def _taken_names(pipeline: Pipeline, deployed: Deployed) -> Iterator[Problem]:
    for table in pipeline.published_tables(deployed.catalog):
        name = table.catalog_name
        if name in deployed.catalog and deployed.cataloged.views.get(name) is None:
            kind = "view" if name in deployed.cataloged.views else "table"
            remedy = f"drop the {kind}, or create it again with another name"
            repair = f", then {_repair(pipeline.pipeline)}" if pipeline.published_snapshot else ""
            yield Problem(pipeline.pipeline, f"another {kind} has the name of its view, {name}", f"{remedy}{repair}")


def _two_snapshots(pipeline: Pipeline, deployed: Deployed) -> Iterator[Problem]:
    """Yield a problem for views of a newer snapshot than is published: the export ended before it showed all views."""
    newest, name = deployed.cataloged.snapshot_to_show(pipeline), pipeline.pipeline
    if newest == pipeline.published_snapshot:
        return
    if others := deployed.cataloged.lost_views(pipeline):
        last = pipeline.recent[-1] if pipeline.recent else None
        remedy = _export_again(name)
        if pipeline.export_in_flight:
            remedy = f"table-exports watch {name} --until-done"
        elif last and last.snapshot_timestamp == newest:
            remedy = f"table-exports resume {last.export_id}"
        what = f"some of its views show {newest}, whose export has not succeeded, and {len(others)} of them do not"
        yield Problem(name, what, remedy)


def snapshots(deployed: Deployed) -> Iterator[Problem]:
    """each published snapshot is in its snapshot table, and the latest of each pipeline has all its files"""
    stored = Snapshots(deployed.s3, deployed.client("glue"), deployed.output("DatabaseName"))
    manifests = Manifests(deployed.s3)

    def look(pipeline: Pipeline) -> Problem | None:
        latest, name = pipeline.published_snapshot, pipeline.pipeline
        if latest is None:
            return None
        try:
            tables = datasets(*manifests.of_snapshot(pipeline, latest))
            for table in tables:
                stored.ensure_complete(*table)
        except PermanentError as error:
            lost = latest in stored.without_manifest(pipeline)
            return Problem(name, str(error), _repair(name) if lost else _export_again(name))
        for export, manifest in tables:
            table_name = export.snapshot_table
            if table_name not in deployed.catalog:
                return Problem(name, f"its snapshot table {table_name} is gone", _repair(name))
            wanted = catalog.partition_input(export, manifest, latest, None)
            if not catalog.fits_the_table(wanted, deployed.catalog[table_name]):
                what = f"{table_name} has other columns or another SerDe than its latest snapshot"
                return Problem(name, what, _repair(name))
        existing = stored.of(pipeline)
        kept = (existing & pipeline.published) - {*retention.superseded(existing, pipeline)}
        for export, _ in tables:
            of_table = (
                pipeline if export.catalog_name == pipeline.catalog_name else pipeline.of_entity(export.catalog_name)
            )
            with_rows = kept & stored.with_files(of_table) if pipeline.entities else kept
            if missing := stored.without_partition(of_table, with_rows):
                what = f"{export.snapshot_table} has no partition of {', '.join(missing)}"
                return Problem(name, what, _repair(name))
        return None

    yield from filter(None, deployed.of_each_pipeline(look))


def _repair(pipeline: str) -> str:
    return f"table-exports repair {pipeline}"


def _export_again(pipeline: str) -> str:
    return f"table-exports run {pipeline}"


CHECKS: tuple[Any, ...] = (database, workgroup, bucket, views, snapshots)
