"""The column contract: which attributes are omitted, named, converted or take keys as data. docs/columns.md.

`make deploy` validates the block `Columns` of tables.yaml with this module and stores it. The job reads it from there.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from table_export_job.attributes import Attributes, Item, Seen, Value
from table_export_job.conversions import Conversion, type_problem
from table_export_job.errors import PermanentError
from table_export_job.names import POSITION
from table_export_job.types import TypeRules

VERSION = 1
PARTITION_KEY = "snapshot_timestamp"
ANY = "*"  # in a path: each key of a map
MOST_RULES = 500
MOST_CHARACTERS = 255  # of a path. An event has up to 256 KB for the counts of all attributes
MOST_DOTS = 8  # in a path. DynamoDB nests deeper, but each dot doubles the ways to read the path
NAME = re.compile(r"[a-z_][a-z0-9_]{0,127}")
FIELDS = ("omit", "map", "name", "as", "from", "strict")
OTHER_VALUES = " (not converted)"  # after the attribute's name: the values that do not fit the type of `as`
OTHER_VALUES_COLUMN = "_not_converted"  # after the column's name

ANY_FORMAT = TypeRules()

Problem = tuple[tuple[str, ...], str]  # where in the block, and what is wrong, with the remedy


# -------------------------------------------------------------------------------------------------------- validation


def problems(columns: Any) -> Iterator[Problem]:
    """What is wrong with a block, each problem with its place."""
    if not isinstance(columns, dict):
        yield (), "must have entries in the form `attribute: {rule}`"
        return
    if len(columns) > MOST_RULES:
        yield (), f"has {len(columns)} attributes, and at most {MOST_RULES} can have rules"
    for path, rule in columns.items():
        for field, problem in _rule_problems(path, rule):
            yield (path, *field), problem
    yield from _name_problems({path: rule for path, rule in columns.items() if isinstance(rule, dict)})


def _rule_problems(path: Any, rule: Any) -> Iterator[Problem]:
    if not isinstance(path, str) or not path:
        yield (), f"{path!r} is not the name of an attribute. Put quotation marks around it"
        return
    if len(path) > MOST_CHARACTERS:
        yield (), f"a path can have at most {MOST_CHARACTERS} characters"
    if path.count(".") > MOST_DOTS:
        yield (), f"a path can have at most {MOST_DOTS} dots"
    if not isinstance(rule, dict) or not rule:
        yield (), "must have a rule, such as {omit: true}"
        return
    if unknown := [field for field in rule if field not in FIELDS]:
        yield (str(unknown[0]),), f"unknown rule. Use one of {', '.join(FIELDS)}"
        return
    for field in ("omit", "map", "strict"):
        if rule.get(field, True) is not True:
            yield (field,), "must be true. Remove it otherwise"
    if "omit" in rule and len(rule) > 1:
        yield ("omit",), f"an omitted attribute has no column. Remove {_others(rule, 'omit')}"
    if "map" in rule and not rule.keys() <= {"map", "name"}:
        yield ("map",), f"cannot be together with {_others(rule, 'map', 'name')}"
    if "name" in rule and not (isinstance(rule["name"], str) and NAME.fullmatch(rule["name"])):
        yield ("name",), f"{rule['name']} must be lowercase letters, digits and underscores, at most 128 characters"
    elif "name" in rule and (rule["name"] == PARTITION_KEY or POSITION.fullmatch(rule["name"])):
        yield ("name",), f"{rule['name']} has a meaning of its own. Choose another name"
    if "as" in rule:
        if problem := type_problem(rule["as"], rule.get("from")):
            yield problem
    else:
        yield from (((field,), "needs `as`. Add it, or remove this") for field in ("from", "strict") if field in rule)


def _name_problems(columns: dict[str, dict[str, Any]]) -> Iterator[Problem]:
    """Names that two attributes would have."""
    taken: dict[str, str] = {}
    for path, rule in columns.items():
        for name in _column_names(rule):
            if name in taken:
                yield (path, "name"), f"{name} is the column of {taken[name]}. Choose another name"
            taken.setdefault(name, path)


def _column_names(rule: dict[str, Any]) -> list[str]:
    name = rule.get("name")
    if not isinstance(name, str):
        return []
    return [name, f"{name}{OTHER_VALUES_COLUMN}"] if "as" in rule else [name]


def _others(rule: dict[str, Any], *fields: str) -> str:
    return ", ".join(field for field in rule if field not in fields)


def dump(columns: dict[str, Any]) -> bytes:
    """The block as it is stored: the same rules give the same bytes."""
    return json.dumps(
        {"version": VERSION, "columns": columns}, sort_keys=True, ensure_ascii=False, separators=(",", ":")
    ).encode()


# -------------------------------------------------------------------------------------------------------------- rules


class Level:
    """What is done with the attributes of an item, or the keys of a map."""

    def __init__(self) -> None:
        self.ends: set[str] = set()  # names of attributes that paths end at
        self.inner: dict[str, Level] = {}

    def add(self, path: str) -> None:
        """Add a path. A dot in it separates two names, or is part of one."""
        self.ends.add(path)
        for dot in (found.start() for found in re.finditer(r"\.", path)):
            if path[:dot] and path[dot + 1 :]:
                self.inner.setdefault(path[:dot], Level()).add(path[dot + 1 :])

    def remove_from(self, item: Item) -> None:
        for name in self.ends:
            item.pop(name, None)
        if ANY in self.ends:
            item.clear()
        for name, level in self.inner.items():
            for value in item.values() if name == ANY else filter(None, [item.get(name)]):
                level._remove_from_value(value)

    def _remove_from_value(self, value: Value) -> None:
        [(kind, content)] = value.items()
        if kind == "M":
            self.remove_from(content)
        elif kind == "L":
            for element in content:
                self._remove_from_value(element)

    def treat_keys_as_data(self, attributes: Attributes) -> None:
        for name, seen in attributes.items():
            if name in self.ends or ANY in self.ends:
                treat_keys_as_data(seen)
            for level in filter(None, [self.inner.get(name), self.inner.get(ANY)]):
                level._treat_inner_keys_as_data(seen)

    def _treat_inner_keys_as_data(self, seen: Seen) -> None:
        self.treat_keys_as_data(seen.fields or {})
        if seen.element and "L" in seen.kinds:
            self._treat_inner_keys_as_data(seen.element)
        elif seen.element:
            self.treat_keys_as_data({ANY: seen.element})


def treat_keys_as_data(seen: Seen) -> None:
    """Of a map, and of maps in a list."""
    if "M" in seen.kinds:
        seen.treat_keys_as_data()
    if "L" in seen.kinds and seen.element:
        treat_keys_as_data(seen.element)


class Contract:
    """The rules of a valid block."""

    def __init__(self, columns: dict[str, dict[str, Any]], rules: TypeRules = ANY_FORMAT) -> None:
        self._conversions = {
            path: Conversion(rule["as"], rule.get("from"), rules) for path, rule in columns.items() if "as" in rule
        }
        self._omitted = level_of(path for path, rule in columns.items() if "omit" in rule)
        self._maps = level_of(path for path, rule in columns.items() if "map" in rule)
        self._strict = {path for path, rule in columns.items() if "strict" in rule}
        self.names = {path: rule["name"] for path, rule in columns.items() if "name" in rule}
        self.other_values = {other_values(path): path for path in self._conversions}

    @classmethod
    def from_json(cls, content: bytes, rules: TypeRules = ANY_FORMAT) -> "Contract":
        """Raises ValueError if no deployment of this version stored this."""
        found = json.loads(content)
        if not isinstance(found, dict) or found.get("version") != VERSION:
            raise ValueError(f"it is not of version {VERSION}")
        for place, problem in problems(found.get("columns")):
            raise ValueError(": ".join([".".join(place), problem]))
        return cls(found["columns"], rules)

    # ------------------------------------------------------------------------------------------------------ on items

    @property
    def changes_items(self) -> bool:
        return bool(self._omitted or self._conversions)

    @property
    def hides_values(self) -> bool:
        """Whether the table has values that the snapshot must not have."""
        return bool(self._omitted)

    def apply(self, items: list[Item]) -> None:
        """Change the items to what the snapshot has of them."""
        if self._omitted:
            for item in items:
                self._omitted.remove_from(item)
        for name, conversion in self._conversions.items():
            other = other_values(name)
            for item in items:
                if name in item and (converted := conversion.convert(item[name])):
                    item[name] = converted
                elif name in item:
                    if other in item:
                        raise PermanentError(f"An item has an attribute {other}. Rename it, or remove `as` of {name}.")
                    item[other] = item.pop(name)

    def apply_to_lines(self, lines: bytes) -> bytes:
        """The same for lines of a staged file."""
        items = [orjson.loads(line)["Item"] for line in lines.splitlines()]
        self.apply(items)
        return b"".join(orjson.dumps({"Item": item}, option=orjson.OPT_APPEND_NEWLINE) for item in items)

    # ------------------------------------------------------------------------------------------------ on the columns

    def omits(self, attribute: str) -> bool:
        return self._omitted is not None and not self._omitted.ends.isdisjoint((attribute, ANY))

    @property
    def wanted_names(self) -> dict[str, str]:
        """By attribute: the name from which the name of its column is made."""
        others = {
            other: f"{self.names.get(name, name)}{OTHER_VALUES_COLUMN}" for other, name in self.other_values.items()
        }
        return self.names | others

    def without_converted(self, attributes: Attributes) -> Attributes:
        """The attributes without what was observed of converted values, which says nothing about the table's own."""
        return {name: Seen() if name in self._conversions else seen for name, seen in attributes.items()}

    def declare(self, attributes: Attributes) -> None:
        """Add to what is known of the attributes what the contract declares."""
        for name, conversion in self._conversions.items():
            if name in attributes:
                attributes[name].declared = conversion.type
        if self._maps:
            self._maps.treat_keys_as_data(attributes)

    # -------------------------------------------------------------------------------------------------- on the result

    def ensure_strict(self, not_converted: dict[str, int]) -> None:
        """Raises PermanentError if values of a strict attribute do not fit its type."""
        if unfit := {name: count for name, count in not_converted.items() if name in self._strict}:
            listed = ", ".join(f"{name} ({count})" for name, count in unfit.items())
            raise PermanentError(
                f"Values do not fit the type that Columns declares with strict: {listed}. Nothing was published. "
                "Correct the items, or change or remove the rule, and export again."
            )


def other_values(attribute: str) -> str:
    """The attribute of the values that do not fit."""
    return f"{attribute}{OTHER_VALUES}"


def level_of(paths: Iterator[str]) -> Level | None:
    level = Level()
    for path in paths:
        level.add(path)
    return level if level.ends else None


def verified(content: bytes, uri: str, rules: TypeRules = ANY_FORMAT) -> Contract:
    """The contract that was stored under this URI. Raises PermanentError if it is another one, or is not valid."""
    if hashlib.sha256(content).hexdigest() != uri.rpartition("/")[2].removesuffix(".json"):
        raise PermanentError(f"{uri} was changed: its SHA-256 is not its name. Delete it and deploy the table again.")
    try:
        return Contract.from_json(content, rules)
    except ValueError as error:
        raise PermanentError(f"{uri} is not a valid column contract ({error}). Deploy the table again.") from error


NO_RULES = Contract({})
