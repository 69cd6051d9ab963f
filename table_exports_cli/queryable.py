"""Checks of what queries need: database, workgroup, bucket, views, snapshot tables and files."""

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from table_exports.aws.manifests import Manifests
from table_exports.aws.snapshots import Snapshots
from table_exports.domain import catalog, retention
from table_exports.domain.datasets import Dataset, datasets, names_not_held
from table_exports.domain.errors import PermanentError
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reports.overview import Cataloged
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
        published = [pipeline for pipeline in deployed.pipelines if pipeline.published_snapshot]
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
    stored, cataloged = _Stored(deployed), deployed.cataloged  # before threads need them

    def look(pipeline: Pipeline) -> list[Problem]:
        name, found = pipeline.pipeline, _wrong_views(pipeline, deployed)
        to_repair = _shown_by_repair(pipeline, stored) if found else set()
        wrong = [
            Problem(name, what, _repair(pipeline) if view in to_repair else _export_again(pipeline))
            for view, what in found.items()
        ]
        return [*wrong, *_taken_names(pipeline, deployed), *_two_snapshots(pipeline, cataloged, deployed)]

    for problems in deployed.of_each_pipeline(look):
        yield from problems


class _Stored:
    """What S3 and the catalog have of snapshots."""

    def __init__(self, deployed: Deployed) -> None:
        self._manifests = Manifests(deployed.s3)
        self.snapshots = Snapshots(deployed.s3, deployed.client("glue"), deployed.output("DatabaseName"))

    def tables(self, pipeline: Pipeline, snapshot: str) -> list[Dataset]:
        """Return the tables of a snapshot. Raises PermanentError unless S3 has its manifest and all its files."""
        tables = datasets(*self._manifests.of_snapshot(pipeline, snapshot))
        for table in tables:
            self.snapshots.ensure_complete(*table)
        return tables

    def can_restore_manifest(self, pipeline: Pipeline, snapshot: str) -> bool:
        """Return whether the snapshot has files and no manifest, of which S3 may have an earlier version."""
        return snapshot in self.snapshots.without_manifest(pipeline)


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


def _shown_by_repair(pipeline: Pipeline, stored: _Stored) -> set[str]:
    """Return the names of the views that can be created again: those of the latest published snapshot, if S3 has it."""
    latest, held = pipeline.published_snapshot or "", {table.catalog_name for table in pipeline.tables}
    try:
        tables = stored.tables(pipeline, latest)
    except PermanentError:
        return held if stored.can_restore_manifest(pipeline, latest) else set()
    except ClientError:  # the check of snapshots says why S3 cannot be read
        return held
    return set() if names_not_held(tables, pipeline) else {export.catalog_name for export, _ in tables}


def _taken_names(pipeline: Pipeline, deployed: Deployed) -> Iterator[Problem]:
    for table in pipeline.published_tables(deployed.catalog):
        name = table.catalog_name
        if name in deployed.catalog and deployed.cataloged.views.get(name) is None:
            kind = "view" if name in deployed.cataloged.views else "table"
            remedy = f"drop the {kind}, or create it again with another name"
            repair = f", then {_repair(pipeline)}" if pipeline.published_snapshot else ""
            yield Problem(pipeline.pipeline, f"another {kind} has the name of its view, {name}", f"{remedy}{repair}")


def _two_snapshots(pipeline: Pipeline, cataloged: Cataloged, deployed: Deployed) -> Iterator[Problem]:
    """Yield a problem for views of a newer snapshot than is published: the export ended before it showed all views."""
    newest, last = cataloged.snapshot_to_show(pipeline), pipeline.recent[-1] if pipeline.recent else None
    if newest == pipeline.published_snapshot:
        return
    if others := cataloged.lost_views(pipeline):
        what = f"some of its views show {newest}, whose export has not succeeded, and {len(others)} of them do not"
        resumes = last and last.snapshot_timestamp == newest and deployed.may_resume(pipeline, last)
        remedy = f"table-exports resume {last.export_id}" if last and resumes else _export_again(pipeline)
        yield Problem(pipeline.pipeline, what, remedy)


def snapshots(deployed: Deployed) -> Iterator[Problem]:
    """each published snapshot is in its snapshot table, and the latest of each pipeline has all its files"""
    stored = _Stored(deployed)

    def look(pipeline: Pipeline) -> Problem | None:
        latest, name = pipeline.published_snapshot, pipeline.pipeline
        if latest is None:
            return None
        try:
            tables = stored.tables(pipeline, latest)
        except PermanentError as error:
            lost = stored.can_restore_manifest(pipeline, latest)
            return Problem(name, str(error), _repair(pipeline) if lost else _export_again(pipeline))
        restore = _export_again(pipeline) if names_not_held(tables, pipeline) else _repair(pipeline)
        for export, manifest in tables:
            table_name = export.snapshot_table
            if table_name not in deployed.catalog:
                return Problem(name, f"its snapshot table {table_name} is gone", restore)
            location = deployed.catalog[table_name].get("StorageDescriptor", {}).get("Location", "")
            if location.rstrip("/") != export.output_prefix:
                what = f"{table_name} has the location {location or 'none'}, not {export.output_prefix}/"
                delete = f"aws glue delete-table --database-name {deployed.output('DatabaseName')} --name {table_name}"
                return Problem(name, what, f"{delete}, which deletes no data, then {restore}")
            wanted = catalog.partition_input(export, manifest, latest, None)
            if not catalog.fits_the_table(wanted, deployed.catalog[table_name]):
                what = f"{table_name} has other columns or another SerDe than its latest snapshot"
                return Problem(name, what, restore)
        existing = stored.snapshots.of(pipeline)
        kept = (existing & pipeline.published) - {*retention.superseded(existing, pipeline)}
        for export, _ in tables:
            of_table = (
                pipeline if export.catalog_name == pipeline.catalog_name else pipeline.of_entity(export.catalog_name)
            )
            with_rows = kept & stored.snapshots.with_files(of_table) if pipeline.entities else kept
            if missing := stored.snapshots.without_partition(of_table, with_rows):
                what = f"{export.snapshot_table} has no partition of {', '.join(missing)}"
                return Problem(name, what, restore)
        return None

    yield from filter(None, deployed.of_each_pipeline(look))


def _repair(pipeline: Pipeline) -> str:
    repair = f"table-exports repair {pipeline.pipeline}"
    return f"{_wait(pipeline)}, then {repair}" if pipeline.export_in_flight else repair


def _export_again(pipeline: Pipeline) -> str:
    return _wait(pipeline) if pipeline.export_in_flight else f"table-exports run {pipeline.pipeline}"


def _wait(pipeline: Pipeline) -> str:
    return f"table-exports watch {pipeline.pipeline} --until-done"


CHECKS: tuple[Any, ...] = (database, workgroup, bucket, views, snapshots)
