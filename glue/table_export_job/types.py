"""The rules of docs/schema.md: from what is known of an attribute to the type and the values of its column.

The only translation between Hive and Arrow types is here, too.
"""

import base64
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from table_export_job.attributes import DIGITS, EXACT, Attributes, Item, Seen, Value
from table_export_job.fragments import joined
from table_export_job.json_text import line_json_text, plain
from table_export_job.names import column_names

TYPE_BYTES = 100_000  # the catalog accepts column types of 131,072 bytes


class TypeRules(NamedTuple):
    """What a format requires of types and names. Without these requirements, a format can hold every type and name."""

    text_only: bool = False  # all columns are text
    binary_as_text: bool = False  # binary values are text, in base64
    ascii_names: bool = False  # names are ASCII and do not start with a digit
    whole_seconds_before_1970: bool = False  # the writer cannot write fractions of them that readers accept


SAME_NAMES: dict[str, str] = {}  # of fields that all have the names of their attributes


class ColumnType(NamedTuple):
    """A type, and how to make arrays of it: from the values of items, or, much faster, from lines that Arrow has read.

    Both give the same arrays. Arrow cannot read maps whose keys are data, nor attributes of several kinds.
    """

    arrow: pa.DataType
    kind: str | None  # of the values in such a column, all others are NULL; None if it holds values of any kind
    make: Callable[[list[Any]], pa.Array]  # from the contents of values, None for NULL
    line_type: pa.DataType | None = None  # the type as which Arrow reads the content of a value; None if it cannot
    read: Callable[[pa.Array], pa.Array] = lambda found: found  # from such contents
    fields: dict[str, str] = SAME_NAMES  # those with other names than their attributes: {"ship_to.zip_2": "zip"}

    def build(self, values: list[Value | None]) -> pa.Array:
        return self.make(contents(values, self.kind) if self.kind else values)

    @property
    def tagged_line_type(self) -> pa.DataType | None:
        return pa.struct([(self.kind, self.line_type), ("NULL", pa.bool_())]) if self.line_type else None

    def read_tagged(self, values: pa.StructArray) -> pa.Array:
        return self.read(values.flatten()[0])


class KnownType(NamedTuple):
    """The type that a column, an element or a field has in earlier snapshots."""

    type: pa.DataType
    attributes: dict[str, str]  # of the column's fields, by path: as ColumnType.fields
    path: str = ""  # of this element or field

    @property
    def element(self) -> "KnownType | None":
        """The type of the elements of a list, or of the values of a map."""
        if pa.types.is_list(self.type):
            return self._replace(type=self.type.value_type)
        return self._replace(type=self.type.item_type) if pa.types.is_map(self.type) else None

    @property
    def fields(self) -> dict[str, tuple[str, "KnownType"]]:
        """By name: the attribute and the type of each field of a struct."""
        members = list(self.type) if pa.types.is_struct(self.type) else []
        return {
            member.name: (
                self.attributes.get(f"{self.path}{member.name}", member.name),
                KnownType(member.type, self.attributes, f"{self.path}{member.name}."),
            )
            for member in members
        }


# ------------------------------------------------------------------------------------------------------- the rules


def column_type(seen: Seen, rules: TypeRules, known: KnownType | None = None) -> ColumnType:
    """The type of a column: text in a text-only format, and where the catalog cannot hold the type."""
    if seen.declared:
        return declared_type(seen.declared, rules)
    if rules.text_only:
        kinds = seen.kinds - {"NULL"} or {"S"}
        return text_of(*kinds) if len(kinds) == 1 and kinds <= {"S", "N", "B"} else json_text_of(seen)
    found = value_type(seen, rules, known)
    if known and is_too_long(found.arrow):
        found = value_type(seen, rules)  # without the fields that are no longer filled
    return TEXT if is_too_long(found.arrow) else found


def value_type(seen: Seen, rules: TypeRules, known: KnownType | None = None) -> ColumnType:
    """The type of an attribute, of an element or of a field. If it can, it is the known type with additional fields."""
    if known:
        found = needed_type(seen, rules, known)
        if is_extended(known.type, found.arrow):
            return found
    return needed_type(seen, rules, None)


