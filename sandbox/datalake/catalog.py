"""Reads tables of the Glue catalog as Arrow tables."""

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
from sandbox.datalake.hive_types import arrow_of_hive, hive_of_arrow, is_coercible
from sandbox.datalake.serdes import read_rows
from sandbox.datalake.storage import PARQUET, Column, QueryFailed, Storage, as_column, schema_of, stored_as
from sandbox.datalake.typed_files import as_value

CACHED_FILES = 512
OF_A_VIEW = (
    "Name",
    "Description",
    "Owner",
    "Parameters",
    "PartitionKeys",
    "TableType",
    "ViewExpandedText",
    "ViewOriginalText",
)


@dataclass(frozen=True)
class Table:
    """A table or view of the catalog."""

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
    def schema(self) -> pa.Schema:
        return schema_of(self.columns + self.partition_keys, self.qualified)

    @property
    def place(self) -> dict[str, str]:
        """As calls of the catalog name it."""
        return {"DatabaseName": self.content["DatabaseName"], "TableName": self.content["Name"]}

    @property
    def qualified(self) -> str:
        return f"{self.content['DatabaseName']}.{self.content['Name']}"


class Catalog:
    """The tables that a caller can read. `glue` and `s3` are clients with the caller's permissions."""

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
        response = not_found_is_none(self._glue.get_table, DatabaseName=database, Name=name)
        return Table(response["Table"]) if response else None

    def partitions(self, table: Table) -> list[dict[str, Any]]:
        pages = self._glue.get_paginator("get_partitions").paginate(**table.place)
        return [partition for page in pages for partition in page["Partitions"]]

    def create_database(self, name: str, comment: str, location: str) -> None:
        given = {"Name": name, "Description": comment, "LocationUri": location}
        self._glue.create_database(DatabaseInput={key: value for key, value in given.items() if value})

    def drop_database(self, name: str) -> None:
        """With its tables."""
        self._glue.delete_database(Name=name)

    def add_partition(self, table: Table, values: list[str], location: str) -> None:
        """Without a location, its folder is named as Hive names it."""
        storage = table.content["StorageDescriptor"]
        folders = [f"{key.name}={value}" for key, value in zip(table.partition_keys, values, strict=True)]
        folder = location or "/".join([storage["Location"].rstrip("/"), *folders])
        partition = {"Values": values, "StorageDescriptor": {**storage, "Location": folder}}
        self._glue.create_partition(**table.place, PartitionInput=partition)

    def drop_partition(self, table: Table, values: list[str]) -> None:
        self._glue.delete_partition(**table.place, PartitionValues=values)

    def save_view(self, database: str, view: dict[str, Any]) -> None:
        exists = self.find(database, view["Name"]) is not None
        save = self._glue.update_table if exists else self._glue.create_table
        save(DatabaseName=database, TableInput=view)

    def describe_view(self, database: str, name: str, columns: list[Column]) -> None:
        """Changes no more of a view than its columns."""
        view = self._glue.get_table(DatabaseName=database, Name=name)["Table"]
        kept = {key: view[key] for key in OF_A_VIEW if key in view}
        described = [{"Name": column.name, "Type": column.type} for column in columns]
        storage = {**view["StorageDescriptor"], "Columns": described}
        self._glue.update_table(DatabaseName=database, TableInput={**kept, "StorageDescriptor": storage})

    def save_table(self, database: str, name: str, location: str, rows: pa.Table) -> str:
        """Creates a table with these rows. Returns the URI of its file."""
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
                **stored_as(PARQUET),
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

    def written_files(self, location: str) -> list[str]:
        """The URIs of the files below a folder."""
        return [uri for uri, _, _ in data_files(self._s3, location)]

    def drop(self, database: str, name: str) -> None:
        self._glue.delete_table(DatabaseName=database, Name=name)

    def read(self, table: Table, held: Mapping[str, str]) -> pa.Table:
        """Returns every row. A partitioned table has only the rows of the partitions in the catalog.

        Partitions of other values than `held` has for their keys are left out.
        """
        parts = list(self._parts(table, held))
        return pa.concat_tables(parts) if parts else table.schema.empty_table()

    def _parts(self, table: Table, held: Mapping[str, str]) -> Iterator[pa.Table]:
        keys = [key.name for key in table.partition_keys]
        if not keys:
            yield from self._folder(table, table.content["StorageDescriptor"], [], "")
        for partition in self.partitions(table) if keys else []:
            values = partition["Values"]
            if any(held.get(key, value) != value for key, value in zip(keys, values, strict=True)):
                continue
            name = "/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
            yield from self._folder(table, partition["StorageDescriptor"], values, name)

    def _folder(
        self, table: Table, descriptor: dict[str, Any], values: list[str], partition: str
    ) -> Iterator[pa.Table]:
        """Returns the rows of a table or partition in the table's columns, read as its descriptor says."""
        storage = Storage.of(table.qualified, descriptor, table.content.get("Parameters") or {})
        positions = sources(table, storage, partition)
        for uri, etag, size in data_files(self._s3, descriptor["Location"]):
            self.bytes_read += size
            stored = read_file(self._s3, uri, etag, storage)
            columns = [
                pa.nulls(stored.num_rows, field.type)
                if position is None
                else coerced(stored.column(position), field.type)
                for position, field in zip(positions, table.schema, strict=False)
            ]
            for value, key in zip(values, table.partition_keys, strict=True):
                columns.append(pa.repeat(pa.scalar(value).cast(arrow_of_hive(key.type)), stored.num_rows))
            yield pa.table(columns, table.schema)


def not_found_is_none(call: Any, **arguments: str) -> Any:
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return None
        raise


def data_files(s3: Any, location: str) -> Iterator[tuple[str, str, int]]:
    """Yields URI, ETag and size of the files below a folder, without empty ones and names with a leading `_` or `.`."""
    bucket, prefix = split_uri(location.rstrip("/") + "/")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            path = item["Key"].removeprefix(prefix).split("/")
            if item["Size"] and not any(part.startswith(("_", ".")) for part in path):
                yield f"s3://{bucket}/{item['Key']}", item["ETag"], item["Size"]


@lru_cache(maxsize=CACHED_FILES)
def read_file(s3: Any, uri: str, etag: str, storage: Storage) -> pa.Table:
    """`etag` says which content: an object that was written anew is read anew."""
    bucket, key = split_uri(uri)
    content = s3.get_object(Bucket=bucket, Key=key, IfMatch=etag)["Body"].read()
    return read_rows(content, uri, storage)


def coerced(values: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray | pa.Array:
    """The values of a partition's column as the type of the table's, which can have other fields at the end."""
    return values if values.type == to else pa.array([as_value(value, to) for value in values.to_pylist()], to)


def sources(table: Table, storage: Storage, partition: str = "") -> list[int | None]:
    """Returns the storage's column for each column of the table. Raises QueryFailed if their types differ."""
    named = {column.name: position for position, column in enumerate(storage.columns)}
    positions: list[int | None] = []
    for position, column in enumerate(table.columns):
        found = named.get(column.name, len(storage.columns)) if storage.by_name else position
        if found >= len(storage.columns):
            positions.append(None)
            continue
        declared = storage.columns[found]
        if not is_coercible(declared.type, column.type):
            raise QueryFailed(
                "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch between the table and partition schemas. The "
                f"types are incompatible and cannot be coerced. The column '{column.name}' in table "
                f"'{table.qualified}' is declared as type '{column.type}', but partition '{partition}' declared column "
                f"'{declared.name}' as type '{declared.type}'."
            )
        positions.append(found)
    return positions
