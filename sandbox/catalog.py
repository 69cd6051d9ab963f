"""The Glue catalog's tables as Arrow tables: their files in S3, in the shape that the catalog gives them."""

import io
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from sandbox.cloud import split_uri
from sandbox.hive_types import arrow_of_hive, hive_of_arrow

CACHED_FILES = 512
STORED_AS = {
    "parquet": {
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            "Parameters": {"serialization.format": "1"},
        },
    },
}


class QueryFailed(Exception):
    """The query fails with this message, worded as Athena words it."""


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # Hive's


@dataclass(frozen=True)
class Table:
    """A table or view as the catalog has it."""

    content: dict[str, Any]

    @property
    def columns(self) -> list[Column]:
        return [as_column(column) for column in self.content["StorageDescriptor"]["Columns"]]

    @property
    def partition_keys(self) -> list[Column]:
        return [as_column(column) for column in self.content.get("PartitionKeys") or []]

    @property
    def is_view(self) -> bool:
        return self.content.get("TableType") == "VIRTUAL_VIEW"

    @property
    def format(self) -> str:
        storage = self.content["StorageDescriptor"]
        library = storage.get("SerdeInfo", {}).get("SerializationLibrary", "")
        return "parquet" if "parquet" in library.lower() else library

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(column.name, arrow_of_hive(column.type)) for column in self.columns + self.partition_keys])


def as_column(content: dict[str, Any]) -> Column:
    return Column(content["Name"].lower(), content.get("Type", "string"))


class Catalog:
    """Tables as one caller may see and read them: `glue` and `s3` are clients with the caller's permissions."""

    def __init__(self, glue: Any, s3: Any) -> None:
        self._glue, self._s3 = glue, s3
        self.bytes_read = 0

    def databases(self) -> list[str]:
        pages = self._glue.get_paginator("get_databases").paginate()
        return sorted(database["Name"] for page in pages for database in page["DatabaseList"])

    def has_database(self, name: str) -> bool:
        return not_found_is_none(self._glue.get_database, Name=name) is not None

    def tables(self, database: str) -> list[Table]:
        pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=database)
        tables = [Table(table) for page in pages for table in page["TableList"]]
        return sorted(tables, key=lambda table: table.content["Name"])

    def find(self, database: str, name: str) -> Table | None:
        answer = not_found_is_none(self._glue.get_table, DatabaseName=database, Name=name)
        return Table(answer["Table"]) if answer else None

    def partitions(self, table: Table) -> list[dict[str, Any]]:
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=table.content["DatabaseName"], TableName=table.content["Name"]
        )
        return [partition for page in pages for partition in page["Partitions"]]

    def save_view(self, database: str, view: dict[str, Any]) -> None:
        exists = self.find(database, view["Name"]) is not None
        save = self._glue.update_table if exists else self._glue.create_table
        save(DatabaseName=database, TableInput=view)

    def save_table(self, database: str, name: str, location: str, rows: pa.Table) -> str:
        """A new table of these rows. Returns the URI of its one file."""
        columns = [Column(field.name.lower(), hive_of_arrow(field.type)) for field in rows.schema]
        uri = self.save_file(location, rows.rename_columns([column.name for column in columns]))
        table = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
            "PartitionKeys": [],
            "StorageDescriptor": {
                "Columns": [{"Name": column.name, "Type": column.type} for column in columns],
                "Location": location,
                **STORED_AS["parquet"],
            },
        }
        self._glue.create_table(DatabaseName=database, TableInput=table)
        return uri

    def save_file(self, location: str, rows: pa.Table) -> str:
        """Returns the new file's URI."""
        file = io.BytesIO()
        pq.write_table(rows, file, compression="snappy")
        uri = f"{location}{uuid.uuid4()}.snappy.parquet"
        bucket, key = split_uri(uri)
        self._s3.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
        return uri

    def drop(self, database: str, name: str) -> None:
        self._glue.delete_table(DatabaseName=database, Name=name)

    def read(self, table: Table, held: Mapping[str, str]) -> pa.Table:
        """Every row. Of a partitioned table: the rows of the partitions that the catalog has, and no others.

        Partitions of other values than `held` has for their keys are left out.
        """
        if table.format != "parquet":
            raise QueryFailed(f"HIVE_UNSUPPORTED_FORMAT: the sandbox does not read {table.format}")
        parts = list(self._parts(table, held))
        return pa.concat_tables(parts) if parts else table.schema.empty_table()

    def _parts(self, table: Table, held: Mapping[str, str]) -> Iterator[pa.Table]:
        if not table.partition_keys:
            yield from self._folder(table, table.content["StorageDescriptor"]["Location"], [])
        for partition in self.partitions(table) if table.partition_keys else []:
            values = zip((key.name for key in table.partition_keys), partition["Values"], strict=True)
            if any(held.get(key, value) != value for key, value in values):
                continue
            yield from self._folder(table, partition["StorageDescriptor"]["Location"], partition["Values"])

    def _folder(self, table: Table, location: str, values: list[str]) -> Iterator[pa.Table]:
        for uri, etag, size in data_files(self._s3, location):
            self.bytes_read += size
            stored = read_parquet(self._s3, uri, etag)
            keys = dict(zip((key.name for key in table.partition_keys), values, strict=True))
            yield in_shape(stored, table.schema, keys, uri)


