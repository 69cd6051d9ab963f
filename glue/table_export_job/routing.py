"""Which entity an item belongs to: of items, and of staged lines, which Arrow separates without an object each."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from table_export_job.attributes import Item
from table_export_job.entities import (
    MAX_ENTITIES,
    REST,
    attribute_of,
    attributes_of,
    placeholders_of,
    regular_expression,
)
from table_export_job.errors import PermanentError
from table_export_job.fragments import content, joined_bytes
from table_export_job.json_text import ESCAPES, escaped

LINE_START = b'{"Item":{'
VALUE = pa.struct([("S", pa.string()), ("N", pa.string())])  # what a type depends on. Values of other kinds are skipped

Value = str | None  # of a type: None for the rest


class When:
    """The patterns of one type."""

    def __init__(self, patterns: dict[str, str]) -> None:
        # RE2 takes linear time for every pattern. Python's re may take exponential time for `{a}-{b}-{c}!`
        self._expressions = {name: rf"\A(?:{regular_expression(pattern)})\z" for name, pattern in patterns.items()}
        self._names = {attribute: placeholders_of(pattern) for attribute, pattern in patterns.items()}
        self.placeholders = [name for names in self._names.values() for name in names]

    def texts_of(self, items: list[Item]) -> dict[str, pa.Array]:
        """What the patterns apply to, of items that Python has read."""
        return {
            attribute: pa.array([item.get(attribute, {}).get("S") for item in items], pa.string())
            for attribute in self._expressions
        }

    def matches(self, texts: dict[str, pa.Array]) -> np.ndarray:
        """Which items match all patterns."""
        masks = [pc.match_substring_regex(texts[name], each) for name, each in self._expressions.items()]
        return np.logical_and.reduce([pc.fill_null(mask, False).to_numpy(zero_copy_only=False) for mask in masks])

    def extract(self, texts: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """The values of the placeholders of items that match."""
        found = {}
        for attribute, names in self._names.items():
            if names:
                values = pc.extract_regex(texts[attribute], self._expressions[attribute])
                found |= dict(zip(names, values.flatten(), strict=True))
        return found


class Router:
    """The rules of a valid block Entities."""

    def __init__(self, block: dict[str, Any]) -> None:
        self.block, types, by = block, block.get("types", {}), block.get("by")
        self._key, self._before = (by["key"], by["before"]) if isinstance(by, dict) else (by, None)
        self._whens = {value: When(each["when"]) for value, each in types.items() if "when" in each}
        self.attributes = attributes_of(block)
        self.omitted = {value for value, each in types.items() if "omit" in each}
        self.names = {value: each["name"] for value, each in types.items() if "name" in each}
        self.rest: str = block.get("rest", REST)
        self.wide: bool = block.get("wide", False)
        self.max_entities: int = block.get("max_entities", MAX_ENTITIES)
        self._added = [attribute_of(name) for when in self._whens.values() for name in when.placeholders]
        self._added = list(dict.fromkeys(self._added))
        members = dict.fromkeys(self.attributes, VALUE) | {name: pa.struct([]) for name in self._added}
        schema = pa.schema([("Item", pa.struct(list(members.items())))])
        self._parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")

    def __reduce__(self) -> tuple[type["Router"], tuple[dict[str, Any]]]:
        return Router, (self.block,)

    @property
    def given_names(self) -> dict[Value, str]:
        """The names that the block gives, by value."""
        return {None: self.rest, **self.names}

    def placeholders(self, value: Value) -> list[str]:
        return self._whens[value].placeholders if value in self._whens else []

    # --------------------------------------------------------------------------------------------------------- of items

    def type_of(self, item: Item) -> Value:
        return self.types_of([item])[0]

    def types_of(self, items: list[Item]) -> list[Value]:
        """The type of each item."""
        values: list[Value] = [self._discriminator(item) for item in items]
        undecided = [place for place, value in enumerate(values) if not value]
        for value, when in self._whens.items():
            matching = when.matches(when.texts_of([items[place] for place in undecided]))
            for place in np.compress(matching, undecided):
                values[place] = value
            undecided = [place for place in undecided if not values[place]]
        return [value or None for value in values]

    def _discriminator(self, item: Item) -> str | None:
        found = item.get(self._key, {}) if self._key else {}
        if self._before:
            return found.get("S", "").partition(self._before)[0]
        return found.get("S") or found.get("N")

    def with_placeholders(self, items: list[Item], value: Value) -> list[Item]:
        """The items of a type, with an attribute for each placeholder."""
        if not self.placeholders(value):
            return items
        when = self._whens[value]
        texts = when.texts_of(items)
        found = {attribute_of(name): each.to_pylist() for name, each in when.extract(texts).items()}
        result = []
        for place, matches in enumerate(when.matches(texts)):
            added = {name: {"S": each[place]} for name, each in found.items()} if matches else {}
            for attribute in added.keys() & items[place].keys():
                raise name_taken(attribute)
            result.append(added | items[place])
        return result

    # --------------------------------------------------------------------------------------------------- of all lines

    def split(self, lines: bytes, *, placeholders: bool = True) -> dict[Value, bytes]:
        """Staged lines by the type of their items, each in the order of the lines, with what placeholders add."""
        if not lines:
            return {}
        try:
            return self._split(lines, placeholders)
        except pa.ArrowInvalid:  # Python decides whether the lines are valid
            return self._split_items(lines, placeholders)

    def without_omitted(self, lines: bytes) -> bytes:
        """The lines as they are staged, without those of omitted types."""
        if not self.omitted:
            return lines
        parts = self.split(lines, placeholders=False)
        return b"".join(part for value, part in parts.items() if value not in self.omitted)

    def _split_items(self, lines: bytes, placeholders: bool = True) -> dict[Value, bytes]:
        items = [orjson.loads(line)["Item"] for line in lines.splitlines()]
        by_type: dict[Value, list[Item]] = {}
        for item, value in zip(items, self.types_of(items), strict=True):
            by_type.setdefault(value, []).append(item)
        parts = {}
        for value, of_type in by_type.items():
            of_type = self.with_placeholders(of_type, value) if placeholders else of_type
            parts[value] = b"".join(orjson.dumps({"Item": each}, option=orjson.OPT_APPEND_NEWLINE) for each in of_type)
        return parts

    def _split(self, lines: bytes, placeholders: bool) -> dict[Value, bytes]:
        reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines))
        items = pyarrow.json.read_json(pa.py_buffer(lines), reading, self._parsing)["Item"].combine_chunks()
        each_line = array_of_lines(lines)
        if len(each_line) != len(items):
            raise pa.ArrowInvalid("there is something else than one item in each line")
        members = dict(zip([*self.attributes, *self._added], items.flatten(), strict=True))
        texts = {name: members[name].flatten()[0] for name in self.attributes}
        values, codes = self._types(members, texts)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=len(values)))
        each_line, parts = each_line.take(pa.array(order)), {}
        for value, start, end in zip(values, [0, *ends[:-1]], ends, strict=True):
            if start < end:
                part, rows = each_line[start:end], order[start:end]
                if placeholders and self.placeholders(value):
                    part = self._with_placeholders(part, value, rows, texts, members)
                parts[value] = content(part).tobytes()
        return parts

    def _types(self, members: dict[str, pa.StructArray], texts: dict[str, pa.Array]) -> tuple[list[Value], np.ndarray]:
        """The values of types, and for each item the place of its own among them."""
        values: list[Value] = [None, *self._whens]
        codes = np.zeros(len(next(iter(members.values()))), np.int64)
        if self._key:
            found = texts[self._key]
            if self._before:
                found = pc.list_element(pc.split_pattern(found, self._before, max_splits=1), 0)
            else:
                number = members[self._key].flatten()[1]
                found = pc.coalesce(pc.if_else(pc.equal(found, ""), None, found), number)
            encoded = found.dictionary_encode()
            distinct = [value or None for value in encoded.dictionary.to_pylist()]
            places = {value: place for place, value in enumerate(values)}
            for value in distinct:
                if places.setdefault(value, len(values)) == len(values):
                    values.append(value)
            of_distinct = np.array([places[value] for value in distinct] + [0])  # the last for those without any
            codes = of_distinct[pc.fill_null(encoded.indices, len(distinct)).to_numpy()]
        undecided = np.flatnonzero(codes == 0)
        for place, when in enumerate(self._whens.values(), 1):
            if len(undecided):
                matching = when.matches({name: text.take(pa.array(undecided)) for name, text in texts.items()})
                codes[undecided[matching]] = place
                undecided = undecided[~matching]
        return values, codes

    def _with_placeholders(
        self,
        lines: pa.Array,
        value: Value,
        rows: np.ndarray,
        texts: dict[str, pa.Array],
        members: dict[str, pa.StructArray],
    ) -> pa.Array:
        """The lines of a type, with the attributes in front of the others."""
        when, at = self._whens[value], pa.array(rows)
        texts = {name: text.take(at) for name, text in texts.items()}
        matching = when.matches(texts)
        if not matching.any():
            return lines
        matched = pa.array(matching)
        if not pc.all(pc.starts_with(lines.filter(matched), LINE_START)).as_py():
            raise pa.ArrowInvalid("a line starts in another way")
        start = [LINE_START]
        for name, found in when.extract(texts).items():
            if pc.any(pc.and_(members[attribute_of(name)].take(at).is_valid(), matched)).as_py():
                raise name_taken(attribute_of(name))
            text = escaped(found, ESCAPES).cast(pa.binary())
            start += [orjson.dumps(attribute_of(name)) + b':{"S":"', text, b'"},']
        # pc.binary_slice fails for a part of an array: its buffer gets a negative size
        added = joined_bytes(*start, pc.binary_replace_slice(lines, 0, len(LINE_START), b""))
        return pc.if_else(matched, added, lines)


def array_of_lines(lines: bytes) -> pa.Array:
    """The lines with their ends, which stay where they are in memory."""
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(lines)])


def name_taken(attribute: str) -> PermanentError:
    return PermanentError(f"An item has an attribute {attribute}. Rename the placeholder of this name in Entities.")
