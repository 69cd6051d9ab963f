"""Whatever nested items successive snapshots have: columns are only extended, and every snapshot shows its values."""

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.datalake.typed_files import as_value
from table_export_job.avro_rows import avro_schema, record_names
from table_export_job.columns import SnapshotTable, arrow_schema, column_comments, snapshot_columns
from table_export_job.formats import FORMATS
from table_export_job.staged_lines import RowConverter
from table_export_job.types import arrow_type_of_hive, as_text, column_type
from table_exports.domain.catalog import is_extended
from tests.glue.made_items import ANY, AVRO, ID_TABLE, NULL, lines_of, number, seen_in

NAMES = ("a", "A", "a_2", "b c", "Zip")
scalars = st.one_of(
    st.just(NULL),
    st.sampled_from(["", "x", "7"]).map(lambda text: {"S": text}),
    st.integers(-3, 3).map(lambda value: number(str(value))),
    st.sampled_from(["0.5", "1.25", "1E+30"]).map(number),
    st.booleans().map(lambda flag: {"BOOL": flag}),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda content: {"L": content}),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(lambda content: {"M": content}),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(lambda content: {"M": content}),
        inner.map(lambda value: {"M": {f"key {n}": value for n in range(101)}}),
    ),
    max_leaves=6,
)
snapshots = st.lists(
    st.lists(st.dictionaries(st.sampled_from(("m", "M")), values, max_size=2), max_size=3), min_size=2, max_size=4
)


def saved(columns, attributes, serde_parameters):
    """The snapshot table as the next export reads it from the manifest."""
    manifest = {
        "version": 2,
        "columns": [{"name": each.name, "type": each.type, "attribute": each.attribute} for each in columns],
        "fields": {each.name: each.fields for each in columns if each.fields},
        "attributes": {name: seen.to_json() for name, seen in attributes.items()},
        "serde_parameters": serde_parameters,
    }
    return SnapshotTable.from_manifest(json.loads(json.dumps(manifest)))


def shows(found, value, kind, fields, path=""):
    """Whether a column, an element or a field of this type shows a value of an item. None if the item has none."""
    if value is None or "NULL" in value:
        return found is None
    if found is None:
        return False
    [(written, content)] = value.items()
    if pa.types.is_struct(kind):
        shown = {}
        for each in kind:
            shown.setdefault(fields.get(path + each.name, each.name), []).append((each, found[each.name]))
        return content.keys() <= shown.keys() and all(
            one_shows([(inner, each.type, f"{path}{each.name}.") for each, inner in entries], content.get(name), fields)
            for name, entries in shown.items()
        )
    if pa.types.is_list(kind):
        pairs = list(zip(found, content, strict=True))
        return all(shows(one, other, kind.value_type, fields, path) for one, other in pairs)
    if pa.types.is_map(kind):
        return found.keys() == content.keys() and all(
            shows(found[key], content[key], kind.item_type, fields, path) for key in content
        )
    if pa.types.is_string(kind):
        return found == as_text(value)
    return found == (content if written == "BOOL" else Decimal(content))


def one_shows(entries, value, fields):
    """Whether one of the fields of an attribute shows its value, and the others are NULL."""
    if value is None or "NULL" in value:
        return all(found is None for found, _, _ in entries)
    filled = [entry for entry in entries if entry[0] is not None]
    return len(filled) == 1 and shows(filled[0][0], value, filled[0][1], fields, filled[0][2])


def check(rows, items, columns):
    for row, item in zip(rows, items, strict=True):
        for attribute in {column.attribute for column in columns}:
            entries = [
                shown(row[column.name], arrow_type_of_hive(column.type), column.fields or {})
                for column in columns
                if column.attribute == attribute
            ]
            value = item.get(attribute)
            if value is None or "NULL" in value:
                assert all(found is None for found, _, _ in entries)
            else:
                [filled] = [entry for entry in entries if entry[0] is not None]
                assert shows(filled[0], value, *filled[1:]), (row, value)


def shown(found, kind, fields):
    return found, kind, fields


@pytest.mark.slow
@pytest.mark.parametrize("rules", [ANY, AVRO])
@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(content=snapshots)
def test_columns_are_only_extended_and_each_snapshot_shows_its_values(tmp_path_factory, rules, content):
    folder, table, files = tmp_path_factory.mktemp("snapshots"), SnapshotTable([], {}), []
    for number_, items in enumerate(content):
        items = [{"id": {"S": str(key)}, **item} for key, item in enumerate(items)]
        columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, table, rules)
        check_extended(table.columns, columns)
        parameters = FORMATS["avro"].serde_parameters(arrow_schema(columns), table.serde_parameters)
        check_record_names(table.serde_parameters, parameters)
        table = saved(columns, attributes, parameters)
        assert [column[:3] for column in table.columns] == [column[:3] for column in columns]
        assert column_comments(table.columns) == column_comments(columns)
        batches = RowConverter(columns, attributes, rules).convert(lines_of(items)) if items else []
        rows = pa.Table.from_batches(batches, arrow_schema(columns))
        rows.validate(full=True)
        check(rows.to_pylist(maps_as_pydicts="strict"), items, columns)
        check_made_of_items(rows, items, columns, attributes, rules)
        files.append((folder / f"{number_}.parquet", items))
        pq.write_table(rows, files[-1][0])
    for path, items in files:
        stored = pq.read_table(path).to_pylist(maps_as_pydicts="strict")
        check([in_final_columns(row, columns) for row in stored], items, columns)


def check_extended(before, after):
    """A column keeps its name and place, its type is extended at most, and its fields keep their attributes."""
    assert len(before) <= len(after)
    for one, other in zip(before, after, strict=False):
        assert (one.name, one.attribute) == (other.name, other.attribute)
        assert is_extended(one.type, other.type)
        assert one.fields.items() <= other.fields.items()


def check_record_names(before, after):
    literals = [json.loads(each["avro.schema.literal"]) for each in (before, after) if each]
    names = [dict(record_names(each)) for each in literals]
    assert names[0].items() <= names[-1].items()
    assert len(set(names[-1].values())) == len(names[-1])


def check_made_of_items(rows, items, columns, attributes, rules):
    """Arrow reads the same from lines as what is made of items."""
    for column in {column.attribute: column for column in columns}.values():
        kind = column_type(attributes[column.attribute], rules, column.known_type(attributes[column.attribute], rules))
        made = kind.build([item.get(column.attribute) for item in items])
        assert made.to_pylist() == rows[column.name].to_pylist()


def in_final_columns(row, columns):
    types = {column.name: arrow_type_of_hive(column.type) for column in columns}
    arrays = {name: pa.array([as_value(row.get(name), kind)], kind) for name, kind in types.items()}
    return pa.table(arrays).to_pylist(maps_as_pydicts="strict")[0]


def test_records_keep_their_names_in_avro_when_structs_grow():
    def named(hive, earlier=None):
        return avro_schema(pa.schema([("m", arrow_type_of_hive(hive)), ("n", pa.struct([("x", pa.int64())]))]), earlier)

    before = named("struct<a:array<struct<b:bigint>>>")
    after = named("struct<a:array<struct<b:bigint,c:struct<d:bigint>>>,e:struct<f:bigint>>", before)

    known = {"": "record_1", ".m": "record_2", ".m.a[]": "record_3", ".n": "record_4"}
    assert dict(record_names(before)) == known
    assert dict(record_names(after)) == known | {".m.a[].c": "record_5", ".m.e": "record_6"}
