"""Names that follow from other names. One place, one direction."""

import re
from datetime import UTC, datetime

from table_exports.domain.errors import InvalidRequest

SNAPSHOT_PREFIX = "snapshots_"
PARTITION_KEY = "snapshot_timestamp"
LONGEST_CATALOG_NAME = 128 - len(SNAPSHOT_PREFIX)  # a crawler cuts table names at 128 characters
FORMATS = ("parquet", "orc", "avro", "json", "csv")


def catalog_name(table_name: str, chosen: str = "") -> str:
    """The name of a table's view, and of its snapshot table and folder but for their prefix.

    Lower case, every character outside `[a-z0-9_]` an underscore: so a crawler has nothing left to rename.

    >>> catalog_name("My-Reviews.v2")
    'my_reviews_v2'

    Raises InvalidRequest if the name is too long for the catalog, or is one that a snapshot table may have.
    """
    name = re.sub(r"[^a-z0-9_]", "_", (chosen or table_name).lower())
    if len(name) > LONGEST_CATALOG_NAME:
        raise InvalidRequest(
            "CatalogName", f"{name} has more than {LONGEST_CATALOG_NAME} characters: choose a shorter one"
        )
    if name.startswith(SNAPSHOT_PREFIX):
        raise InvalidRequest(
            "CatalogName", f"{name} starts as snapshot tables do, with {SNAPSHOT_PREFIX}: choose another"
        )
    return name


def pipeline_name(catalog_name: str, output_format: str) -> str:
    """One table-format combination: `reviews-parquet`."""
    return f"{catalog_name}-{output_format}"


def resource_name(pipeline: str) -> str:
    """Of the pipeline's Glue job and crawler: the prefix lets rules and policies tell ours from others'."""
    return f"table-exports-{pipeline}"


def snapshot_timestamp(moment: datetime) -> str:
    """UTC to the second and without colons, which Spark would escape: `2026-11-23T02-00-07Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def snapshot_moment(snapshot_timestamp: str) -> datetime:
    return datetime.strptime(snapshot_timestamp, "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)


def snapshot_table(catalog_name: str) -> str:
    return SNAPSHOT_PREFIX + catalog_name


def output_prefix(bucket: str, catalog_name: str) -> str:
    """The folder of every snapshot of a pipeline, without a slash at the end."""
    return f"s3://{bucket}/exports/{snapshot_table(catalog_name)}"


def snapshot_location(output_prefix: str, snapshot_timestamp: str) -> str:
    return f"{output_prefix}/{PARTITION_KEY}={snapshot_timestamp}/"


def staging_prefix(output_prefix: str) -> str:
    """Where the job stages a table's items. Under one folder of the bucket, whose objects expire."""
    bucket, catalog_name = output_prefix.split(f"/exports/{SNAPSHOT_PREFIX}")
    return f"{bucket}/staging/{catalog_name}"


def table_export_prefix(output_prefix: str, snapshot_timestamp: str) -> str:
    """Of all that DynamoDB writes of a table in read mode export, without a slash at the end."""
    return f"{staging_prefix(output_prefix)}/{snapshot_timestamp}"


def table_export_summary(table_export_prefix: str, arn: str) -> str:
    """What DynamoDB writes last of a table export. Shape: DynamoDB developer guide, "Table export output format"."""
    export_id = arn.rpartition("/")[2]
    return f"{table_export_prefix}/AWSDynamoDB/{export_id}/manifest-summary.json"


def manifests_prefix(output_prefix: str) -> str:
    """Beside the table's folder, out of the crawler's sight."""
    bucket, catalog_name = output_prefix.split(f"/exports/{SNAPSHOT_PREFIX}")
    return f"{bucket}/exports/manifests_{catalog_name}/"


def manifest_uri(output_prefix: str, snapshot_timestamp: str) -> str:
    return f"{manifests_prefix(output_prefix)}{snapshot_timestamp}.json"
