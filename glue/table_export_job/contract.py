"""The column contract: which attributes are omitted, named, converted or take keys as data. docs/columns.md.

`make deploy` validates the block `Columns` of tables.yaml with this module and stores it. The job reads it from there.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from table_export_job import blocks
from table_export_job.attributes import Attributes, Item, Seen, Value
from table_export_job.blocks import Problem
from table_export_job.conversions import Conversion, type_problem
from table_export_job.errors import PermanentError
from table_export_job.hashing import Hasher
from table_export_job.names import POSITION, plain_name
from table_export_job.types import TypeRules

BLOCK = "columns"  # its name in the stored object
PARTITION_KEY = "snapshot_timestamp"
ANY = "*"  # in a path: each key of a map
HASH = "sha256"
MOST_RULES = 500
MOST_CHARACTERS = 255  # of a path. An event has up to 1 MB for the counts of all attributes
MOST_DOTS = 8  # in a path. DynamoDB nests deeper, but each dot doubles the ways to read the path
NAME = re.compile(r"[a-z_][a-z0-9_]{0,127}")
FIELDS = ("omit", "hash", "map", "name", "as", "from", "strict")
TEXT_OF_ANYTHING = ("string", "json")  # the types of `as` that maps and lists fit, too
OTHER_VALUES = " (not converted)"  # after the attribute's name: the values that do not fit the type of `as`
OTHER_VALUES_COLUMN = "_not_converted"  # after the column's name

ANY_FORMAT = TypeRules()


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
    if rule.get("hash", HASH) != HASH:
        yield ("hash",), f"must be {HASH}"
    if "hash" in rule and not rule.keys() <= {"hash", "name"}:
        yield ("hash",), f"cannot be together with {_others(rule, 'hash', 'name')}"
    if "map" in rule and not rule.keys() <= {"map", "name", "hash"}:
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
    taken = _names_of_other_values(columns)
    for path, rule in columns.items():
        for name in _column_names(rule):
            if name in taken:
                yield (path, "name"), f"{name} is the column of {taken[name]}. Choose another name"
            taken.setdefault(name, path)


def given_names(columns: dict[str, dict[str, Any]]) -> dict[str, str]:
    """By name of a column that a valid block gives: the attribute."""
    names = {name: path for path, rule in columns.items() for name in _column_names(rule)}
    return _names_of_other_values(columns) | names


def _names_of_other_values(columns: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Of attributes without `name`: for those with it, they follow from it."""
    return {
        plain_name(f"{path}{OTHER_VALUES_COLUMN}", ascii_only=ascii_only): path
        for path, rule in columns.items()
        if isinstance(path, str) and "as" in rule and "name" not in rule
        for ascii_only in (True, False)  # the format decides
    }


def _column_names(rule: dict[str, Any]) -> list[str]:
    name = rule.get("name")
    if not isinstance(name, str):
        return []
    return [name, f"{name}{OTHER_VALUES_COLUMN}"] if "as" in rule else [name]


def _others(rule: dict[str, Any], *fields: str) -> str:
    return ", ".join(field for field in rule if field not in fields)


def dump(columns: dict[str, Any]) -> bytes:
    """The block as it is stored: the same rules give the same bytes."""
    return blocks.dump(BLOCK, columns, sort_keys=True)


# -------------------------------------------------------------------------------------------------------------- rules


Change = Callable[[Item, str, str], Any]  # of an item: the attribute of this name. With the path of the rule


