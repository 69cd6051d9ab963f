"""Snapshot tables and their partitions in the Glue catalog. They follow the manifest.

A crawler infers types from text, and may choose another SerDe. Both are corrected, and its other properties are kept.
Shapes: Glue API reference, TableInput and PartitionInput.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from table_exports.domain import naming, view_sql
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.limits import PARTITIONS_PER_CALL
from table_exports.domain.manifest import Manifest

DATABASE_DESCRIPTION = (  # as in infra/common.yaml
    "DynamoDB tables exported by table-exports. A view has the latest snapshot, a snapshots_ table has all"
)
PAGE_CHARACTERS = 2_000_000  # of partitions that a function reads at once. In memory they are 15 times as large
SCHEMA_LITERAL = "avro.schema.literal"  # a parameter of the Avro SerDe
OUR_COMMENT = "DynamoDB attribute "  # so begin the comments of columns in manifests
IAM_ALONE = "IAM_ALLOWED_PRINCIPALS"  # Lake Formation's name for everyone whom IAM allows it
CRAWL_DUE = "table_exports_crawl_due"  # a table parameter: the table has columns that its crawler has not seen yet

HIVE = "org.apache.hadoop.hive"
ONE = {"serialization.format": "1"}
TEXT = ("org.apache.hadoop.mapred.TextInputFormat", f"{HIVE}.ql.io.HiveIgnoreKeyTextOutputFormat")
GZIPPED = {"compressionType": "gzip", "typeOfData": "file"}


@dataclass(frozen=True, slots=True)
class Storage:
    """How Athena reads a format."""

    input_format: str
    output_format: str
    serde: str
    serde_parameters: dict[str, str] = field(default_factory=lambda: ONE)
    parameters: dict[str, str] = field(default_factory=dict)  # of the table and its partitions


STORAGE = {
    "parquet": Storage(
        f"{HIVE}.ql.io.parquet.MapredParquetInputFormat",
        f"{HIVE}.ql.io.parquet.MapredParquetOutputFormat",
        f"{HIVE}.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
    "orc": Storage(
        f"{HIVE}.ql.io.orc.OrcInputFormat", f"{HIVE}.ql.io.orc.OrcOutputFormat", f"{HIVE}.ql.io.orc.OrcSerde"
    ),
    "avro": Storage(
        f"{HIVE}.ql.io.avro.AvroContainerInputFormat",
        f"{HIVE}.ql.io.avro.AvroContainerOutputFormat",
        f"{HIVE}.serde2.avro.AvroSerDe",
    ),
    "json": Storage(*TEXT, "org.apache.hive.hcatalog.data.JsonSerDe", parameters=GZIPPED),
    "csv": Storage(
        *TEXT,
        f"{HIVE}.serde2.OpenCSVSerde",
        {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\"},
        GZIPPED | {"skip.header.line.count": "1"},
    ),
}

FORMATS = tuple(STORAGE)
FORMAT_OF = {storage.serde: name for name, storage in STORAGE.items()} | {  # the last two are chosen by crawlers
    "org.openx.data.jsonserde.JsonSerDe": "json",
    f"{HIVE}.serde2.lazy.LazySimpleSerDe": "csv",
}

Described = dict[str, Any]  # a table or partition as Glue describes it


def database_input(name: str) -> dict[str, Any]:
    """Return the database as infra/common.yaml creates it. IAM alone decides about its new tables."""
    permissions = [{"Principal": {"DataLakePrincipalIdentifier": IAM_ALONE}, "Permissions": ["ALL"]}]
    return {"Name": name, "Description": DATABASE_DESCRIPTION, "CreateTableDefaultPermissions": permissions}


def is_governed_by_lake_formation(database: dict[str, Any]) -> bool:
    """Return whether Lake Formation has to grant new tables of the database, in addition to IAM.

    False if Glue does not say.
    """
    granted = database.get("CreateTableDefaultPermissions")
    return granted is not None and not any(
        grant.get("Principal", {}).get("DataLakePrincipalIdentifier") == IAM_ALONE and "ALL" in grant["Permissions"]
        for grant in granted
    )


def ensure_own_table(export: Export, table: Described) -> None:
    """Raise PermanentError if the table with the snapshot table's name belongs to another dataset or format.

    A table has one SerDe, so snapshots of two formats cannot be read together.
    """
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    if keys != [naming.PARTITION_KEY]:
        raise PermanentError(
            f"Table {export.snapshot_table} is partitioned by {keys}, not by {naming.PARTITION_KEY} alone: "
            f"another dataset has its folder or its name. {_remedy(export)}"
        )
    location = table.get("StorageDescriptor", {}).get("Location", "")
    if location.rstrip("/") != export.output_prefix:
        raise PermanentError(
            f"Table {export.snapshot_table} is of {location or 'no folder'}, not of {export.output_prefix}/: "
            f"another dataset has its name, or someone changed its location. {_remedy(export)}"
        )
    found = FORMAT_OF.get(_serde(table)[2], export.output_format)
    if found != export.output_format:
        raise PermanentError(
            f"Table {export.snapshot_table} is of snapshots in {found}, and the export is {export.output_format}: "
            'deploy another table stack with a CatalogName of its own, or start over: docs/schema.md, "Start over"'
        )


def _remedy(export: Export) -> str:
    return (
        f"If it is the pipeline's own table, delete it in the Glue catalog, which deletes no data, then run "
        f"table-exports repair {export.pipeline}. Otherwise, deploy a table stack with another CatalogName"
    )


def ensure_own_view(export: Export, database: str, found: Described) -> None:
    """Raise PermanentError if the table or view with the view's name is not a view of the pipeline."""
    is_view = found.get("TableType") == "VIRTUAL_VIEW"
    text = found.get("ViewOriginalText", "")
    if not (is_view and view_sql.shown_snapshot(text, database, export.snapshot_table)):
        kind = "view" if is_view else "table"
        raise PermanentError(
            f"The name of the pipeline's view is taken: {kind} {database}.{export.catalog_name} is not a view of "
            f"{export.snapshot_table}, and publishing would replace it. Drop the {kind}, or create it again with "
            "another name, then resume the export. Or deploy a table stack with another CatalogName"
        )


