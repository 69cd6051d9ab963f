"""Reads the rows of a file as Athena does, with the SerDe, columns and parameters of the catalog."""

import csv
import gzip
import io
import json
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

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
EXACT_INTEGERS = range(-(2**63), 2**63)
csv.field_size_limit(2**31 - 1)


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


def read_rows(content: bytes, uri: str, storage: Storage) -> pa.Table:
    """Returns the rows of a file in the columns of the storage. Raises QueryFailed."""
    return READERS[storage.serde](content, uri, storage)


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


# --------------------------------------------------------------------------------------- files with their own types


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


Refusal = Callable[[pa.ChunkedArray, pa.Field], QueryFailed]


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


# ------------------------------------------------------------------------------------------------------------ lines


def lines(content: bytes, uri: str, storage: Storage) -> Iterator[str]:
    """Without the header. A line ends at a line break, wherever that is: quoted ones are line breaks too."""
    found = iter(unpacked(content, uri).splitlines())
    for _ in range(int(storage.parameter("skip.header.line.count", "0"))):
        next(found, None)
    return (line.decode(errors="replace") for line in found)


def unpacked(content: bytes, uri: str) -> bytes:
    """The name alone says whether a file is compressed. Raises QueryFailed if it is not as it says."""
    if not uri.endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise QueryFailed(f"HIVE_CURSOR_ERROR: Failed to read file: {uri}: {error}") from error


Row = list[Any]
Reader = Callable[[bytes, str, Storage], pa.Table]
ReaderOfLines = Callable[[Iterator[str], Storage], Iterator[Row]]


class Number(str):
    """A JSON number as it is written."""


def hive_json_rows(found: Iterator[str], storage: Storage) -> Iterator[Row]:
    for line in found:
        try:
            row = json.loads(line, parse_int=Number, parse_float=Number, parse_constant=not_json)
        except ValueError as error:
            raise QueryFailed(f"HIVE_CURSOR_ERROR: JsonParseException: {error}: {shortened(line)}") from error
        if not isinstance(row, dict):
            raise QueryFailed(f"HIVE_CURSOR_ERROR: Start token not found where expected: {shortened(line)}")
        yield json_row(row, storage)


def openx_json_rows(found: Iterator[str], storage: Storage) -> Iterator[Row]:
    """Numbers that are no 64-bit integers pass through a double."""
    for line in found:
        try:
            row = json.loads(
                line,
                parse_int=rounded_number,
                parse_float=rounded_number,
                parse_constant=not_json,
                object_pairs_hook=distinct,
            )
            if not isinstance(row, dict):
                raise ValueError("A JSONObject text must begin with '{'")
        except ValueError as error:
            raise QueryFailed(
                f"HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: {error}: {shortened(line)}"
            ) from error
        yield json_row(row, storage)