def is_extended(type: pa.DataType, by: pa.DataType) -> bool:
    """Whether `by` is the same type, or has additional fields at the end of structs. Engines read both alike."""
    if pa.types.is_struct(type) and pa.types.is_struct(by):
        pairs = list(zip(type, by, strict=False))
        return len(pairs) == len(list(type)) and all(
            one.name == other.name and is_extended(one.type, other.type) for one, other in pairs
        )
    if pa.types.is_map(type) and pa.types.is_map(by):
        return is_extended(type.item_type, by.item_type)
    if pa.types.is_list(type) and pa.types.is_list(by):
        return is_extended(type.value_type, by.value_type)
    return type == by


def is_too_long(type: pa.DataType) -> bool:
    return len(hive_type_of_arrow(type).encode()) > TYPE_BYTES


def needed_type(seen: Seen, rules: TypeRules, known: KnownType | None) -> ColumnType:
    """The type for these values, whatever is known of it. Structs have the fields of the known type.

    - S is string, BOOL boolean, B binary.
    - N is bigint if all values are integers of 64 bits. Otherwise decimal(38, s), with as many digits after the point
      as the values need. Otherwise, if 38 digits cannot hold all values, string: a double would round silently.
    - L is array, and so are SS, NS and BS. M is struct of all its fields.
    - M with more than 100 distinct keys, or with none, is map<string, ...>: its keys are data.
    - NULL leaves the type to the other values. Nothing but NULL is string.
    - Several of these kinds in one attribute are string: scalars as their text, the rest as JSON. No value is lost.
    - Binary values are text, in base64, in a format that has no binary type.
    """
    if seen.declared:
        return declared_type(seen.declared, rules)
    kinds = seen.kinds - {"NULL"} or {"S"}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind == "S" or (kind == "B" and rules.binary_as_text):
        return text_of(kind)
    if kind == "BOOL":
        return ColumnType(pa.bool_(), kind, lambda flags: pa.array(flags, pa.bool_()), pa.bool_())
    if kind == "B":
        return ColumnType(pa.binary(), kind, binary, pa.string(), lambda texts: binary(texts.to_pylist()))
    if kind == "N" and seen.scale == 0 and not seen.is_beyond_int64:
        return number_of(pa.int64())
    if kind == "N" and seen.digits + seen.scale <= DIGITS:
        return number_of(pa.decimal128(DIGITS, seen.scale))
    if kind == "N":
        return text_of(kind)
    if kind == "M" and seen.fields:
        return struct_of(seen.fields, rules, known.fields if known else {})
    if kind in ("L", "SS", "NS", "BS"):
        return array_of(kind, value_type(seen.element or Seen(), rules, known and known.element))
    if kind == "M":
        element = value_type(seen.element or Seen(), rules, known and known.element)
        map_type = pa.map_(pa.string(), element.arrow)
        return ColumnType(map_type, kind, lambda found: maps(found, element), fields=element.fields)
    return TEXT


def declared_type(declared: str, rules: TypeRules) -> ColumnType:
    """The type that a column contract declares. Values have been converted to its kind: conversions.py."""
    if declared in ("string", "json"):
        return text_of("S")
    type, kind = arrow_type_of_hive(declared), "BOOL" if declared == "boolean" else "N"
    line_type = pa.bool_() if kind == "BOOL" else pa.string()

    def read(found: pa.Array) -> pa.Array:
        if pa.types.is_temporal(type):
            found = found.cast(pa.int32() if pa.types.is_date32(type) else pa.int64())
        found = found.cast(type)
        if not rules.text_only:
            return found
        return plain(found) if pa.types.is_decimal(type) else found.cast(pa.string())

    column = pa.string() if rules.text_only else type
    return ColumnType(column, kind, lambda values: read(pa.array(values, line_type)), line_type, read)


def text_of(kind: str) -> ColumnType:
    # DynamoDB JSON has B in base64 already.
    return ColumnType(pa.string(), kind, lambda texts: pa.array(texts, pa.string()), pa.string())


def json_text_of(seen: Seen) -> ColumnType:
    """The type of a column that has JSON text for the values of an attribute."""
    found = value_type(seen, TypeRules())
    if not found.line_type:
        return TEXT

    def make(found_contents: list[Any]) -> pa.Array:
        return pa.array([None if each is None else as_json({found.kind: each}) for each in found_contents], pa.string())

    def read(contents: pa.Array) -> pa.Array:
        return joined(*line_json_text(contents, found.kind))

    return ColumnType(pa.string(), found.kind, make, found.line_type, read)