def not_found_is_none(call: Any, **arguments: str) -> Any:
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return None
        raise


def data_files(s3: Any, location: str) -> Iterator[tuple[str, str, int]]:
    """URI, ETag and bytes of each file below a folder. Empty files are none, nor are names with `_` or `.` first."""
    bucket, prefix = split_uri(location.rstrip("/") + "/")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            path = item["Key"].removeprefix(prefix).split("/")
            if item["Size"] and not any(part.startswith(("_", ".")) for part in path):
                yield f"s3://{bucket}/{item['Key']}", item["ETag"], item["Size"]


@lru_cache(maxsize=CACHED_FILES)
def read_parquet(s3: Any, uri: str, etag: str) -> pa.Table:
    """`etag` says which content: an object that was written anew is read anew."""
    bucket, key = split_uri(uri)
    content = s3.get_object(Bucket=bucket, Key=key, IfMatch=etag)["Body"].read()
    return pq.read_table(io.BytesIO(content))


def in_shape(stored: pa.Table, schema: pa.Schema, partition: dict[str, str], uri: str) -> pa.Table:
    """The catalog's columns, found by name: what a file lacks is null, what only it has is not seen."""
    found = {name.lower(): stored.column(index) for index, name in enumerate(stored.column_names)}
    columns = []
    for field in schema:
        if field.name in partition:
            value = pa.scalar(partition[field.name]).cast(field.type)
            columns.append(pa.repeat(value, stored.num_rows))
        elif field.name in found:
            columns.append(as_type(found[field.name], field, uri))
        else:
            columns.append(pa.nulls(stored.num_rows, field.type))
    return pa.table(columns, schema)


def as_type(values: pa.ChunkedArray, field: pa.Field, uri: str) -> pa.ChunkedArray | pa.Array:
    if values.type == field.type:
        return values
    try:
        if pa.types.is_nested(field.type):
            return pa.array([as_value(value, field.type) for value in values.to_pylist()], field.type)
        if pa.types.is_string(field.type) == pa.types.is_string(values.type) or pa.types.is_null(values.type):
            return values.cast(field.type, safe=not pa.types.is_timestamp(field.type))
    except (pa.ArrowException, TypeError, ValueError):
        pass
    raise QueryFailed(
        f"HIVE_BAD_DATA: Field {field.name}'s type {values.type} in parquet file {uri} is incompatible with type "
        f"{field.type} defined in table schema"
    )


def as_value(value: Any, arrow: pa.DataType) -> Any:
    """Fields of structs are found by name too."""
    if value is None:
        return None
    if pa.types.is_struct(arrow):
        fields = {name.lower(): inner for name, inner in value.items()}
        return {field.name: as_value(fields.get(field.name), field.type) for field in arrow}
    if pa.types.is_map(arrow):
        return [(key, as_value(inner, arrow.item_type)) for key, inner in value]
    if pa.types.is_list(arrow):
        return [as_value(inner, arrow.value_type) for inner in value]
    return value
