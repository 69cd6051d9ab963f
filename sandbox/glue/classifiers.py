"""Recognizes the format and columns of a file as a crawler does, with the documented weaknesses for text."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from sandbox.datalake.hive_types import hive_of_arrow, split_field, split_type
from sandbox.datalake.storage import AVRO, LAZY_SIMPLE, OPEN_CSV, OPENX_JSON, ORC, PARQUET, stored_as

GZIP_MAGIC = b"\x1f\x8b"
DELIMITERS = [",", "|", "\t", ";", "\x01"]
LONGEST_HEADER = 150  # characters of one column's name
NUMBERS = ["tinyint", "smallint", "int", "bigint", "float", "double"]  # each may hold those before it
UNKNOWN = "null"  # the type of a value that is not there

Columns = dict[str, str]  # name -> Hive type
CsvClassifier = dict[str, Any]  # as GetClassifier shows it


@dataclass(frozen=True)
class Recognized:
    classification: str
    columns: Columns
    stored_as: dict[str, Any]  # of a StorageDescriptor
    parameters: dict[str, str] = field(default_factory=dict)  # of the table, and of its partitions
    compression: str = "none"


def recognize(content: bytes, classifiers: Sequence[CsvClassifier]) -> Recognized | None:
    """Returns the result of the first classifier that recognizes the content, custom ones first, or None."""
    for magic, classify in BINARY:
        if content.startswith(magic):
            return classify(content)
    compression = "gzip" if content.startswith(GZIP_MAGIC) else "none"
    text = as_text(content)
    if text is None:
        return None
    for classifier in classifiers:
        if found := custom_csv(text, classifier, compression):
            return found
    return json_lines(text, compression) or built_in_csv(text, compression)


def as_text(content: bytes) -> str | None:
    try:
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
        text = content.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
    return None if "\0" in text or not text.strip() else text


def lines_of(text: str) -> list[str]:
    return [line for line in re.split(r"\r\n|\n|\r", text) if line]


# ------------------------------------------------------------------------------------- files that tell their own types


def parquet(content: bytes) -> Recognized | None:
    try:
        schema = pq.read_schema(io.BytesIO(content))
    except (pa.ArrowException, OSError):
        return None
    return Recognized("parquet", columns_of(schema), stored_as(PARQUET))


def orc_file(content: bytes) -> Recognized | None:
    try:
        schema = orc.ORCFile(io.BytesIO(content)).schema
    except (pa.ArrowException, OSError):
        return None
    return Recognized("orc", columns_of(schema), stored_as(ORC))


def columns_of(schema: pa.Schema) -> Columns:
    return {field.name.lower(): hive_of_arrow(field.type) for field in schema}


def avro(content: bytes) -> Recognized | None:
    """The file's schema becomes the one that the table is read by."""
    try:
        schema = fastavro.reader(io.BytesIO(content)).writer_schema
    except (ValueError, EOFError, KeyError):
        return None
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return None
    columns = {field["name"].lower(): hive_of_avro(field["type"]) for field in schema["fields"]}
    return Recognized("avro", columns, stored_as(AVRO, avro__schema__literal=json.dumps(schema)))


AVRO_SCALARS = {
    "null": "string",
    "boolean": "boolean",
    "int": "int",
    "long": "bigint",
    "float": "float",
    "double": "double",
    "bytes": "binary",
    "string": "string",
    "enum": "string",
    "fixed": "binary",
}
AVRO_LOGICAL = {"date": "date", "timestamp-millis": "timestamp", "timestamp-micros": "timestamp"}


def hive_of_avro(schema: Any) -> str:
    if isinstance(schema, list):
        kinds = [kind for kind in schema if kind != "null"]
        return hive_of_avro(kinds[0]) if len(kinds) == 1 else f"uniontype<{','.join(map(hive_of_avro, kinds))}>"
    if isinstance(schema, str):
        return AVRO_SCALARS[schema]
    logical = schema.get("logicalType")
    if logical == "decimal":
        return f"decimal({schema['precision']},{schema.get('scale', 0)})"
    if logical in AVRO_LOGICAL:
        return AVRO_LOGICAL[logical]
    match schema["type"]:
        case "record":
            fields = (f"{field['name'].lower()}:{hive_of_avro(field['type'])}" for field in schema["fields"])
            return f"struct<{','.join(fields)}>"
        case "array":
            return f"array<{hive_of_avro(schema['items'])}>"
        case "map":
            return f"map<string,{hive_of_avro(schema['values'])}>"
        case inner:
            return hive_of_avro(inner)


Classify = Callable[[bytes], Recognized | None]
BINARY: list[tuple[bytes, Classify]] = [(b"PAR1", parquet), (b"ORC", orc_file), (b"Obj\x01", avro)]


# ------------------------------------------------------------------------------------------------------------- JSON


def json_lines(text: str, compression: str) -> Recognized | None:
    """Recognizes one JSON object per line. Types are derived from the values."""
    columns: Columns = {}
    names: dict[str, None] = {}
    for line in lines_of(text):
        try:
            row = json.loads(line)
        except ValueError:
            return None
        if not isinstance(row, dict):
            return None
        names |= dict.fromkeys(row)
        for name, value in row.items():
            columns[name.lower()] = wider(columns.get(name.lower(), UNKNOWN), type_of(value))
    known = {name: as_known(hive) for name, hive in columns.items()}
    return Recognized("json", known, stored_as(OPENX_JSON, paths=",".join(names)), {}, compression)


