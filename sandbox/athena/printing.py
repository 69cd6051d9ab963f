"""Prints values as Athena's results do, which is as Trino's CAST AS varchar does."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any


def printed(value: Any) -> str:
    """Return the text of a value that is not NULL. A row or a map is a dictionary."""
    match value:
        case dict():
            return "{" + ", ".join(f"{printed(key)}={inner(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(inner, value)) + "]"
        case bool():
            return str(value).lower()
        case float():
            return as_java(value)
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex(" ")
        case datetime():
            zone = " UTC" if value.tzinfo else ""
            return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}{zone}"
        case date():
            return value.isoformat()
        case time():
            return value.isoformat("milliseconds")
        case _:
            return str(value)


def inner(value: Any) -> str:
    """Return the text of a value inside another."""
    return "null" if value is None else printed(value)


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
