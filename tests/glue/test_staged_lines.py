"""Arrow reads staged lines as they would be read item by item. No Spark, no AWS."""

import pytest

from acceptance.zoo import ZOO
from table_export_job import staged_lines
from table_export_job.columns import SnapshotTable, snapshot_columns
from table_export_job.staged_lines import RowConverter, observe_lines
from table_export_job.types import column_type
from tests.glue.made_items import ANY, CSV, ID_TABLE, JSON, NULL, lines_of, number, seen_in


@pytest.mark.parametrize("rules", [ANY, JSON, CSV])
@pytest.mark.parametrize("case", ZOO, ids=str)
def test_values_are_the_same_whether_arrow_reads_them_or_they_are_made_of_items(case, rules):
    items = list(case.keyed_items)
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], {}), rules)

    [read] = RowConverter(columns, attributes, rules).convert(lines_of(items))

    for column, values in zip(columns, read.columns, strict=True):
        made = column_type(attributes[column.attribute], rules).build([item.get(column.attribute) for item in items])
        assert values.equals(made), column


NESTED = {"z": {"L": [NULL, {"M": {'q"': {"S": "\\n\n"}}}, {"M": {}}]}, "a": NULL, "ß": {"BOOL": True}}
NESTED_AS_JSON = '{"a":null,"z":[null,{"q\\"":"\\\\n\\n"},{}],"ß":true}'
SETS = {"s": {"SS": ['"', ""]}, "n": {"NS": ["1.50", "1E+2"]}, "b": {"BS": ["AP8=", ""]}}
SETS_AS_JSON = '{"b":["AP8=",""],"n":[1.50,1E+2],"s":["\\"",""]}'


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{"M": NESTED}, NULL, {"M": {}}], [NESTED_AS_JSON, None, "{}"]),
        ([{"M": SETS}], [SETS_AS_JSON]),
        ([{"L": []}, {"L": [{"L": []}, NULL, {"L": [number("7.10")]}]}], ["[]", "[[],null,[7.10]]"]),
        ([{"M": NESTED}, {"S": "text"}], [NESTED_AS_JSON, "text"]),
    ],
)
def test_csv_has_json_whose_keys_are_in_order(values, expected):
    items = [{"id": {"S": ""}, "x": value} for value in values]
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], {}), CSV)

    [read] = RowConverter(columns, attributes, CSV).convert(lines_of(items))

    assert read["x"].to_pylist() == expected
    assert column_type(attributes["x"], CSV).build(values).to_pylist() == expected


@pytest.mark.parametrize("rules", [ANY, CSV])
def test_a_table_none_of_whose_attributes_arrow_can_read_has_rows_too(rules):
    """A table that was made anew with another type of key, say."""
    earlier = seen_in([{"id": number("7"), "x": {"BOOL": True}}])
    items = [{"id": {"S": "a"}, "x": {"S": "y"}}, {"id": {"S": "b"}}]
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], earlier), rules)

    [read] = RowConverter(columns, attributes, rules).convert(lines_of(items))

    assert read.to_pylist() == [{"id": "a", "x": "y"}, {"id": "b", "x": None}]


def test_an_attribute_without_a_name_has_its_values_too():
    items = [{"id": {"S": "1"}, "": {"S": "x"}}]
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], {}), ANY)

    assert RowConverter(columns, attributes, ANY).convert(lines_of(items))[0].to_pylist() == [{"id": "1", "_": "x"}]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_the_same_is_seen_of_lines_as_of_items(size):
    items = [item for case in ZOO if case.name != "data-for-keys" for item in case.keyed_items]
    simple = [item for item in items if not {"mixed", "either", "order", "empty_map"} & item.keys()]

    for some in (items, simple, simple * 2, simple[::-1]):
        parts = [lines_of(some[start : start + size]) for start in range(0, len(some), size)]
        assert observe_lines(parts, {}) == seen_in(some)


def test_what_was_only_null_or_empty_at_first_is_seen_when_it_comes():
    first = {"a": NULL, "l": {"L": []}, "m": {"M": {"x": NULL}}, "n": number("1"), "s": {"NS": ["1"]}}
    second = {"a": {"S": "x"}, "l": {"L": [{"S": "y"}]}, "m": {"M": {"x": {"S": "z"}}}, "n": NULL, "s": {"NS": ["2.5"]}}

    assert observe_lines([lines_of([first]), lines_of([second])], {}) == seen_in([first, second])


def test_batches_of_wide_tables_are_short(monkeypatch):
    monkeypatch.setattr(staged_lines, "BATCH_CELLS", 30)
    items = [{"id": {"S": str(row)}, f"f{row % 9}": number(str(row))} for row in range(20)]
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], {}), ANY)

    batches = RowConverter(columns, attributes, ANY).convert(lines_of(items))

    assert [len(batch) for batch in batches] == [3] * 6 + [2]
    assert [id for batch in batches for id in batch["id"].to_pylist()] == [str(row) for row in range(20)]