def number_of(type: pa.DataType) -> ColumnType:
    return ColumnType(
        type,
        "N",
        lambda texts: numbers(pa.array(texts, pa.string()), type),
        pa.string(),
        lambda texts: numbers(texts, type),
    )


def array_of(kind: str, element: ColumnType) -> ColumnType:
    """The type of a list or a set. Elements of a list are tagged with their kinds, elements of a set are not."""
    is_list = kind == "L"
    make, read = (element.build, element.read_tagged) if is_list else (element.make, element.read)

    def read_all(found: pa.ListArray) -> pa.Array:
        return pa.ListArray.from_arrays(found.offsets, read(found.values), mask=found.is_null())

    inner = element.tagged_line_type if is_list else element.line_type
    line_type = pa.list_(inner) if inner else None
    array_type = pa.list_(element.arrow)
    return ColumnType(array_type, kind, lambda found: lists(found, make), line_type, read_all, element.fields)


def struct_of(attributes: Attributes, rules: TypeRules, known: dict[str, tuple[str, KnownType]]) -> ColumnType:
    """The type of a struct. The known fields come first, in their order, and the others by name.

    If values of an attribute no longer fit its field, the attribute gets another one, and nothing fills the old one.
    """
    latest = {attribute: name for name, (attribute, _) in known.items() if attribute in attributes}
    types = {
        attribute: value_type(seen, rules, known[latest[attribute]][1] if attribute in latest else None)
        for attribute, seen in attributes.items()
    }
    kept = {
        name: attribute
        for attribute, name in latest.items()
        if is_extended(known[name][1].type, types[attribute].arrow)
    }
    having = set(kept.values())
    added = [attribute for attribute in attributes if attribute not in having]
    added.sort(key=lambda attribute: attribute in latest)  # an attribute without a field comes first
    names = column_names(added, known, ascii_only=rules.ascii_names)
    filled = kept | {names[attribute]: attribute for attribute in sorted(names, key=names.__getitem__)}
    order = [*known, *(name for name in filled if name not in known)]
    members = [pa.field(name, types[filled[name]].arrow if name in filled else known[name][1].type) for name in order]
    sources = [filled.get(name) for name in order]  # None for a field that nothing fills any more
    in_lines = {attribute: types[attribute] for attribute in sources if attribute is not None}

    def struct(arrays: dict[str, pa.Array], is_null: pa.Array) -> pa.Array:
        children = [
            pa.nulls(len(is_null), member.type) if attribute is None else arrays[attribute]
            for attribute, member in zip(sources, members, strict=True)
        ]
        return pa.StructArray.from_arrays(children, fields=members, mask=is_null)

    def make(found: list[Item | None]) -> pa.Array:
        columns = in_columns(found, list(in_lines))
        return struct({name: types[name].build(values) for name, values in columns.items()}, nulls(found))

    def read(found: pa.StructArray) -> pa.Array:
        fields = dict(zip([field.name for field in found.type], found.flatten(), strict=True))
        arrays = {name: each.read_tagged(fields[name]) for name, each in in_lines.items()}
        return struct(arrays, found.is_null())

    fields: dict[str, str] = {}
    for name, attribute in zip(order, sources, strict=True):
        called = known[name][0] if attribute is None else attribute
        fields |= {name: called} if name != called else {}
        inner = types[attribute].fields if attribute is not None else {}
        fields |= {f"{name}.{path}": each for path, each in inner.items()}
    return ColumnType(pa.struct(members), "M", make, line_struct(in_lines), read, fields)


def line_struct(types: dict[str, ColumnType]) -> pa.DataType | None:
    """The type as which Arrow reads an item or a map with these attributes. None if it cannot."""
    members = {name: each.tagged_line_type for name, each in types.items()}
    return pa.struct(list(members.items())) if all(members.values()) else None


# ------------------------------------------------------------------------------------------------- Hive and Arrow


