"""Names that follow from other names."""

import re
from datetime import UTC, datetime

from table_exports.domain.errors import InvalidRequest

SNAPSHOT_PREFIX = "snapshots_"
ENTITIES_PREFIX = "entities_"
PARTITION_KEY = "snapshot_timestamp"
LONGEST_CATALOG_NAME = 128 - len(SNAPSHOT_PREFIX)  # a crawler cuts table names at 128 characters
ENTITY = rf"[a-z0-9_]{{1,{LONGEST_CATALOG_NAME}}}"


def catalog_name(table_name: str, chosen: str = "") -> str:
    """Return the name of a table's view. Its snapshot table and folder have the same name with a prefix.

    It is lower case, with an underscore for each character outside `[a-z0-9_]`, so that a crawler need not rename it.

    >>> catalog_name("My-Reviews.v2")
    'my_reviews_v2'

    Raises InvalidRequest if the name is too long for the catalog, or could be that of a snapshot table.
    """
    name = re.sub(r"[^a-z0-9_]", "_", (chosen or table_name).lower())
    if len(name) > LONGEST_CATALOG_NAME:
        raise InvalidRequest(
            "CatalogName", f"{name} has more than {LONGEST_CATALOG_NAME} characters: choose a shorter one"
        )
    if name.startswith(SNAPSHOT_PREFIX):
        raise InvalidRequest(
            "CatalogName", f"{name} starts with {SNAPSHOT_PREFIX}, as snapshot tables do: choose another name"
        )
    return name


def pipeline_name(catalog_name: str, output_format: str) -> str:
    """Return the name of a pipeline, for example `reviews-parquet`."""
    return f"{catalog_name}-{output_format}"


def catalog_name_of(pipeline: str) -> str:
    """Return the catalog name of a pipeline: neither it nor a format has a hyphen."""
    return pipeline.rpartition("-")[0]


def resource_name(pipeline: str) -> str:
    """Return the name of a pipeline's Glue job and crawler. Rules and policies match its prefix."""
    return f"table-exports-{pipeline}"


def snapshot_timestamp(moment: datetime) -> str:
    """Return a time in UTC, to the second and without colons, which Spark would escape: `2026-11-23T02-00-07Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def snapshot_moment(snapshot_timestamp: str) -> datetime:
    return datetime.strptime(snapshot_timestamp, "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)


def snapshot_table(catalog_name: str) -> str:
    return SNAPSHOT_PREFIX + catalog_name


def output_prefix(bucket: str, catalog_name: str) -> str:
    """Return the folder of a pipeline's snapshots, without a slash at the end."""
    return f"s3://{bucket}/exports/{snapshot_table(catalog_name)}"


def entities_prefix(output_prefix: str) -> str:
    """Return the folder of the entities of a pipeline with this folder of snapshots, without a slash at the end."""
    bucket, catalog_name = output_prefix.split(f"/exports/{SNAPSHOT_PREFIX}")
    return f"{bucket}/exports/{ENTITIES_PREFIX}{catalog_name}"


def entity_prefix(output_prefix: str, entity: str) -> str:
    """Return the folder of an entity's snapshots, without a slash at the end."""
    return f"{entities_prefix(output_prefix)}/{entity}"


def is_entity_of(catalog_name: str, entity: str) -> bool:
    """Return whether an entity of the pipeline with this catalog name can have this name in the catalog."""
    valid = re.fullmatch(ENTITY, entity) is not None
    return valid and entity.startswith(f"{catalog_name}_") and entity != f"{catalog_name}_"


def snapshot_location(output_prefix: str, snapshot_timestamp: str) -> str:
    return f"{output_prefix}/{PARTITION_KEY}={snapshot_timestamp}/"


def staging_prefix(output_prefix: str) -> str:
    """Return the folder in which the job stages items. It is in a folder of the bucket whose objects expire."""
    bucket, catalog_name = output_prefix.split(f"/exports/{SNAPSHOT_PREFIX}")
    return f"{bucket}/staging/{catalog_name}"


def table_export_prefix(output_prefix: str, snapshot_timestamp: str) -> str:
    """Return the folder in which DynamoDB writes a table export, without a slash at the end."""
    return f"{staging_prefix(output_prefix)}/{snapshot_timestamp}"


def table_export_summary(table_export_prefix: str, arn: str) -> str:
    """Return the URI of a table export's last file. Shape: DynamoDB developer guide, "Table export output format"."""
    export_id = arn.rpartition("/")[2]
    return f"{table_export_prefix}/AWSDynamoDB/{export_id}/manifest-summary.json"


def manifests_prefix(output_prefix: str) -> str:
    """Return the folder of a pipeline's manifests, which is outside the folder that the crawler reads."""
    bucket, catalog_name = output_prefix.split(f"/exports/{SNAPSHOT_PREFIX}")
    return f"{bucket}/exports/manifests_{catalog_name}/"


def manifest_uri(output_prefix: str, snapshot_timestamp: str) -> str:
    return f"{manifests_prefix(output_prefix)}{snapshot_timestamp}.json"
