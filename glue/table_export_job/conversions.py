"""The conversions of a column contract: `as`, and for times `from`. docs/columns.md, "Types".

A value becomes a value of the one kind that a column of the type is made of, as `declared_type` in types.py expects:
text, a flag or a number. For a timestamp, that is the number of milliseconds since 1970, for a date that of days.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from functools import partial
from typing import Any

from table_export_job.attributes import DIGITS, Value
from table_export_job.types import TypeRules, as_json, as_text

ANY = TypeRules()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND, DAY = timedelta(milliseconds=1), timedelta(days=1)
TIMES = ("timestamp", "date")
TYPES = (*TIMES, "double", "bigint", "boolean", "string", "json")  # and decimal(p,s)
EPOCHS = {"epoch_s": 6, "epoch_ms": 3}  # by notation: the microseconds in one, as a power of ten
DOWN = Context(prec=60, rounding=ROUND_FLOOR)
MOST_DIGITS = 15  # of a number that is a time: the last one, in the year 9999
DIRECTIVES = set("YmdHMSfzjybBaAIp%")  # of strptime, without those that depend on the language of the machine
DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
CLOCK = r"\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?( ?(Z|[+-]\d\d(:?\d\d(:?\d\d)?)?))?"
ISO8601 = re.compile(rf"\d{{4}}-\d\d-\d\d([T ]{CLOCK})?|\d{{8}}T{CLOCK}", re.ASCII)
WIDTHS = {  # by directive: a number that has its full width
    "Y": r"\d{4}",
    "y": r"\d\d",
    "m": "(?:0[1-9]|1[0-2])",
    "d": r"(?:0[1-9]|[12]\d|3[01])",
    "j": r"(?:[0-2]\d\d|3[0-5]\d|36[0-6])",
    "H": r"(?:[01]\d|2[0-3])",
    "I": "(?:0[1-9]|1[0-2])",
    "M": r"[0-5]\d",
    "S": r"[0-5]\d",
    "f": r"\d{1,6}(?!\d)",
}
PARTS = re.compile(r"(?P<numbers>(?:%[YymdjHIMSf]|\d)+)|(?P<offset>%z)|(?:%[^YymdjHIMSfz]|[^%\d])+", re.ASCII)
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?\s*", re.ASCII)
FLAGS = {"true": True, "false": False, "1": True, "0": False}


def type_problem(type: Any, notation: Any) -> tuple[tuple[str], str] | None:
    """The field that is wrong, and what is wrong with it."""
    if decimal := DECIMAL.fullmatch(str(type)):
        if not int(decimal[2]) <= int(decimal[1]) <= DIGITS or int(decimal[1]) == 0:
            return ("as",), f"{type} must have 1 to {DIGITS} digits, and no more than these after the point"
    elif type not in TYPES:
        return ("as",), f"{type} must be one of {', '.join(TYPES)}, or a decimal such as decimal(18,2)"
    if type in TIMES:
        return notation_problem(notation)
    return None if notation is None else (("from",), f"only a {' or a '.join(TIMES)} has it. Remove it")


def notation_problem(notation: Any) -> tuple[tuple[str], str] | None:
    if isinstance(notation, str) and (notation in EPOCHS or notation == "iso8601"):
        return None
    if not isinstance(notation, str) or "%" not in notation:
        allowed = f"{', '.join(EPOCHS)}, iso8601 or a pattern such as %d.%m.%Y %H:%M"
        return ("from",), f"must be {allowed}" if notation is None else f"{notation} must be {allowed}"
    found = set(re.findall(r"%(.?)", notation))
    if unknown := sorted(found - DIRECTIVES):
        return ("from",), f"{notation} has %{unknown[0]}, which a pattern cannot have. docs/columns.md lists the others"
    if not (found & set("Yy") and ("j" in found or ("d" in found and found & set("mbB")))):
        return ("from",), f"{notation} must have year, month and day, such as %Y, %m and %d"
    try:
        by_pattern({"S": EPOCH.strftime(notation)}, notation, shape_of(notation))
    except (ValueError, re.error) as error:
        return ("from",), f"{notation} is not a pattern of a time: {error}"
    return None


class Conversion:
    """Converts values of an attribute to a type."""

    def __init__(self, type: str, notation: str | None, rules: TypeRules = ANY) -> None:
        self.type = type.replace(" ", "")
        self._convert = converter(self.type, notation, rules)

    def convert(self, value: Value) -> Value | None:
        """The value in the kind of the type. None if the type cannot hold it. NULL stays NULL."""
        if "NULL" in value:
            return value
        return self._convert(value)


def converter(type: str, notation: str | None, rules: TypeRules) -> Callable[[Value], Value | None]:
    if decimal := DECIMAL.fullmatch(type):
        return partial(to_decimal, precision=int(decimal[1]), scale=int(decimal[2]))
    if type in TIMES:
        unit = MILLISECOND if type == "timestamp" else DAY
        whole_seconds = rules.whole_seconds_before_1970 and unit is MILLISECOND
        return partial(to_time, read=reader(notation), unit=unit, whole_seconds_before_1970=whole_seconds)
    return {
        "double": to_double,
        "bigint": partial(to_decimal, precision=19, scale=0, limit=2**63),
        "boolean": to_boolean,
        "string": to_text,
        "json": to_json,
    }[type]


def to_text(value: Value) -> Value:
    return {"S": as_text(value)}


def to_json(value: Value) -> Value:
    return {"S": as_json(value)}


def number_of(value: Value) -> Decimal | None:
    """A number, or text that is one."""
    text = value.get("N", value.get("S"))
    return Decimal(text.strip()) if text is not None and NUMBER.fullmatch(text) else None


def to_decimal(value: Value, *, precision: int, scale: int, limit: int | None = None) -> Value | None:
    """Nothing is rounded."""
    number = number_of(value)
    if number is None:
        return None
    if not number:
        return {"N": "0"}
    number = number.normalize(Context(prec=len(number.as_tuple().digits)))
    if -number.as_tuple().exponent > scale or number.adjusted() + 1 > precision - scale:
        return None
    if limit and not -limit <= number < limit:
        return None
    return {"N": format(number, "f")}


def to_double(value: Value) -> Value | None:
    """The closest double."""
    number = number_of(value)
    if number is None or abs(float(number)) == float("inf"):
        return None
    return {"N": repr(float(number))}


def to_boolean(value: Value) -> Value | None:
    if "BOOL" in value:
        return value
    if "S" in value:
        flag = FLAGS.get(value["S"].lower())
    else:
        number = number_of(value)
        flag = bool(number) if number in (0, 1) else None
    return None if flag is None else {"BOOL": flag}


Reader = Callable[[Value], datetime | None]  # raises ValueError or OverflowError, or returns None, if it is no time


def reader(notation: str) -> Reader:
    if notation in EPOCHS:
        return partial(from_epoch, power=EPOCHS[notation])
    if notation == "iso8601":
        return from_iso8601
    return partial(by_pattern, notation=notation, shape=shape_of(notation))


def to_time(value: Value, *, read: Reader, unit: timedelta, whole_seconds_before_1970: bool) -> Value | None:
    """Rounded down to the unit, also before 1970. A time without an offset is in UTC."""
    try:
        time = read(value)
    except (ValueError, OverflowError):
        return None
    if time is None or (whole_seconds_before_1970 and time < EPOCH and time.microsecond >= 1000):
        return None
    return {"N": str((time - EPOCH) // unit)}


def from_epoch(value: Value, power: int) -> datetime | None:
    number = number_of(value)
    if number is None or number.adjusted() > MOST_DIGITS:
        return None
    return EPOCH + timedelta(microseconds=int(number.scaleb(power, DOWN).to_integral_value(ROUND_FLOOR)))


def from_iso8601(value: Value) -> datetime | None:
    """Of text only. Digits without separators are not a time, as a number of milliseconds would be one, too."""
    text = value.get("S")
    if text is None or not ISO8601.fullmatch(text):
        return None
    return in_utc(datetime.fromisoformat(text))


def by_pattern(value: Value, notation: str, shape: re.Pattern[str]) -> datetime | None:
    """Of text, or of a number such as 20261123."""
    text = value.get("S", value.get("N"))
    if text is None:
        return None
    time = datetime.strptime(text, notation)
    if not shape.fullmatch(text):
        raise ValueError("numbers without a separator between them must have all their digits")
    return in_utc(time)


def shape_of(notation: str) -> re.Pattern[str]:
    """Matches a time whose numbers can be told apart. strptime alone takes 2026112 for 20261102 by %Y%m%d."""

    def shape(part: re.Match[str]) -> str:
        if part["offset"]:
            return r"(?:Z|[+-][\d:.]+)"
        if not part["numbers"]:
            return r"\D+"
        numbers = re.findall(r"%?(.)", part["numbers"])
        if len(numbers) == 1:
            return r"\d+"
        return "".join(WIDTHS.get(number, number) for number in numbers)

    return re.compile(PARTS.sub(shape, notation), re.ASCII)


def in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
