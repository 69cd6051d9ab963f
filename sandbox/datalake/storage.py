"""How the catalog says that the files of a table are to be read: SerDe, columns and parameters."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from sandbox.datalake.hive_types import arrow_of_hive

PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
ORC = "org.apache.hadoop.hive.ql.io.orc.OrcSerde"
AVRO = "org.apache.hadoop.hive.serde2.avro.AvroSerDe"
HIVE_JSON = "org.apache.hive.hcatalog.data.JsonSerDe"
OPENX_JSON = "org.openx.data.jsonserde.JsonSerDe"
OPEN_CSV = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
LAZY_SIMPLE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"

TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
TEXT = (TEXT_INPUT, "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat")
FILE_FORMATS = {  # the input and output format that go with a SerDe
    PARQUET: (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    ),
    ORC: ("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat", "org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat"),
    AVRO: (
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
        "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    ),
    HIVE_JSON: TEXT,
    OPENX_JSON: TEXT,
    OPEN_CSV: TEXT,
    LAZY_SIMPLE: TEXT,
}
OF_THE_TABLE = ("avro.schema.literal", "skip.header.line.count")  # parameters that are the table's own, too


class QueryFailed(Exception):
    """The query fails with this message, in Athena's words."""


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # Hive's


def as_column(content: dict[str, Any]) -> Column:
    return Column(content["Name"].lower(), content.get("Type", "string"))


def schema_of(columns: Iterable[Column], table: str) -> pa.Schema:
    fields = []
    for column in columns:
        try:
            fields.append((column.name, arrow_of_hive(column.type)))
        except ValueError as error:
            raise QueryFailed(
                f"HIVE_INVALID_METADATA: Glue table '{table}' column '{column.name}' has invalid data type: "
                f"{column.type}"
            ) from error
    return pa.schema(fields)


@dataclass(frozen=True)
class Storage:
    """How the files of a table, or of a partition, are to be read."""

    table: str  # database.name
    serde: str
    columns: tuple[Column, ...]
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, table: str, descriptor: dict[str, Any], table_parameters: dict[str, str]) -> "Storage":
        """Raises QueryFailed for what Athena cannot read. `descriptor` is the catalog's StorageDescriptor."""
        info = descriptor.get("SerdeInfo") or {}
        library, input_format = info.get("SerializationLibrary", ""), descriptor.get("InputFormat", "")
        if library not in FILE_FORMATS:
            raise QueryFailed(f"HIVE_SERDE_NOT_FOUND: deserializer does not exist: {library}")
        if input_format != FILE_FORMATS[library][0]:
            raise QueryFailed(f"HIVE_UNSUPPORTED_FORMAT: {library} does not read {input_format}")
        given = {name: table_parameters[name] for name in OF_THE_TABLE if name in table_parameters}
        parameters = given | (info.get("Parameters") or {})
        columns = tuple(as_column(column) for column in descriptor.get("Columns") or [])
        return cls(table, library, columns, tuple(sorted(parameters.items())))

    def parameter(self, name: str, default: str = "") -> str:
        return dict(self.parameters).get(name, default)

    @cached_property
    def schema(self) -> pa.Schema:
        return schema_of(self.columns, self.table)

    @property
    def by_name(self) -> bool:
        """Whether a partition's columns are found by name among the table's. Else by position."""
        if self.serde == ORC:
            return self.parameter("orc.column.index.access").lower() == "false"
        return self.serde in (PARQUET, AVRO, HIVE_JSON, OPENX_JSON)


def stored_as(library: str, **parameters: str) -> dict[str, Any]:
    """What a StorageDescriptor says of it. Dots in the parameters' names are written as `__`."""
    named = {name.replace("__", "."): value for name, value in parameters.items()}
    input_format, output_format = FILE_FORMATS[library]
    return {
        "InputFormat": input_format,
        "OutputFormat": output_format,
        "SerdeInfo": {"SerializationLibrary": library, "Parameters": {"serialization.format": "1", **named}},
    }


def as_table(columns: list[list[Any]], storage: Storage, uri: str) -> pa.Table:
    """Of Python's values, one list per column."""
    arrays = []
    for field, values in zip(storage.schema, columns, strict=True):
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise unreadable(f"column {field.name}: {error}", uri) from error
    return pa.table(arrays, storage.schema)


def unreadable(what: object, uri: str) -> QueryFailed:
    return QueryFailed(f"HIVE_BAD_DATA: Error Parsing a column in the table: {what} (file {uri})")
