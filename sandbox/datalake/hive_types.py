"""Translates column types between Hive (the Glue catalog), Trino (Athena), Arrow and DuckDB."""

import re

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

TO_ARROW: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
FROM_ARROW = {arrow: hive for hive, arrow in TO_ARROW.items() if hive != "integer"} | {
    pa.large_string(): "string",
    pa.large_binary(): "binary",
    pa.uint8(): "smallint",
    pa.uint16(): "int",
    pa.uint32(): "bigint",
    pa.null(): "string",
}
TRINO = {"int": "integer", "string": "varchar", "binary": "varbinary", "float": "real"}
FROM_DUCKDB = {  # what is not here is a string
    "boolean": "boolean",
    "tinyint": "tinyint",
    "smallint": "smallint",
    "integer": "int",
    "bigint": "bigint",
    "hugeint": "bigint",  # what DuckDB makes of a sum of bigint, which is one in Trino
    "ubigint": "bigint",
    "float": "float",
    "double": "double",
    "blob": "binary",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp_ms": "timestamp",
    "timestamp_ns": "timestamp",
    "timestamp_s": "timestamp",
    "timestamp with time zone": "timestamp",
}
WITHOUT_HIVE = {  # DuckDB's types that only Trino has, too
    "timestamp with time zone": "timestamp(3) with time zone",
    "time": "time(3)",
    "json": "json",
}
FIELD_NAME = r"[\w.]+"  # of a struct: what Athena allows in complex types


def hive_of_arrow(arrow: pa.DataType) -> str:
    """Returns the Hive type as a crawler writes it, in lower case."""
    if pa.types.is_struct(arrow):
        return f"struct<{','.join(f'{field.name.lower()}:{hive_of_arrow(field.type)}' for field in arrow)}>"
    if pa.types.is_map(arrow):
        return f"map<{hive_of_arrow(arrow.key_type)},{hive_of_arrow(arrow.item_type)}>"
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return f"array<{hive_of_arrow(arrow.value_type)}>"
    if pa.types.is_decimal(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if pa.types.is_timestamp(arrow):
        return "timestamp"
    return FROM_ARROW[arrow]


def hive_of_duckdb(duckdb_type: DuckDBPyType) -> str:
    match duckdb_type.id:
        case "struct":
            fields = (f"{name}:{hive_of_duckdb(inner)}" for name, inner in duckdb_type.children)
            return f"struct<{','.join(fields)}>"
        case "map" | "list" as kind:
            inner = ",".join(hive_of_duckdb(inner) for _, inner in duckdb_type.children)
            return f"{'array' if kind == 'list' else kind}<{inner}>"
        case "decimal":
            return f"decimal({','.join(str(digits) for _, digits in duckdb_type.children)})"
        case kind:
            return FROM_DUCKDB.get(kind, "string")


def trino_of_duckdb(duckdb_type: DuckDBPyType) -> str:
    return WITHOUT_HIVE.get(str(duckdb_type).lower()) or trino_of_hive(hive_of_duckdb(duckdb_type))


def split_type(hive: str) -> tuple[str, list[str]]:
    """Its name and its parameters: `map<string,array<int>>` is map, [string, array<int>]."""
    name, _, inner = hive.partition("<")
    if not inner:
        name, _, inner = hive.partition("(")
    return name.strip().lower(), split_parameters(inner[:-1]) if inner else []


def split_parameters(text: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def split_field(field: str) -> tuple[str, str]:
    """`name:type`, a field of a struct."""
    name, _, hive = field.partition(":")
    return name.strip(), hive.strip()


def arrow_of_hive(hive: str) -> pa.DataType:
    """Raises ValueError for a type it does not know, or whose fields have names that Athena does not take."""
    name, parameters = split_type(hive)
    match name:
        case "struct":
            fields = [(field.lower(), arrow_of_hive(inner)) for field, inner in map(split_field, parameters)]
            names = [field for field, _ in fields]
            if len(set(names)) < len(names) or not all(re.fullmatch(FIELD_NAME, field) for field in names):
                raise ValueError(f"{hive} has field names that are empty, duplicate or contain special characters")
            return pa.struct(fields)
        case "map":
            return pa.map_(arrow_of_hive(parameters[0]), arrow_of_hive(parameters[1]))
        case "array":
            return pa.list_(arrow_of_hive(parameters[0]))
        case "decimal":
            precision, scale = (*map(int, parameters), 0)[:2] if parameters else (10, 0)
            return pa.decimal128(precision, scale)
        case "varchar" | "char":
            return pa.string()
    if name not in TO_ARROW:
        raise ValueError(f"{hive} is not a Hive type")
    return TO_ARROW[name]


def trino_of_hive(hive: str) -> str:
    """As Trino shows it: `row(city varchar, null bigint)`."""
    name, parameters = split_type(hive)
    match name:
        case "struct":
            fields = ", ".join(f"{field} {trino_of_hive(inner)}" for field, inner in map(split_field, parameters))
            return f"row({fields})"
        case "map" | "array":
            return f"{name}({', '.join(map(trino_of_hive, parameters))})"
        case "timestamp":
            return "timestamp(3)"
    return TRINO.get(name, re.sub(r"\s", "", hive).lower())


def trino_signature(hive: str) -> str:
    """As Trino stores it in views, where it must be valid SQL: `row("city" varchar,"null" bigint)`."""
    name, parameters = split_type(hive)
    match name:
        case "struct":
            fields = [f'"{field}" {trino_signature(inner)}' for field, inner in map(split_field, parameters)]
            return f"row({','.join(fields)})"
        case "map" | "array":
            return f"{name}({','.join(map(trino_signature, parameters))})"
    return trino_of_hive(hive)


def same_type(one: str, other: str) -> bool:
    """Whether two types are equal, regardless of spaces and case."""
    return re.sub(r"\s", "", one).lower() == re.sub(r"\s", "", other).lower()


def is_coercible(hive: str, to: str) -> bool:
    """Whether a struct of a partition is read as that of its table: fields may be added or dropped at the end."""
    name, parameters = split_type(hive)
    other, others = split_type(to)
    if name != other or name not in ("struct", "map", "array"):
        return same_type(hive, to)
    if name != "struct":
        return all(is_coercible(one, another) for one, another in zip(parameters, others, strict=True))
    pairs = zip(map(split_field, parameters), map(split_field, others), strict=False)
    return all(one.lower() == another.lower() and is_coercible(of, to) for (one, of), (another, to) in pairs)