def not_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def rounded_number(text: str) -> Number:
    if text.lstrip("-").isdigit() and int(text) in EXACT_INTEGERS:
        return Number(text)
    return Number(repr(float(text)))


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Names that differ in case alone are one name to the SerDe, which takes no name twice."""
    names = [name.lower() for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'Duplicate key "{name}"')
    return dict(pairs)


def shortened(line: str) -> str:
    return line if len(line) <= 100 else f"{line[:100]}..."


def json_row(row: dict[str, Any], storage: Storage) -> Row:
    values = {name.lower(): value for name, value in row.items()}
    found = []
    for field in storage.schema:
        try:
            found.append(of_json(values.get(field.name), field.type))
        except (ValueError, InvalidOperation) as error:
            raise QueryFailed(
                f"HIVE_BAD_DATA: Error Parsing a column in the table: column {field.name} of type {field.type}: {error}"
            ) from error
    return found


def of_json(value: Any, arrow: pa.DataType) -> Any:
    """Raises ValueError for a value that is none of this type."""
    if value is None:
        return None
    if pa.types.is_struct(arrow):
        fields = {name.lower(): inner for name, inner in of_kind(dict, value).items()}
        return {field.name: of_json(fields.get(field.name), field.type) for field in arrow}
    if pa.types.is_map(arrow):
        entries = of_kind(dict, value).items()
        return [(of_text(key, arrow.key_type), of_json(inner, arrow.item_type)) for key, inner in entries]
    if pa.types.is_list(arrow):
        return [of_json(inner, arrow.value_type) for inner in of_kind(list, value)]
    if isinstance(value, bool):
        if pa.types.is_boolean(arrow):
            return value
        value = json.dumps(value)
    if pa.types.is_string(arrow):
        return str(value) if isinstance(value, str) else as_json(value)
    return of_text(of_kind(str, value), arrow)


def of_kind(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{shortened(as_json(value))} is no {kind.__name__}")
    return value


def as_json(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{as_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_json, value)) + "]"
    return json.dumps(value)


def of_text(text: str, arrow: pa.DataType) -> Any:
    """A scalar's value as Java's parsers read it. Raises ValueError, or InvalidOperation for no decimal."""
    if pa.types.is_string(arrow):
        return str(text)
    if pa.types.is_boolean(arrow):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"'{text}' is no boolean")
        return text.lower() == "true"
    if pa.types.is_integer(arrow):
        if not text.lstrip("+-").isdigit():
            raise ValueError(f'For input string: "{text}"')
        return int(text)
    if pa.types.is_decimal(arrow):
        return Decimal(text)
    if pa.types.is_floating(arrow):
        return float(text)
    if pa.types.is_binary(arrow):
        return b64decode(text, validate=True)
    if pa.types.is_date(arrow):
        return date.fromisoformat(text)
    if pa.types.is_timestamp(arrow):
        return datetime.fromisoformat(text)
    raise ValueError(f"the sandbox does not read {arrow} from text")


# -------------------------------------------------------------------------------------------------- separated values


def open_csv_rows(found: Iterator[str], storage: Storage) -> Iterator[Row]:
    separator = storage.parameter("separatorChar", ",")[:1]
    quote = storage.parameter("quoteChar", '"')[:1]
    escape = storage.parameter("escapeChar", '"')[:1]
    for line in found:
        yield typed(split_quoted(line, separator, quote, escape), storage, of_open_csv)


def split_quoted(line: str, separator: str, quote: str, escape: str) -> list[str]:
    """As OpenCSV splits it: an escape that escapes nothing is dropped, and so is a field whose quote never closes."""
    if escape not in line.replace(quote, "") and line.count(quote) % 2 == 0:
        return next(csv.reader([line], delimiter=separator, quotechar=quote), []) or [""]
    fields, field, quoted, at = [], "", False, 0
    while at < len(line):
        character, following = line[at], line[at + 1 : at + 2]
        if character == escape != quote:
            if quoted and following and following in quote + escape:
                field += following
                at += 1
        elif character == quote:
            if quoted and following == quote:
                field += quote
                at += 1
            else:
                quoted = not quoted
        elif character == separator and not quoted:
            fields.append(field)
            field = ""
        else:
            field += character
        at += 1
    return fields if quoted else [*fields, field]


def of_open_csv(text: str, arrow: pa.DataType) -> Any:
    """Dates are days, and times milliseconds, since 1970; there is no null."""
    if pa.types.is_date(arrow):
        return date(1970, 1, 1) + timedelta(days=int(text))
    if pa.types.is_timestamp(arrow):
        return datetime(1970, 1, 1) + timedelta(milliseconds=int(text))
    return of_text(text, arrow)


def lazy_simple_rows(found: Iterator[str], storage: Storage) -> Iterator[Row]:
    """Quotes mean nothing. What is null is written so; an empty field is null where it cannot be text."""
    separator = storage.parameter("field.delim") or "\x01"
    null = storage.parameter("serialization.null.format", r"\N")

    def of_lazy_simple(text: str, arrow: pa.DataType) -> Any:
        if text == null or not (text or pa.types.is_string(arrow)):
            return None
        return of_text(text, arrow)

    for line in found:
        yield typed(line.split(separator), storage, of_lazy_simple)


def typed(fields: list[str], storage: Storage, read: Callable[[str, pa.DataType], Any]) -> Row:
    """By position. What is missing at the row's end is null."""
    row: Row = []
    for position, field in enumerate(storage.schema):
        text = fields[position] if position < len(fields) else None
        try:
            row.append(None if text is None else read(text, field.type))
        except (ValueError, InvalidOperation) as error:
            raise QueryFailed(
                f"HIVE_BAD_DATA: Error parsing field value '{text}' for field {position}: {error}"
            ) from error
    return row


def of_lines(rows: ReaderOfLines) -> Reader:
    def read(content: bytes, uri: str, storage: Storage) -> pa.Table:
        columns: list[list[Any]] = [[] for _ in storage.columns]
        for row in rows(lines(content, uri, storage), storage):
            for values, value in zip(columns, row, strict=True):
                values.append(value)
        return as_table(columns, storage, uri)

    return read


READERS: dict[str, Reader] = {
    PARQUET: read_parquet,
    ORC: read_orc,
    AVRO: read_avro,
    HIVE_JSON: of_lines(hive_json_rows),
    OPENX_JSON: of_lines(openx_json_rows),
    OPEN_CSV: of_lines(open_csv_rows),
    LAZY_SIMPLE: of_lines(lazy_simple_rows),
}
