"""Rows as Avro encodes them, from arrays: each column, element and field is a union of null and its type."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from table_export_job.fragments import Fragment, joined_bytes, joined_in_lists, lists

NULL, VALUE = b"\0", b"\2"  # the places of both in a union, as Avro encodes them


def avro_schema(schema: pa.Schema, earlier: Any = None) -> dict[str, Any]:
    """The Avro schema of rows. Records need names, and keep those that they have in the earlier schema."""
    names = dict(record_names(earlier))
    numbers = count(len(names) + 1)

    def of(type: pa.DataType, path: str) -> Any:
        if pa.types.is_struct(type):
            name = names.get(path) or f"record_{next(numbers)}"
            members = [
                {"name": inner.name, "type": ["null", of(inner.type, f"{path}.{inner.name}")], "default": None}
                for inner in type
            ]
            return {"type": "record", "name": name, "fields": members}
        if pa.types.is_map(type):
            return {"type": "map", "values": ["null", of(type.item_type, f"{path}[]")]}
        if pa.types.is_list(type):
            return {"type": "array", "items": ["null", of(type.value_type, f"{path}[]")]}
        if pa.types.is_decimal(type):
            return {"type": "bytes", "logicalType": "decimal", "precision": type.precision, "scale": type.scale}
        if pa.types.is_timestamp(type):
            return {"type": "long", "logicalType": "timestamp-millis"}
        if pa.types.is_date(type):
            return {"type": "int", "logicalType": "date"}
        return {
            pa.string(): "string",
            pa.bool_(): "boolean",
            pa.binary(): "bytes",
            pa.int64(): "long",
            pa.float64(): "double",
        }[type]

    return of(pa.struct(list(schema)), "")


def record_names(avro: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The path and the name of each record in an Avro schema."""
    match avro:
        case list():
            for each in avro:
                yield from record_names(each, path)
        case {"type": "record", "name": name, "fields": fields}:
            yield path, name
            for field in fields:
                yield from record_names(field["type"], f"{path}.{field['name']}")
        case {"type": "map", "values": inner} | {"type": "array", "items": inner}:
            yield from record_names(inner, f"{path}[]")


def avro_rows(columns: list[pa.Array]) -> pa.Array:
    """The bytes of each row."""
    return joined_bytes(*(fragment for values in columns for fragment in union(values)))


def union(values: pa.Array) -> list[Fragment]:
    """The fragments of each value, or of null."""
    if not values.null_count:
        return [VALUE, *fragments_of(values)]
    if values.null_count == len(values):
        return [pa.repeat(NULL, len(values))]
    known = joined_bytes(VALUE, *fragments_of(values.drop_null()))
    return [pc.replace_with_mask(pa.repeat(NULL, len(values)), values.is_valid(), known)]


def fragments_of(values: pa.Array) -> list[Fragment]:
    """The fragments of values of which none is NULL."""
    type = values.type
    if pa.types.is_string(type) or pa.types.is_binary(type):
        return [varints(pc.binary_length(values).to_numpy()), values.cast(pa.binary())]
    if pa.types.is_int64(type):
        return [varints(values.to_numpy())]
    if pa.types.is_temporal(type):
        return [varints(values.view(pa.int32() if pa.types.is_date32(type) else pa.int64()).to_numpy())]
    if pa.types.is_float64(type):
        encoded = values.to_numpy().astype("<f8", copy=False).view(np.uint8).reshape(-1, 8)
        return [cut(encoded, np.ones(encoded.shape, bool))]
    if pa.types.is_boolean(type):
        return [pc.if_else(values, b"\1", b"\0")]
    if pa.types.is_decimal(type):
        content = decimals(values)
        return [varints(pc.binary_length(content).to_numpy()), content]
    if pa.types.is_struct(type):
        return [fragment for inner in values.flatten() for fragment in union(inner)]
    elements, lengths = lists(values)
    if pa.types.is_map(type):
        keys, inner = elements.flatten()
        encoded = joined_bytes(*fragments_of(keys), *union(inner))
    else:
        encoded = joined_bytes(*union(elements))
    end = pc.if_else(pa.array(lengths > 0), b"\0", b"")  # that there are no elements is an end, too
    return [varints(lengths), joined_in_lists(encoded, lengths), end]


def varints(numbers: np.ndarray) -> pa.Array:
    """Integers in as few bytes as each needs: seven bits in each, the lowest first."""
    numbers = numbers.astype(np.int64, copy=False)
    unsigned = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    width = max(1, -(-int(unsigned.max(initial=0)).bit_length() // 7))
    rest = unsigned[:, None] >> np.arange(0, 7 * width, 7, dtype=np.uint64)
    is_more = np.column_stack([rest[:, 1:] > 0, np.zeros(len(numbers), bool)])
    encoded = (rest & np.uint64(0x7F)).astype(np.uint8) | (is_more.astype(np.uint8) << 7)
    return cut(encoded, np.column_stack([np.ones(len(numbers), bool), is_more[:, :-1]]))


def decimals(values: pa.Array) -> pa.Array:
    """Unscaled numbers in as few bytes as each needs, the highest first. The first bit is the sign."""
    unscaled = np.frombuffer(values.buffers()[1], np.uint8)[16 * values.offset :][: 16 * len(values)]
    encoded = unscaled.reshape(-1, 16)[:, ::-1]
    sign = encoded[:, :1] >> 7  # 0 or 1
    repeats_sign = (encoded[:, :-1] == sign * 0xFF) & (encoded[:, 1:] >> 7 == sign)
    needless = np.logical_and.accumulate(repeats_sign, axis=1)
    return cut(encoded, np.column_stack([~needless, np.ones(len(values), bool)]))


def cut(content: np.ndarray, used: np.ndarray) -> pa.Array:
    """The used bytes of each row."""
    ends = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), len(content), [None, pa.py_buffer(ends), pa.py_buffer(content[used])])
