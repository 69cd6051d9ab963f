"""Reads Parquet, ORC and Avro files, which bring types of their own, in the columns of the catalog."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from sandbox.datalake.storage import QueryFailed, Storage, as_table, unreadable

Refusal = Callable[[pa.ChunkedArray, pa.Field], QueryFailed]


def read_parquet(content: bytes, uri: str, storage: Storage) -> pa.Table:
    try:
        stored = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise QueryFailed(f"HIVE_BAD_DATA: Not valid Parquet file: {uri} {error}") from error

    def refusal(values: pa.ChunkedArray, field: pa.Field) -> QueryFailed:
        return QueryFailed(
            f"HIVE_BAD_DATA: Field {field.name}'s type {values.type} in parquet file {uri} is incompatible with type "
            f"{field.type} defined in table schema"
        )

    return in_shape(named(stored, storage), stored.num_rows, storage, refusal)


def read_orc(content: bytes, uri: str, storage: Storage) -> pa.Table:
    """Reads columns by position, unless the SerDe's parameters say by name."""
    try:
        stored = orc.ORCFile(io.BytesIO(content)).read()
    except (pa.ArrowException, OSError) as error:
        raise QueryFailed(f"HIVE_BAD_DATA: Error opening Hive split {uri}: Malformed ORC file. {error}") from error

    def refusal(values: pa.ChunkedArray, field: pa.Field) -> QueryFailed:
        return QueryFailed(
            f"HIVE_BAD_DATA: Malformed ORC file. Cannot read SQL type '{field.type}' from ORC stream '.{field.name}' "
            f"of type {values.type} [{uri}]"
        )

    by_position = [stored.column(i) if i < stored.num_columns else None for i in range(len(storage.columns))]
    found = named(stored, storage) if storage.by_name else by_position
    return in_shape(found, stored.num_rows, storage, refusal)


def named(stored: pa.Table, storage: Storage) -> list[pa.ChunkedArray | None]:
    found = {name.lower(): stored.column(index) for index, name in enumerate(stored.column_names)}
    return [found.get(column.name) for column in storage.columns]


def in_shape(found: Sequence[pa.ChunkedArray | None], rows: int, storage: Storage, refusal: Refusal) -> pa.Table:
    """Returns the columns of the storage. Missing columns are null, additional columns are ignored."""
    columns = [
        pa.nulls(rows, field.type) if values is None else as_type(values, field, refusal)
        for field, values in zip(storage.schema, found, strict=True)
    ]
    return pa.table(columns, storage.schema)


def as_type(values: pa.ChunkedArray, field: pa.Field, refusal: Refusal) -> pa.ChunkedArray | pa.Array:
    if values.type == field.type:
        return values
    try:
        if pa.types.is_nested(field.type):
            return pa.array([as_value(value, field.type) for value in values.to_pylist()], field.type)
        if is_text(field.type) == is_text(values.type) or pa.types.is_null(values.type):
            return values.cast(field.type, safe=not pa.types.is_timestamp(field.type))
    except (pa.ArrowException, AttributeError, TypeError, ValueError):
        pass
    raise refusal(values, field)


def is_text(arrow: pa.DataType) -> bool:
    return pa.types.is_string(arrow) or pa.types.is_large_string(arrow)


def as_value(value: Any, arrow: pa.DataType) -> Any:
    """Converts a struct by the names of its fields."""
    if value is None:
        return None
    if pa.types.is_struct(arrow):
        fields = {name.lower(): inner for name, inner in value.items()}
        return {field.name: as_value(fields.get(field.name), field.type) for field in arrow}
    if pa.types.is_map(arrow):
        entries = value.items() if isinstance(value, dict) else value
        return [(key, as_value(inner, arrow.item_type)) for key, inner in entries]
    if pa.types.is_list(arrow):
        return [as_value(inner, arrow.value_type) for inner in value]
    return value


def read_avro(content: bytes, uri: str, storage: Storage) -> pa.Table:
    """Reads by the names of the reader's schema, which has defaults for missing fields."""
    literal = storage.parameter("avro.schema.literal")
    if not literal:
        raise QueryFailed(
            "HIVE_INVALID_METADATA: Encountered AvroSerdeException determining schema: Neither avro.schema.literal nor "
            "avro.schema.url specified, can't determine table schema"
        )
    try:
        reader_schema = fastavro.parse_schema(json.loads(literal))
    except (ValueError, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
        raise QueryFailed(f"HIVE_INVALID_METADATA: avro.schema.literal is no Avro schema: {error}") from error
    try:
        records = list(fastavro.reader(io.BytesIO(content), reader_schema))
    except (ValueError, EOFError, KeyError, IndexError, fastavro.read.SchemaResolutionError) as error:
        raise QueryFailed(f"HIVE_CURSOR_ERROR: Failed to read Avro file {uri}: {error}") from error
    rows = [{name.lower(): value for name, value in record.items()} for record in records]
    try:
        columns = [[as_value(row.get(field.name), field.type) for row in rows] for field in storage.schema]
    except (AttributeError, TypeError, ValueError) as error:
        raise unreadable(error, uri) from error
    return as_table(columns, storage, uri)
