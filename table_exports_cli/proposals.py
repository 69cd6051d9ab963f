"""Rules of a column contract that the latest snapshot suggests, each with its reason. docs/columns.md.

Everything here is decided from the manifest and from what queries measured. Values of attributes are neither needed nor
part of a reason, except the first and the last day of times.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from table_exports.domain.reports.formatting import count
from table_exports_cli.attribute_names import looks_like_time, looks_personal

YEAR_2000, YEAR_2100 = 946_684_800, 4_102_444_800  # in seconds since 1970
UNITS = {"epoch_s": 1, "epoch_ms": 1000}
LEAST_DIGITS = 9  # of a number of seconds since the year 2000
ANY = "*"  # in a path: each key of a map
MOST_RULES, MOST_CHARACTERS, MOST_DOTS = 500, 255, 8  # docs/columns.md
MOST_DIGITS = 38  # of a decimal
FEW, FEW_OF = 5, 1000  # at most five values, and at most one of a thousand, cause the scale of a decimal
LEAST_VALUES = 20  # of a decimal, before one of them counts as an exception
LEAST_KEYS = 3  # that look like data
MANY_KEYS = 20  # of one type
SPARSE = 4  # at most one of so many fields has a value
DATA_KEY = re.compile(
    r"\d+"
    r"|\d{4}-\d\d(-\d\d)?([T ].*)?"  # months, days, times
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # UUID
    r"|(?=.*\d)[0-9a-fA-F]{12,}"
    r"|(?=.*\d)(?=.*[A-Z])[0-9A-Z]{10,}"  # ULID, ASIN and the like
    r"|[A-Za-z]{1,8}[-_#:]\d{3,}"  # user_1234
    r"|[^@\s]+@[^@\s]+\.[^@\s]+",
    re.ASCII,
)
PERSONAL = "the name looks personal. Choose hash (needs HashSecretArn) or omit, or delete these lines"
PERSONAL_MAP = "the name looks personal. Choose omit, or rules for the attributes in it, or delete this line"

Rule = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """What the manifest of a snapshot and the contract of its pipeline say."""

    output_format: str
    attributes: dict[str, dict[str, Any]]  # what was observed of each: kinds, digits, scale, element, fields
    columns: dict[str, tuple[str, str]]  # by attribute: name and type of its latest column
    fields: dict[str, dict[str, str]] | None = None  # by column: the fields with other names than their attributes
    contract: dict[str, Rule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query should measure about the column of an attribute."""

    attribute: str
    column: str
    type: str
    what: str  # time, scale, fields or text
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a query measured about an attribute."""

    values: int = 0  # that are not NULL
    least: int | str | None = None  # of times: a number of seconds or milliseconds, or a day
    most: int | str | None = None
    times: int = 0  # of texts: the number that are ISO 8601
    days: int = 0  # of these: the number that are days
    scales: dict[int, int] = field(default_factory=dict)  # by number of digits after the point: how many values
    filled: int = 0  # fields with a value, over all maps


@dataclass(frozen=True, slots=True)
class Proposal:
    path: str
    rules: tuple[Rule, ...]
    reason: str
    needs_decision: bool = False  # whether a person has to choose one of the rules, or none


def wanted(observed: Observed) -> list[Wanted]:
    """Return what queries should measure, texts last, because they are the most to read."""
    found = [each for name in observed.attributes for each in _wanted_of(name, observed)]
    return sorted(found, key=lambda each: each.what == "text")


def _wanted_of(name: str, observed: Observed) -> Iterator[Wanted]:
    seen, (column, type) = observed.attributes[name], observed.columns.get(name, ("", ""))
    kinds, numbers_are_text = _kinds(seen), observed.output_format == "csv"
    if not column or looks_personal(name) or _is_left_out(name, name, seen, observed.contract):
        return
    if kinds == {"N"} and not seen.get("scale"):
        is_long = seen.get("digits", 0) >= LEAST_DIGITS and not seen.get("is_beyond_int64")
        if is_long and looks_like_time(name) and type == ("string" if numbers_are_text else "bigint"):
            yield Wanted(name, column, type, "time")
    elif kinds == {"N"} and not numbers_are_text and (type == "string" or type.startswith("decimal(")):
        yield Wanted(name, column, type, "scale")
    elif kinds == {"S"} and type == "string":
        yield Wanted(name, column, type, "text")
    elif kinds == {"M"} and type.startswith("struct<") and _has_many_alike(seen) and observed.fields is not None:
        renamed = observed.fields.get(column, {})
        named = {attribute: path for path, attribute in renamed.items() if "." not in path}
        fields = tuple(named.get(key, key) for key in seen["fields"])
        if not _keys_are_data(seen) and all(f"{each}:" in type for each in fields):
            yield Wanted(name, column, type, "fields", fields)


def proposals(observed: Observed, facts: dict[str, Facts]) -> list[Proposal]:
    """Return the proposals, at most as many rules as the contract may still have, and one for each path."""
    found: dict[str, Proposal] = {}
    for name, seen in observed.attributes.items():
        for each in _proposals_of(name, name, seen, observed, facts.get(name, Facts())):
            found.setdefault(each.path, each)
    left = MOST_RULES - len(observed.contract)
    rules = [each.path for each in found.values() if not each.needs_decision]
    return [each for each in found.values() if each.path not in rules[max(left, 0) :]]


def _proposals_of(
    path: str, name: str, seen: dict[str, Any], observed: Observed, measured: Facts
) -> Iterator[Proposal]:
    """Yield the proposals for an attribute, and for those in it. Its name is the end of its path."""
    if name == "" or ANY in name.split(".") or _is_hidden(path, observed.contract):
        return
    if not _is_left_out(path, name, seen, observed.contract):
        if looks_personal(name):
            is_map = "M" in _kinds(_innermost(seen))
            choices = ({"omit": True},) if is_map else ({"hash": "sha256"}, {"omit": True})
            yield Proposal(path, choices, PERSONAL_MAP if is_map else PERSONAL, needs_decision=True)
            return
        made = _time(measured) or _scale(seen, measured) or _text(measured)
        if made:
            yield Proposal(path, (made[0],), made[1])
    yield from _proposals_inside(path, _innermost(seen), observed, measured)


def _proposals_inside(path: str, seen: dict[str, Any], observed: Observed, measured: Facts) -> Iterator[Proposal]:
    """Yield the proposals for a map, or the maps in a list, and for the attributes in it."""
    if "M" not in _kinds(seen):
        return
    why = _why_keys_are_data(seen, measured)
    if why and _is_valid(path) and not _is_ruled(path, observed.contract) and observed.output_format != "csv":
        yield Proposal(path, ({"map": True},), why)
    fields = seen.get("fields", {})
    if why or fields is None or _is_declared_as_map(path, observed.contract):
        for each in [seen.get("element") or {}] if fields is None else fields.values():
            yield from _proposals_inside(f"{path}.{ANY}", _innermost(each), observed, Facts())
    else:
        for key, each in fields.items():
            yield from _proposals_of(f"{path}.{key}", key, each, observed, Facts())


# ----------------------------------------------------------------------------------------------------------- decisions


def _time(facts: Facts) -> tuple[Rule, str] | None:
    if not isinstance(facts.least, int) or not isinstance(facts.most, int):
        return None
    for notation, per_second in UNITS.items():
        if YEAR_2000 * per_second <= facts.least <= facts.most <= YEAR_2100 * per_second:
            first, last = (datetime.fromtimestamp(each / per_second, UTC).date() for each in (facts.least, facts.most))
            return {"as": "timestamp", "from": notation}, f"{_values(facts.values)} from {first} to {last}"
    return None


def _text(facts: Facts) -> tuple[Rule, str] | None:
    if not facts.times or facts.times != facts.values:
        return None
    type, what = ("date", "a day") if facts.days == facts.values else ("timestamp", "a time in ISO 8601")
    span = f"from {facts.least} to {facts.most}"
    return {"as": type, "from": "iso8601"}, f"{_values(facts.values)}, each {what}, {span}"


def _scale(seen: dict[str, Any], facts: Facts) -> tuple[Rule, str] | None:
    total, digits = sum(facts.scales.values()), seen.get("digits", 0)
    if total < LEAST_VALUES:
        return None
    for scale in sorted(facts.scales):
        beyond = sum(values for each, values in facts.scales.items() if each > scale)
        if beyond <= max(1, min(FEW, total // FEW_OF)):
            break
    if not beyond or digits + scale > MOST_DIGITS:
        return None
    precision = 18 if digits + scale <= 15 else MOST_DIGITS
    type = "bigint" if scale == 0 and digits < 19 else f"decimal({precision},{scale})"
    more = f"more than {scale} digits after the point" if scale else "digits after the point"
    return {"as": type}, f"{count(beyond)} of {_values(total)} would not fit: {more}"


def _why_keys_are_data(seen: dict[str, Any], facts: Facts) -> str | None:
    """Return why the keys of a map are data. None if they are not, or if the type says so already."""
    keys = seen.get("fields", {})
    if keys and _keys_are_data(seen):
        return f"{count(len(keys))} keys that look like ids, dates or numbers"
    if keys and facts.values and facts.filled * SPARSE <= facts.values * len(keys):
        return f"{count(len(keys))} keys of one type. On average, a map has {facts.filled / facts.values:.1f} of them"
    return None


def _keys_are_data(seen: dict[str, Any]) -> bool:
    keys = seen.get("fields") or {}
    return len(keys) >= LEAST_KEYS and all(map(DATA_KEY.fullmatch, keys))


def _has_many_alike(seen: dict[str, Any]) -> bool:
    fields = (seen.get("fields") or {}).values()
    return len(fields) >= MANY_KEYS and len({frozenset(_kinds(each)) for each in fields}) == 1


# --------------------------------------------------------------------------------------------------------------- paths


def _is_left_out(path: str, name: str, seen: dict[str, Any], contract: dict[str, Rule]) -> bool:
    """Whether an attribute gets no rule: it has one, no values, or a name that a rule cannot have."""
    has_path = name and ANY not in name.split(".") and _is_valid(path)
    return not has_path or not _kinds(seen) or _is_ruled(path, contract)


def _is_valid(path: str) -> bool:
    return len(path) <= MOST_CHARACTERS and path.count(".") <= MOST_DOTS


def _is_ruled(path: str, contract: dict[str, Rule]) -> bool:
    return any(_is_of(rule_path, path, exactly=True) for rule_path in contract) or _is_hidden(path, contract)


def _is_declared_as_map(path: str, contract: dict[str, Rule]) -> bool:
    return any("map" in rule and _is_of(rule_path, path, exactly=True) for rule_path, rule in contract.items())


def _is_hidden(path: str, contract: dict[str, Rule]) -> bool:
    """Whether the contract omits or hashes the attribute, or one around it."""
    return any(
        ("omit" in rule or "hash" in rule) and _is_of(rule_path, path, exactly=False)
        for rule_path, rule in contract.items()
    )


def _is_of(rule_path: str, path: str, *, exactly: bool) -> bool:
    rule, found = rule_path.split("."), path.split(".")
    pairs = zip(rule, found, strict=False)
    return (len(rule) == len(found) if exactly else len(rule) <= len(found)) and all(a in (ANY, b) for a, b in pairs)


def _kinds(seen: dict[str, Any]) -> set[str]:
    return {*seen.get("kinds", ())} - {"NULL"}


def _innermost(seen: dict[str, Any]) -> dict[str, Any]:
    """Return what was observed of a list's elements, or of the attribute itself."""
    while "L" in _kinds(seen) and "M" not in _kinds(seen) and seen.get("element"):
        seen = seen["element"]
    return seen


def _values(number: int) -> str:
    return f"{count(number)} value{'' if number == 1 else 's'}"