class Level:
    """What is done with the attributes of an item, or the keys of a map."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}  # by the name of an attribute that a path ends at: the path of the rule
        self.inner: dict[str, Level] = {}

    def add(self, path: str, rule: str) -> None:
        """Add the path of a rule, or the rest of it. A dot in it separates two names, or is part of one."""
        self.ends[path] = rule
        for dot in (found.start() for found in re.finditer(r"\.", path)):
            if path[:dot] and path[dot + 1 :]:
                self.inner.setdefault(path[:dot], Level()).add(path[dot + 1 :], rule)

    def change(self, item: Item, action: Change) -> None:
        """Do something with each attribute that a path ends at."""
        for name in list(item) if ANY in self.ends else self.ends:
            if name in item:
                action(item, name, self.ends.get(name) or self.ends[ANY])
        for name, level in self.inner.items():
            for value in item.values() if name == ANY else filter(None, [item.get(name)]):
                level._change_in(value, action)

    def _change_in(self, value: Value, action: Change) -> None:
        [(kind, content)] = value.items()
        if kind == "M":
            self.change(content, action)
        elif kind == "L":
            for element in content:
                self._change_in(element, action)

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


def remove(item: Item, name: str, _path: str) -> None:
    del item[name]


def treat_keys_as_data(seen: Seen) -> None:
    """Of a map, and of maps in a list."""
    if "M" in seen.kinds:
        seen.treat_keys_as_data()
    if "L" in seen.kinds and seen.element:
        treat_keys_as_data(seen.element)


class Contract:
    """The rules of a valid block."""

    def __init__(
        self, columns: dict[str, dict[str, Any]], rules: TypeRules = ANY_FORMAT, hasher: Hasher | None = None
    ) -> None:
        self._conversions = {
            path: Conversion(rule["as"], rule.get("from"), rules) for path, rule in columns.items() if "as" in rule
        }
        self.block = columns
        self._omitted = level_of(path for path, rule in columns.items() if "omit" in rule)
        self._hashed, self._hasher = level_of(path for path, rule in columns.items() if "hash" in rule), hasher
        self.hashed_paths = sorted(path for path, rule in columns.items() if "hash" in rule)
        self._maps = level_of(path for path, rule in columns.items() if "map" in rule)
        self._strict = {path for path, rule in columns.items() if "strict" in rule}
        self.names = {path: rule["name"] for path, rule in columns.items() if "name" in rule}
        self.other_values = {other_values(path): path for path in self._conversions}

    # ------------------------------------------------------------------------------------------------------ on items

    @property
    def changes_items(self) -> bool:
        return bool(self._omitted or self._hashed or self._conversions)

    @property
    def hides_values(self) -> bool:
        """Whether the table has values that the snapshot must not have."""
        return bool(self._omitted or self._hashed)

    def apply(self, items: list[Item]) -> None:
        """Change the items to what the snapshot has of them."""
        if self._omitted:
            for item in items:
                self._omitted.change(item, remove)
        if self._hashed:
            assert self._hasher is not None
            for item in items:
                self._hashed.change(item, self._hasher.hash_attribute)
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
        return self._omitted is not None and not self._omitted.ends.keys().isdisjoint((attribute, ANY))

    def kind_of_key(self, attribute: str, kind: str) -> str:
        """The kind of values of a key attribute, which DynamoDB says is `kind`."""
        return "S" if self._hashed and not self._hashed.ends.keys().isdisjoint((attribute, ANY)) else kind

    def hashes_otherwise(self, attribute: str, seen: Seen, earlier_paths: list[str]) -> bool:
        """Whether other values of the attribute, or in it, are hashed than by a contract with these paths."""
        changed = {*earlier_paths} ^ {*self.hashed_paths}
        names = (self.other_values.get(attribute, attribute), ANY)
        if not changed.isdisjoint(names):
            return True
        can_have_maps = not seen.kinds.isdisjoint(("M", "L")) or seen.declared in TEXT_OF_ANYTHING
        return can_have_maps and any(path.startswith(f"{name}.") for path in changed for name in names)

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
        level.add(path, path)
    return level if level.ends else None


def verified(content: bytes, uri: str) -> dict[str, dict[str, Any]]:
    """The rules that were stored under this URI. Raises PermanentError if they were changed, or are not valid."""
    return blocks.verified(content, uri, "column contract", parsed)


def parsed(content: bytes) -> dict[str, dict[str, Any]]:
    """The opposite of `dump`. Raises ValueError for what no deployment of this version stores."""
    return blocks.parsed(BLOCK, content, problems)


def has_hash(columns: dict[str, dict[str, Any]]) -> bool:
    return any("hash" in rule for rule in columns.values())


NO_RULES = Contract({})
