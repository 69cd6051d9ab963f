"""The fast path over staged lines: Arrow reads them, which is much faster than to make Python objects of items."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cached_property

import orjson
import pyarrow as pa
import pyarrow.json

from table_export_job.attributes import Attributes, Seen, observe
from table_export_job.columns import SnapshotColumn, arrow_schema
from table_export_job.staging import items_of
from table_export_job.types import ColumnType, TypeRules, column_type, value_type

BATCH_CELLS = 4_000_000  # rows times columns
FIRST_ITEMS = 500  # that are observed as Python objects before Arrow tries again


class ParsedLines:
    """Lines of items: an array for each attribute that Arrow has read, and the items themselves."""

    def __init__(self, lines: bytes, arrays: dict[str, pa.StructArray]) -> None:
        self._lines, self.arrays = lines, arrays

    def __len__(self) -> int:
        return self._lines.count(b"\n")

    @cached_property
    def items(self) -> list[dict]:
        """As Python objects, which takes most of the time if it is needed."""
        return items_of(self._lines)


class LineParser:
    """Reads lines of items whose attributes have these types."""

    def __init__(self, types: Mapping[str, ColumnType], attributes: Attributes) -> None:
        self._readable = {name: each for name, each in types.items() if each.line_type}
        self.unreadable = types.keys() - self._readable.keys()
        members = [(name, self._tagged(each, attributes[name])) for name, each in self._readable.items()]
        schema = pa.schema([("Item", pa.struct(members))])
        self._parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
        self._parsing_some = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")

    @staticmethod
    def _tagged(type: ColumnType, seen: Seen) -> pa.DataType:
        """The type of the values. Arrow spends time on each field of each item, so NULL is one only if it is needed."""
        null = [("NULL", pa.bool_())] if "NULL" in seen.kinds or seen.declared else []
        return pa.struct([(type.kind, type.line_type), *null])

    def parse(self, lines: bytes) -> ParsedLines:
        """Raises ArrowInvalid if the lines contain something else, unless Arrow cannot read some of the attributes."""
        return ParsedLines(lines, self._read(lines, self._parsing_some if self.unreadable else self._parsing))

    def parse_strictly(self, lines: bytes) -> ParsedLines:
        """Raises ArrowInvalid if the lines contain something else, except in attributes that Arrow cannot read."""
        if not self.unreadable:
            return self.parse(lines)
        parsed = ParsedLines(lines, {})
        rest = [{name: item[name] for name in item if name not in self.unreadable} for item in parsed.items]
        parsed.arrays = self._read(lines_of(rest), self._parsing)
        return parsed

    def _read(self, lines: bytes, parsing: pyarrow.json.ParseOptions) -> dict[str, pa.StructArray]:
        reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines))
        table = pyarrow.json.read_json(pa.py_buffer(lines), reading, parsing)
        return dict(zip(self._readable, table["Item"].combine_chunks().flatten(), strict=True))


class LineObserver:
    """Observes the attributes of staged lines, beyond those that are known. Arrow reads what contains nothing new."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self._added: set[str] = set()
        self._prepare()

    def _prepare(self) -> None:
        types = {name: value_type(seen, TypeRules()) for name, seen in self.attributes.items()}
        self._kinds = {name: each.kind for name, each in types.items()}
        self._parser = LineParser(types, self.attributes)

    def observe(self, lines: bytes) -> ParsedLines:
        """Add what the lines contain to the attributes. Returns the lines as they were read for it."""
        parsed = self._parse(lines)
        for name, values in parsed.arrays.items():
            if not self.attributes[name].covers_array(values, self._kinds[name]):
                seen = deepcopy(self.attributes[name])
                seen.add_array(values, self._kinds[name])
                self._add({name: seen})
        if self._parser.unreadable:
            found: Attributes = {}
            observe([{n: item[n] for n in item.keys() & self._parser.unreadable} for item in parsed.items], found)
            self._add(found)
        return parsed

    def take_added(self) -> set[str]:
        """The attributes of which something new was observed since the last call."""
        added, self._added = self._added, set()
        return added

    def _parse(self, lines: bytes) -> ParsedLines:
        """The lines as Arrow reads them: as soon as enough of their items were observed as Python objects."""
        start, size = 0, FIRST_ITEMS
        while True:
            try:
                return self._parser.parse_strictly(lines)
            except pa.ArrowInvalid:  # something new, or something invalid
                some = lines.splitlines(keepends=True)[start : start + size]
                if not some:
                    raise
            found: Attributes = {}
            observe(items_of(b"".join(some)), found)
            self._add(found)
            self._prepare()
            start, size = start + size, 2 * size

    def _add(self, found: Attributes) -> None:
        for name, seen in found.items():
            if name not in self.attributes or not self.attributes[name].covers(seen):
                self.attributes[name] = self.attributes.get(name, Seen()).merge(seen)
                self._added.add(name)


def observe_lines(parts: Iterable[bytes], attributes: Attributes) -> Attributes:
    """Add what staged lines contain to `attributes`, and return them."""
    observer = LineObserver(attributes)
    for lines in parts:
        for some in batches(lines, len(observer.attributes)):
            observer.observe(some)
    return observer.attributes


def batches(lines: bytes, columns: int) -> Iterator[bytes]:
    """The lines in parts with a bounded number of cells, as a table may have thousands of columns."""
    size = max(1, BATCH_CELLS // (columns or 1))
    if lines.count(b"\n") <= size:
        yield lines
        return
    each = lines.splitlines(keepends=True)
    yield from (b"".join(each[start : start + size]) for start in range(0, len(each), size))


def lines_of(items: list[dict]) -> bytes:
    return b"".join(orjson.dumps({"Item": item}, option=orjson.OPT_APPEND_NEWLINE) for item in items)


class RowConverter:
    """Converts staged lines to rows of the snapshot table. A column that no longer fits its attribute stays empty."""

    def __init__(self, columns: list[SnapshotColumn], attributes: Attributes, rules: TypeRules) -> None:
        current = {column.attribute: column for column in columns}
        self._sources = [column.attribute if current[column.attribute] is column else None for column in columns]
        self.schema = arrow_schema(columns)
        known = {name: column.known_type(attributes[name], rules) for name, column in current.items()}
        self._types = {name: column_type(seen, rules, known[name]) for name, seen in attributes.items()}
        self._parser = LineParser(self._types, attributes)

    def convert(self, lines: bytes) -> list[pa.RecordBatch]:
        return [self.rows(self._parser.parse(some)) for some in batches(lines, len(self._types))]

    def rows(self, parsed: ParsedLines) -> pa.RecordBatch:
        """The rows of lines, in which Arrow has read all attributes that it can read as the type of their column."""
        made = {}
        for name, each in self._types.items():
            if each.line_type:
                made[name] = each.read_tagged(parsed.arrays[name])
            else:
                made[name] = each.build([item.get(name) for item in parsed.items])
        arrays = [
            pa.nulls(len(parsed), column.type) if attribute is None else made[attribute]
            for attribute, column in zip(self._sources, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
