"""Prints values as Trino's CAST AS varchar and Athena's results do."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from duckdb.sqltypes import DuckDBPyType


def printer(kind: DuckDBPyType) -> Callable[[Any], str]:
    """Return what prints a value of this type."""
    match kind.id:
        case "struct":
            fields = [(name, printer(inner)) for name, inner in kind.children]
            return lambda value: "{" + ", ".join(f"{n}={text(value[n], show)}" for n, show in fields) + "}"
        case "map":
            (_, key_type), (_, value_type) = kind.children
            show_key, show_value = printer(key_type), printer(value_type)
            return lambda value: "{" + ", ".join(f"{show_key(k)}={text(v, show_value)}" for k, v in value.items()) + "}"
        case "list":
            show = printer(kind.children[0][1])
            return lambda value: "[" + ", ".join(text(inner, show) for inner in value) + "]"
        case _:
            return scalar


def text(value: Any, show: Callable[[Any], str]) -> str:
    return "null" if value is None else show(value)


def scalar(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return as_java(value)
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex(" ")
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def as_java(number: float) -> str:
    """Java's Double.toString: 1.0E10, NaN, Infinity."""
    if number != number or number in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        plain = format(Decimal(repr(number)), "f")
        return plain if "." in plain else f"{plain}.0"
    sign, digits, _ = Decimal(repr(number)).normalize().as_tuple()
    exponent = Decimal(repr(number)).adjusted()
    mantissa = f"{digits[0]}.{''.join(map(str, digits[1:])) or '0'}"
    return f"{'-' if sign else ''}{mantissa}E{exponent}"