SIMPLE_TYPES = {  # of Hive, and of Arrow. Times are in UTC, and have no time zone
    "string": pa.string(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("ms"),
    "date": pa.date32(),
}


def hive_type_of_arrow(type: pa.DataType) -> str:
    if pa.types.is_struct(type):
        return f"struct<{','.join(f'{inner.name}:{hive_type_of_arrow(inner.type)}' for inner in type)}>"
    if pa.types.is_map(type):
        return f"map<string,{hive_type_of_arrow(type.item_type)}>"
    if pa.types.is_list(type):
        return f"array<{hive_type_of_arrow(type.value_type)}>"
    if pa.types.is_decimal(type):
        return f"decimal({type.precision},{type.scale})"
    return {arrow: hive for hive, arrow in SIMPLE_TYPES.items()}[type]


def arrow_type_of_hive(hive: str) -> pa.DataType:
    """The opposite of `hive_type_of_arrow`. Field names contain no characters that separate types."""
    kind, _, inner = hive.partition("<")
    parts, depth = [""], 0
    for character in inner[:-1]:
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if kind == "struct":
        named = (part.partition(":") for part in parts)
        return pa.struct([pa.field(name, arrow_type_of_hive(inner)) for name, _, inner in named])
    if kind == "map":
        return pa.map_(pa.string(), arrow_type_of_hive(parts[1]))
    if kind == "array":
        return pa.list_(arrow_type_of_hive(parts[0]))
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", hive):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return SIMPLE_TYPES[hive]


# ---------------------------------------------------------------------------------------------- values and arrays


def contents(values: list[Value | None], kind: str) -> list[Any]:
    try:
        return list(map(itemgetter(kind), values))
    except (KeyError, TypeError):  # some values are NULL or missing
        return [value.get(kind) if value else None for value in values]


def in_columns(items: list[Item | None], names: list[str]) -> dict[str, list[Value | None]]:
    columns = {name: [None] * len(items) for name in names}
    for row, item in enumerate(items):
        for name, value in (item or {}).items():
            columns[name][row] = value
    return columns


def binary(texts: list[str | None]) -> pa.Array:
    return pa.array([None if text is None else base64.b64decode(text) for text in texts], pa.binary())


def numbers(texts: pa.Array, type: pa.DataType) -> pa.Array:
    try:
        return texts.cast(type)
    except pa.ArrowInvalid:  # notations that Arrow refuses for this type, such as 1.0 or 1E+2 for an integer
        decimal = pa.types.is_decimal(type)
        make = (lambda text: Decimal(text).normalize(EXACT)) if decimal else lambda text: int(Decimal(text))
        return pa.array([None if text is None else make(text) for text in texts.to_pylist()], type)


def lists(values: list[list[Any] | None], make: Callable[[list[Any]], pa.Array]) -> pa.Array:
    elements = make(list(chain.from_iterable(value or () for value in values)))
    return pa.ListArray.from_arrays(offsets(values), elements, mask=nulls(values))


def maps(values: list[Item | None], element: ColumnType) -> pa.Array:
    keys = pa.array(chain.from_iterable(value or () for value in values), pa.string())
    elements = element.build([inner for value in values for inner in (value or {}).values()])
    return pa.MapArray.from_arrays(offsets(values), keys, elements, mask=nulls(values))


def offsets(values: list[Any]) -> pa.Array:
    return pa.array([0, *accumulate(len(value) if value else 0 for value in values)], pa.int32())


def nulls(values: list[Any]) -> pa.Array:
    return pa.array([value is None for value in values], pa.bool_())


def as_text(value: Value | None) -> str | None:
    if value is None:
        return None
    [(kind, content)] = value.items()
    if kind == "NULL":
        return None
    return content if kind in ("S", "N", "B") else as_json(value)


def as_json(value: Value) -> str:
    """Plain JSON. Numbers keep all their digits, binary values are base64, and maps have their keys in order."""
    [(kind, content)] = value.items()
    if kind == "NULL":
        return "null"
    if kind == "N":
        return content
    if kind == "NS":
        return f"[{','.join(content)}]"
    if kind == "L":
        return f"[{','.join(map(as_json, content))}]"
    if kind == "M":
        return "{" + ",".join(f"{as_json({'S': key})}:{as_json(inner)}" for key, inner in sorted(content.items())) + "}"
    return orjson.dumps(content).decode()


TEXT = ColumnType(pa.string(), None, lambda values: pa.array(map(as_text, values), pa.string()))
