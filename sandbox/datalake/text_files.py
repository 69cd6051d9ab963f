"""Reads JSON and CSV files, line by line, as Hive's SerDes do."""

import csv
import gzip
import json
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from sandbox.datalake.storage import QueryFailed, Storage

EXACT_INTEGERS = range(-(2**63), 2**63)
csv.field_size_limit(2**31 - 1)

Row = list[Any]
ReaderOfLines = Callable[[Iterator[str], Storage], Iterator[Row]]


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
