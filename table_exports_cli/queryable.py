"""Checks of what queries need: database, workgroup, bucket, views, snapshot tables and files."""

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from table_exports.aws.manifests import Manifests
from table_exports.aws.snapshots import Snapshots
from table_exports.domain import catalog, naming, retention, view_sql
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
    """each view shows the latest published snapshot of its pipeline, and nothing else has its name"""
    for pipeline in deployed.pipelines:
        for table in pipeline.published_tables(deployed.catalog):
            yield from _of_view(table, deployed)


def _of_view(table: Pipeline, deployed: Deployed) -> Iterator[Problem]:
    """Yield the problem of a pipeline's view, or of that of one of its entities."""
    view, latest, repair = deployed.catalog.get(table.catalog_name), table.published_snapshot, _repair(table.pipeline)
    if view is None:
        if latest:
            yield Problem(table.pipeline, f"its view {table.catalog_name} is gone", repair)
        return
    is_view, source = view.get("TableType") == "VIRTUAL_VIEW", naming.snapshot_table(table.catalog_name)
    text = view.get("ViewOriginalText", "")
    shown = view_sql.shown_snapshot(text, deployed.output("DatabaseName"), source) if is_view else None
    if shown is None:
        kind = "view" if is_view else "table"
        what = f"another {kind} has the name of its view, {table.catalog_name}"
        remedy = f"drop the {kind}, or create it again with another name"
        yield Problem(table.pipeline, what, f"{remedy}, then {repair}" if latest else remedy)
    elif latest and shown < latest:
        name = f" {table.catalog_name}" if table.entities else ""
        yield Problem(table.pipeline, f"its view{name} shows {shown}, not {latest}", repair)


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