def table_input(
    export: Export, manifest: Manifest, existing: Described | None, *, crawl_due: bool = False
) -> Described:
    """Return the snapshot table of this manifest. Properties of the existing table that we do not set are kept.

    If a crawl is due, structs keep the fields that they have. With other fields, the view would be stale until it is
    replaced after the crawl. In Avro, columns must have the types of the schema.
    """
    existing = existing or {}
    kept = {name: existing[name] for name in ("Description", "Owner", "Retention") if existing.get(name)}
    parameters = {name: text for name, text in existing.get("Parameters", {}).items() if name != CRAWL_DUE}
    due = {CRAWL_DUE: "true"} if crawl_due else {}
    descriptor = _descriptor(export, manifest, existing, f"{export.output_prefix}/", manifest.comments)
    if crawl_due and existing and SCHEMA_LITERAL not in manifest.serde_parameters:
        types = dict(_columns(existing))
        for column in descriptor["Columns"]:
            before = types.get(column["Name"], "")
            column["Type"] = before if is_extended(before, column["Type"]) else column["Type"]
    return {
        **kept,
        "Name": export.snapshot_table,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": naming.PARTITION_KEY, "Type": "string"}],
        "StorageDescriptor": descriptor,
        "Parameters": {**parameters, "EXTERNAL": "TRUE", **_parameters(export), **due},
    }


def partition_input(export: Export, manifest: Manifest, timestamp: str, existing: Described | None) -> Described:
    """Return the partition of the snapshot of `timestamp`, with all columns of the manifest."""
    existing = existing or {}
    location = naming.snapshot_location(export.output_prefix, timestamp)
    return {
        "Values": [timestamp],
        "StorageDescriptor": _descriptor(export, manifest, existing, location, {}),
        "Parameters": existing.get("Parameters", {}) | _parameters(export),
    }


def same_schema(export: Export, manifest: Manifest, table: Described) -> bool:
    """Return whether the table matches the manifest, and its crawler has seen all its columns."""
    wanted, found = table_input(export, manifest, table), table.get("Parameters", {})
    return (
        CRAWL_DUE not in found
        and _columns(table) == _columns(wanted)
        and _read_alike(table, wanted)
        and STORAGE[export.output_format].parameters.items() <= found.items()
    )


def lacks_only_fields(export: Export, manifest: Manifest, table: Described) -> bool:
    """Return whether the table matches the manifest, except for fields at the end of structs. They need no crawl."""
    wanted = table_input(export, manifest, table)
    updated = {**table, "StorageDescriptor": {**table["StorageDescriptor"], "Columns": _columns_of(wanted)}}
    return same_schema(export, manifest, updated) and are_extended(_columns(table), _columns(wanted))


def same_comments(export: Export, manifest: Manifest, table: Described) -> bool:
    """Return whether columns whose names are not those of their attributes have comments that say so."""
    return _comments(table) == _comments(table_input(export, manifest, table))


def same_partition(found: Described, wanted: Described) -> bool:
    """Return whether a partition has all columns, the SerDe and the location that it should have."""
    return (
        _columns(found) == _columns(wanted)
        and _read_alike(found, wanted)
        and found["StorageDescriptor"].get("Location", "").rstrip("/")
        == wanted["StorageDescriptor"]["Location"].rstrip("/")
    )


