"""JSON text of arrays: of columns, and of what Arrow reads of staged lines."""

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from table_export_job.fragments import Fragment, content, joined, joined_in_lists, joined_without_nulls, lists

PLAIN_PLACES = 6  # Arrow writes decimals with more places as 1E-7

CONTROLS = {chr(code): f"\\u{code:04x}" for code in range(32)}
SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
ESCAPES = {"\\": "\\\\", '"': '\\"'} | CONTROLS | SHORT


def json_text(values: pa.Array) -> list[Fragment]:
    """The fragments of each value's JSON. At least one of them is NULL for a value that is NULL."""
    type = values.type
    if pa.types.is_string(type):
        return ['"', escaped(values, ESCAPES), '"']
    if pa.types.is_boolean(type):
        return [pc.if_else(values, "true", "false")]
    if pa.types.is_int64(type) or pa.types.is_float64(type):
        return [values.cast(pa.string())]
    if pa.types.is_temporal(type):  # as Hive's and OpenX's SerDe read it: 2026-11-23 02:00:07.000
        return ['"', values.cast(pa.string()), '"']
    if pa.types.is_decimal(type):
        return [plain(values)]
    if pa.types.is_struct(type):
        return [json_objects(values)]
    if pa.types.is_map(type):
        elements, lengths = lists(values)
        keys, inner = elements.flatten()
        return [in_brackets("{}", [*json_text(keys), ":", *with_null(inner)], values, lengths)]
    if pa.types.is_list(type):
        elements, lengths = lists(values)
        return [in_brackets("[]", with_null(elements), values, lengths)]
    raise TypeError(f"{type} cannot be written as JSON")


def with_null(values: pa.Array) -> list[Fragment]:
    """The same, with `null` for a value that is NULL."""
    fragments = json_text(values)
    return [pc.fill_null(joined(*fragments), "null")] if values.null_count else fragments


def json_objects(values: pa.StructArray) -> pa.Array:
    fragments = []
    for number, (field, inner) in enumerate(zip(values.type, values.flatten(), strict=True)):
        fragments += [f"{',' if number else '{'}{json_string(field.name)}:", *with_null(inner)]
    return present(joined(*fragments, "}"), values)


def line_json_text(contents: pa.Array, kind: str) -> list[Fragment]:
    """The same for contents of DynamoDB's values. Numbers keep their digits, and maps have no missing fields."""
    if kind in ("S", "B", "BOOL"):
        return json_text(contents)
    if kind == "N":
        return [contents]
    if kind == "M":
        return [line_json_objects(contents)]
    elements, lengths = lists(contents)
    inner = [tagged_json(elements)] if kind == "L" else line_json_text(elements, kind[0])
    return [in_brackets("[]", inner, contents, lengths)]


def line_json_objects(contents: pa.StructArray) -> pa.Array:
    found = {field.name: values for field, values in zip(contents.type, contents.flatten(), strict=True)}
    fields = [joined(f",{json_string(name)}:", tagged_json(found[name])) for name in sorted(found)]
    return present(joined(without_first_comma("{", fields), "}"), contents)


def tagged_json(values: pa.StructArray) -> pa.Array:
    """The JSON of values that are tagged with the one kind that they have. NULL for values that are missing."""
    texts = joined(*line_json_text(values.flatten()[0], values.type[0].name))
    return present(pc.fill_null(texts, "null"), values)


def without_first_comma(opening: str, fields: list[pa.Array]) -> pa.Array:
    """The fields that are not NULL, each of which begins with a comma. What opens them takes the place of the first."""
    return pc.binary_replace_slice(joined_without_nulls(*fields), start=0, stop=1, replacement=opening)


def in_brackets(brackets: str, elements: list[Fragment], values: pa.Array, lengths: np.ndarray) -> pa.Array:
    """For each list or map, its elements with commas between them."""
    comma_before = np.ones(lengths.sum(), bool)
    comma_before[(np.cumsum(lengths) - lengths)[lengths > 0]] = False
    inner = joined_in_lists(joined(pc.if_else(pa.array(comma_before), ",", ""), *elements), lengths)
    return present(joined(brackets[0], inner, brackets[1]), values)


def present(texts: pa.Array, values: pa.Array) -> pa.Array:
    """The texts, NULL where the value is."""
    return pc.if_else(values.is_valid(), texts, None) if values.null_count else texts


def escaped(texts: pa.Array, escapes: dict[str, str]) -> pa.Array:
    """The texts with these ASCII characters replaced. What others are replaced with must not contain a later one."""
    found = content(texts)
    lowest = found.min(initial=255)
    for character, escape in escapes.items():
        if ord(character) >= lowest and (found == ord(character)).any():
            texts = pc.replace_substring(texts, character, escape)
    return texts


def plain(decimals: pa.Array) -> pa.Array:
    """Decimals with all their places."""
    texts = decimals.cast(pa.string())
    if decimals.type.scale > PLAIN_PLACES:
        short = pc.match_substring(texts, "E")
        written = [format(value.as_py(), "f") for value in decimals.filter(short)]
        texts = pc.replace_with_mask(texts, pc.fill_null(short, False), pa.array(written, pa.string()))
    return texts


def json_string(text: str) -> str:
    return orjson.dumps(text).decode()
