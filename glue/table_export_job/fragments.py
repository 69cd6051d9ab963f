"""The bytes of rows from fragments: an array of text or bytes for each column, which Arrow joins row by row.

This makes no object for each value, which is what costs time when rows are written one after the other.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BATCH_VALUES = 4_000_000  # of columns, fields and elements together: their bytes are in memory at once

Fragment = pa.Array | str | bytes  # for each row, or the same for all rows


def joined(*fragments: Fragment) -> pa.Array:
    """The fragments of each row, one after the other. NULL if one of them is."""
    return pc.binary_join_element_wise(*fragments, "")


def joined_bytes(*fragments: Fragment) -> pa.Array:
    """The same for arrays of bytes, which Arrow does not mix with text."""
    return pc.binary_join_element_wise(*fragments, b"")


def joined_without_nulls(*fragments: Fragment, separator: str = "") -> pa.Array:
    """The same, with nothing for NULL. Arrow's `skip` is not used: it drops rows that have nothing but NULL."""
    return pc.binary_join_element_wise(*fragments, separator, null_handling="replace", null_replacement="")


def content(texts: pa.Array) -> np.ndarray:
    """The bytes of all texts, one after the other."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return np.empty(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]


def lists(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The elements of all lists or maps, and how many each has. A map's elements are structs of key and value."""
    if pa.types.is_map(values.type):
        values = values.cast(pa.list_(pa.struct([values.type.key_field, values.type.item_field])))
    return values.flatten(), pc.fill_null(pc.list_value_length(values), 0).to_numpy()


def joined_in_lists(elements: pa.Array, lengths: np.ndarray) -> pa.Array:
    """For each list, its elements one after the other. No byte is copied: they are next to each other already."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    _, offsets, data = elements.buffers()
    ends = np.frombuffer(offsets, np.int32)[elements.offset :][starts]
    return pa.Array.from_buffers(elements.type, len(lengths), [None, pa.py_buffer(ends), data])


def bounded(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows in parts that do not have too many values: most are NULL if maps lack most of many fields."""
    if len(rows) > 1 and sum(map(values_in, rows.columns)) > BATCH_VALUES:
        half = len(rows) // 2
        yield from bounded(rows.slice(0, half))
        yield from bounded(rows.slice(half))
    else:
        yield rows


def values_in(values: pa.Array) -> int:
    """How many there are, with those of fields and elements."""
    if pa.types.is_struct(values.type):
        return len(values) + sum(map(values_in, values.flatten()))
    if pa.types.is_list(values.type) or pa.types.is_map(values.type):
        return len(values) + values_in(lists(values)[0])
    return len(values)