def fits_the_table(partition: Described, table: Described) -> bool:
    """Return whether Athena can read a partition with its table: same SerDe, and the table's first columns.

    A snapshot from before a column or a field of a struct was added lacks it, also in its Avro schema. Athena reads the
    table's.
    """
    columns, all_columns = _columns(partition), _columns(table)
    if columns == all_columns:
        return _read_alike(partition, table)
    first = all_columns[: len(columns)]
    return bool(columns) and are_extended(columns, first) and _serde(partition)[:3] == _serde(table)[:3]


def are_extended(columns: list[tuple[str, str]], by: list[tuple[str, str]]) -> bool:
    """Return whether the columns are the same, except that structs have additional fields at the end in `by`."""
    return len(columns) == len(by) and all(
        name == other and is_extended(kind, wanted) for (name, kind), (other, wanted) in zip(columns, by, strict=True)
    )


def is_extended(hive_type: str, by: str) -> bool:
    """Return whether `by` is the same type, or has additional fields at the end of structs, at any depth.

    struct<a:array<struct<b:bigint>>> is extended by struct<a:array<struct<b:bigint,c:string>>,d:string>.
    """
    place = 0
    for character in hive_type:
        if character == ">" and by[place : place + 1] == ",":  # `by` has more fields: continue at the end of its struct
            depth = 0
            while place < len(by) and (by[place] != ">" or depth):
                depth += (by[place] == "<") - (by[place] == ">")
                place += 1
        if by[place : place + 1] != character:
            return False
        place += 1
    return place == len(by)


def follows_the_table(partition: Described, table: Described, published: str) -> bool:
    """Return whether a partition is as it should be after its table has changed.

    Partitions only have to fit, with two exceptions:
    - An Avro partition must have the table's columns and schema, because older engines read the schema from the
      partition.
    - A snapshot after the latest published one may be of an export that failed after a crawl, whose partition has the
      columns of the table before that export.
    """
    if SCHEMA_LITERAL in _serde(table)[3] or partition["Values"][0] > published:
        return _columns(partition) == _columns(table) and _read_alike(partition, table)
    return fits_the_table(partition, table)


def partitions_per_page(table: Described) -> int:
    """Return how many partitions with the table's columns to read, and to update, in one call."""
    return max(1, min(PARTITIONS_PER_CALL, PAGE_CHARACTERS // len(json.dumps(table))))


def _descriptor(
    export: Export, manifest: Manifest, existing: Described, location: str, comments: dict[str, str]
) -> Described:
    """Comments that operators wrote stay. Those of an earlier manifest do not."""
    storage = STORAGE[export.output_format]
    before = _known(existing.get("StorageDescriptor", {}))
    theirs = {
        name: text
        for name, text in _comments({"StorageDescriptor": before}).items()
        if not text.startswith(OUR_COMMENT)
    }
    comments = comments | theirs
    columns = [{"Name": column.name, "Type": column.type} for column in manifest.columns]
    for column in columns:
        if column["Name"] in comments:
            column["Comment"] = comments[column["Name"]]
    return {
        **before,
        "Columns": columns,
        "Location": location,
        "InputFormat": storage.input_format,
        "OutputFormat": storage.output_format,
        "SerdeInfo": {
            "SerializationLibrary": storage.serde,
            "Parameters": storage.serde_parameters | manifest.serde_parameters,
        },
    }


def _known(described: Any) -> Any:
    """Remove empty values. Glue describes unset properties as empty, and refuses them as input."""
    if isinstance(described, dict):
        known = {name: _known(value) for name, value in described.items()}
        return {name: value for name, value in known.items() if value not in ("", None, [], {})}
    if isinstance(described, list):
        return [value for value in map(_known, described) if value not in ("", None, [], {})]
    return described


def _parameters(export: Export) -> dict[str, str]:
    return {"classification": export.output_format, **STORAGE[export.output_format].parameters}


def _columns_of(described: Described) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = described["StorageDescriptor"].get("Columns", [])
    return found


def _columns(described: Described) -> list[tuple[str, str]]:
    return [(column["Name"], column.get("Type", "")) for column in _columns_of(described)]


def _comments(described: Described) -> dict[str, str]:
    return {column["Name"]: column["Comment"] for column in _columns_of(described) if column.get("Comment")}


def _serde(described: Described) -> tuple[str, str, str, dict[str, str]]:
    descriptor = described["StorageDescriptor"]
    serde = descriptor.get("SerdeInfo", {})
    return (
        descriptor.get("InputFormat", ""),
        descriptor.get("OutputFormat", ""),
        serde.get("SerializationLibrary", ""),
        serde.get("Parameters", {}),
    )


def _read_alike(found: Described, wanted: Described) -> bool:
    """Return whether both have the same formats and SerDe, and `found` has at least the parameters of `wanted`."""
    *found_names, found_parameters = _serde(found)
    *wanted_names, wanted_parameters = _serde(wanted)
    return found_names == wanted_names and wanted_parameters.items() <= found_parameters.items()
