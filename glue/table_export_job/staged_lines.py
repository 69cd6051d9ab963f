"""The fast path over staged lines: Arrow reads them, which is much faster than to make Python objects of items."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.json

from table_export_job.attributes import Attributes, observe
from table_export_job.columns import SnapshotColumn, arrow_schema
from table_export_job.staging import items_of
from table_export_job.types import ColumnType, TypeRules, column_type, line_struct, value_type

BATCH_CELLS = 4_000_000  # rows times columns


def parsing_of(types: dict[str, ColumnType]) -> pyarrow.json.ParseOptions | None:
    """How Arrow reads items of these attributes and no others. None if it cannot."""
    items = line_struct(types)
    if items is None:
        return None
    return pyarrow.json.ParseOptions(explicit_schema=pa.schema([("Item", items)]), unexpected_field_behavior="error")


def read_items(lines: bytes, parsing: pyarrow.json.ParseOptions) -> list[pa.StructArray]:
    """An array for each attribute that the parsing knows. Raises ArrowInvalid."""
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines))
    table = pyarrow.json.read_json(pa.py_buffer(lines), reading, parsing)
    return table["Item"].combine_chunks().flatten()


def observe_lines(parts: Iterable[bytes]) -> Attributes:
    """The attributes of staged lines. Arrow reads the lines that contain nothing new."""
    attributes: Attributes = {}
    types, parsing = {}, None
    for lines in parts:
        try:
            found = read_items(lines, parsing) if parsing else None
        except pa.ArrowInvalid:  # something new, or something invalid
            found = None
        if found is None:
            observe(items_of(lines), attributes)
            types = {name: value_type(seen, TypeRules()) for name, seen in attributes.items()}
            parsing = parsing_of(types)
        else:
            for (name, known), values in zip(types.items(), found, strict=True):
                attributes[name].add_array(values, known.kind)
    return attributes


class RowConverter:
    """Converts staged lines to rows of the snapshot table. A column that no longer fits its attribute stays empty."""

    def __init__(self, columns: list[SnapshotColumn], attributes: Attributes, rules: TypeRules) -> None:
        current = {column.attribute: column for column in columns}
        self._sources = [column.attribute if current[column.attribute] is column else None for column in columns]
        self.schema = arrow_schema(columns)
        self._types = {name: column_type(seen, rules) for name, seen in attributes.items()}
        self._read_by_arrow = {name: each for name, each in self._types.items() if each.line_type}
        self._made_of_items = {name: each for name, each in self._types.items() if not each.line_type}
        self._parsing = parsing_of(self._read_by_arrow)
        if self._made_of_items:
            self._parsing.unexpected_field_behavior = "ignore"

    def convert(self, lines: bytes) -> list[pa.RecordBatch]:
        """The rows in batches with a bounded number of cells, as a table may have thousands of columns."""
        size = max(1, BATCH_CELLS // (len(self._types) or 1))
        if lines.count(b"\n") <= size:
            return [self._batch(lines)]
        each = lines.splitlines(keepends=True)
        return [self._batch(b"".join(each[start : start + size])) for start in range(0, len(each), size)]

    def _batch(self, lines: bytes) -> pa.RecordBatch:
        found = dict(zip(self._read_by_arrow, read_items(lines, self._parsing), strict=True))
        made = {name: self._read_by_arrow[name].read_tagged(values) for name, values in found.items()}
        if self._made_of_items:
            items = items_of(lines)
            made |= {name: each.build([item.get(name) for item in items]) for name, each in self._made_of_items.items()}
        arrays = [
            pa.nulls(lines.count(b"\n"), column.type) if attribute is None else made[attribute]
            for attribute, column in zip(self._sources, self.schema, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