def type_of(value: Any) -> str:
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "boolean"
        case int():
            if value in range(-(2**31), 2**31):
                return "int"
            return "bigint" if value in range(-(2**63), 2**63) else "double"
        case float():
            return "double"
        case list():
            return f"array<{widest(map(type_of, value))}>"
        case dict() if value:
            return f"struct<{','.join(f'{name.lower()}:{type_of(inner)}' for name, inner in value.items())}>"
        case _:
            return "string"


def widest(types: Iterable[str]) -> str:
    merged = UNKNOWN
    for hive in types:
        merged = wider(merged, hive)
    return merged


def wider(one: str, other: str) -> str:
    """Returns a type for the values of both: the wider number, the struct of all fields, or string."""
    if one == other or other == UNKNOWN:
        return one
    if one == UNKNOWN:
        return other
    if one in NUMBERS and other in NUMBERS:
        return max(one, other, key=NUMBERS.index)
    (kind, inner), (other_kind, other_inner) = split_type(one), split_type(other)
    if kind == other_kind == "array":
        return f"array<{wider(inner[0], other_inner[0])}>"
    if kind == other_kind == "struct":
        fields = dict(map(split_field, inner))
        for name, hive in map(split_field, other_inner):
            fields[name] = wider(fields.get(name, UNKNOWN), hive)
        return f"struct<{','.join(f'{name}:{hive}' for name, hive in fields.items())}>"
    return "string"


def as_known(hive: str) -> str:
    """Returns the type with string in place of unknown types."""
    kind, inner = split_type(hive)
    match kind:
        case "null":
            return "string"
        case "array":
            return f"array<{as_known(inner[0])}>"
        case "struct":
            return f"struct<{','.join(f'{name}:{as_known(field)}' for name, field in map(split_field, inner))}>"
        case _:
            return hive


# -------------------------------------------------------------------------------------------------------------- CSV


def built_in_csv(text: str, compression: str) -> Recognized | None:
    """Recognizes CSV with at least two columns and rows. A header needs a column that is not only text."""
    for delimiter in DELIMITERS:
        rows = split(text, delimiter, '"')
        if rows and len(rows) > 1 and len(rows[0]) > 1:
            header = looks_like_header(rows)
            return as_csv(rows, header, names_of(rows, header), delimiter, '"', LAZY_SIMPLE, compression)
    return None


def custom_csv(text: str, classifier: CsvClassifier, compression: str) -> Recognized | None:
    delimiter, quote = classifier.get("Delimiter") or ",", classifier.get("QuoteSymbol") or '"'
    rows = split(text, delimiter, quote)
    if not rows or (len(rows[0]) < 2 and not classifier.get("AllowSingleColumn")):
        return None
    stated = classifier.get("ContainsHeader") or "UNKNOWN"
    header = looks_like_header(rows) if stated == "UNKNOWN" else stated == "PRESENT"
    names = [name.lower() for name in classifier.get("Header") or []] or names_of(rows, header)
    if len(names) != len(rows[0]):
        return None
    serde = OPEN_CSV if classifier.get("Serde") == "OpenCSVSerDe" else LAZY_SIMPLE
    return as_csv(rows, header, names, delimiter, quote, serde, compression)


def split(text: str, delimiter: str, quote: str) -> list[list[str]] | None:
    """Returns the rows, or None if their numbers of columns differ."""
    try:
        rows = list(csv.reader(lines_of(text), delimiter=delimiter, quotechar=quote))
    except csv.Error:
        return None
    return rows if len({len(row) for row in rows}) == 1 else None


def looks_like_header(rows: list[list[str]]) -> bool:
    names, *others = rows
    if len(set(names)) < len(names) or any(column_type([name]) != "string" for name in names):
        return False
    if any(len(name) >= LONGEST_HEADER for name in names):
        return False
    return any(column_type(values) != "string" for values in zip(*others, strict=True))


def names_of(rows: list[list[str]], header: bool) -> list[str]:
    return [name.strip().lower() for name in rows[0]] if header else [f"col{i}" for i in range(len(rows[0]))]


def as_csv(
    rows: list[list[str]], header: bool, names: list[str], delimiter: str, quote: str, serde: str, compression: str
) -> Recognized:
    values = rows[1:] if header else rows
    types = [column_type(column) for column in zip(*values, strict=True)] or ["string"] * len(names)
    if serde == OPEN_CSV:
        types = ["string"] * len(names)
        storage = stored_as(OPEN_CSV, separatorChar=delimiter, quoteChar=quote)
    else:
        storage = stored_as(LAZY_SIMPLE, field__delim=delimiter, serialization__format=delimiter)
    parameters = {
        "areColumnsQuoted": "true" if serde == OPEN_CSV else "false",
        "columnsOrdered": "true",
        "delimiter": delimiter,
        **({"skip.header.line.count": "1"} if header else {}),
    }
    return Recognized("csv", dict(zip(names, types, strict=True)), storage, parameters, compression)


def column_type(values: Sequence[str]) -> str:
    """Empty fields say nothing."""
    given = [value for value in values if value]
    if given and all(re.fullmatch(r"[+-]?\d{1,18}", value) for value in given):
        return "bigint"
    if given and all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value) for value in given):
        return "double"
    return "string"
