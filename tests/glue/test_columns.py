"""Which column an attribute becomes, and with which values. No Spark, no AWS."""

import json
from decimal import Decimal
from itertools import permutations

import pytest
from zoo import ZOO, columns_of

from table_export_job import staged_lines
from table_export_job.attributes import MAP_KEYS, Seen, merge, observe
from table_export_job.columns import SnapshotColumn, SnapshotTable, snapshot_columns
from table_export_job.formats import FORMATS
from table_export_job.staged_lines import RowConverter, observe_lines
from table_export_job.types import (
    TypeRules,
    arrow_type_of_hive,
    column_names,
    column_type,
    hive_type_of_arrow,
    value_type,
)

ANY = TypeRules()  # of a format that can hold every type and name
AVRO, JSON, CSV = (FORMATS[name].rules for name in ("avro", "json", "csv"))
KEYED_BY_ID = {f"id-{number}": {"N": str(number)} for number in range(MAP_KEYS + 1)}
NULL = {"NULL": True}


ID_TABLE = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
}


def one_column(values, rules=ANY):
    """What makes rows of items that have these values."""
    seen = seen_in([{"id": {"S": ""}, "x": value} for value in values])
    return *snapshot_columns(seen, ID_TABLE, SnapshotTable([], {}), rules), rules


def number(text):
    return {"N": text}


def seen_in(items):
    attributes = {}
    observe(items, attributes)
    return attributes


def lines_of(items):
    return "".join(f"{json.dumps({'Item': item}, ensure_ascii=False)}\n" for item in items).encode()


def type_for(values, rules=ANY):
    return value_type(seen_in([{"x": value} for value in values])["x"], rules)


def hive_type_for(values):
    return hive_type_of_arrow(type_for(values).arrow)


@pytest.mark.parametrize(
    ("values", "column_type", "expected"),
    [
        pytest.param([{"S": "a"}, {"S": ""}], "string", ["a", ""], id="strings"),
        pytest.param([{"BOOL": True}, {"BOOL": False}], "boolean", [True, False], id="booleans"),
        pytest.param([{"B": "AP8="}], "binary", [b"\x00\xff"], id="binary values"),
        pytest.param([NULL], "string", [None], id="nothing but null"),
        pytest.param([NULL, number("1")], "bigint", [None, 1], id="null beside a number"),
        pytest.param(
            [number("9223372036854775807"), number("-9223372036854775808")],
            "bigint",
            [9223372036854775807, -9223372036854775808],
            id="the ends of 64 bits",
        ),
        pytest.param([number("1.0"), number("1E+2")], "bigint", [1, 100], id="integers in other spellings"),
        pytest.param(
            [number("9223372036854775808"), number("1")],
            "decimal(38,0)",
            [Decimal("9223372036854775808"), Decimal("1")],
            id="an integer beyond 64 bits",
        ),
        pytest.param(
            [number("99999999999999999999999999999999999999")],
            "decimal(38,0)",
            [Decimal("99999999999999999999999999999999999999")],
            id="38 digits",
        ),
        pytest.param(
            [number("4.5"), number("-0.125"), number("7")],
            "decimal(38,3)",
            [Decimal("4.5"), Decimal("-0.125"), Decimal("7")],
            id="decimals, as many places as the longest needs",
        ),
        pytest.param([number("2.50"), number("0.0")], "decimal(38,1)", [Decimal("2.5"), Decimal("0")], id="zeros"),
        pytest.param(
            [number("1E+37"), number("0.01")],
            "string",
            ["1E+37", "0.01"],
            id="no 38 digits hold both: the digits as text",
        ),
        pytest.param(
            [number("1.1" + 44 * "0"), number("12345678901234567890123456789012345678." + 8 * "0")],
            "string",
            ["1.1" + 44 * "0", "12345678901234567890123456789012345678." + 8 * "0"],
            id="zeros that say nothing, and too many digits",
        ),
        pytest.param(
            [number("1.1" + 44 * "0")], "decimal(38,1)", [Decimal("1.1")], id="zeros that say nothing, beyond 38 digits"
        ),
        pytest.param([number("1E-130")], "string", ["1E-130"], id="the smallest number"),
        pytest.param([{"SS": ["a", "b"]}], "array<string>", [["a", "b"]], id="string sets"),
        pytest.param([{"NS": ["1", "2"]}], "array<bigint>", [[1, 2]], id="number sets"),
        pytest.param(
            [{"NS": ["1", "2.5"]}], "array<decimal(38,1)>", [[Decimal("1"), Decimal("2.5")]], id="sets of decimals"
        ),
        pytest.param([{"BS": ["AA==", "/w=="]}], "array<binary>", [[b"\x00", b"\xff"]], id="binary sets"),
        pytest.param([{"L": [number("1"), NULL]}, {"L": []}], "array<bigint>", [[1, None], []], id="lists"),
        pytest.param([{"L": []}], "array<string>", [[]], id="nothing but empty lists"),
        pytest.param([{"L": [number("1"), {"S": "a"}]}], "array<string>", [["1", "a"]], id="a list of several types"),
        pytest.param(
            [{"M": {"b": number("1")}}, {"M": {"a": {"S": "x"}}}, {"M": {}}, NULL],
            "struct<a:string,b:bigint>",
            [{"a": None, "b": 1}, {"a": "x", "b": None}, {"a": None, "b": None}, None],
            id="maps, the union of their fields",
        ),
        pytest.param(
            [{"M": {"Deep": {"L": [{"M": {"x y": {"L": [{"L": [number("1")]}]}}}]}}}],
            "struct<deep:array<struct<x_y:array<array<bigint>>>>>",
            [{"deep": [{"x_y": [[1]]}]}],
            id="deep maps and lists",
        ),
        pytest.param([{"M": {}}], "map<string,string>", [{}], id="nothing but empty maps"),
        pytest.param(
            [{"M": KEYED_BY_ID}],
            "map<string,bigint>",
            [{f"id-{number}": number for number in range(MAP_KEYS + 1)}],
            id="a map with data for keys",
        ),
        pytest.param(
            [number("7.10"), {"S": "a"}, {"BOOL": True}, {"B": "AP8="}, NULL],
            "string",
            ["7.10", "a", "true", "AP8=", None],
            id="several scalar types: their text",
        ),
        pytest.param(
            [{"S": "a"}, {"M": {"k": {"L": [number("1.5"), {"S": 'é"'}, NULL, {"BOOL": False}, {"B": "AA=="}]}}}],
            "string",
            ["a", '{"k":[1.5,"é\\"",null,false,"AA=="]}'],
            id="a string and a map: plain JSON",
        ),
        pytest.param(
            [{"SS": ["a", "b"]}, {"NS": ["1", "2.5"]}], "string", ['["a","b"]', "[1,2.5]"], id="two kinds of sets: JSON"
        ),
    ],
)
def test_an_attribute_becomes_the_column_that_its_values_need(values, column_type, expected):
    found = type_for(values)

    assert hive_type_of_arrow(found.arrow) == column_type
    assert found.build([*values, None]).to_pylist(maps_as_pydicts="strict") == [*expected, None]


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("case", ZOO, ids=str)
def test_the_values_of_a_case_need_these_columns(case, output_format):
    seen = seen_in(list(case.keyed_items))

    columns, _ = snapshot_columns(seen, ID_TABLE, SnapshotTable([], {}), FORMATS[output_format].rules)

    assert {column.name: column.type for column in columns} == {"id": "string"} | columns_of(case, output_format)


@pytest.mark.parametrize("rules", [ANY, JSON, CSV])
@pytest.mark.parametrize("case", ZOO, ids=str)
def test_values_are_the_same_whether_arrow_reads_them_or_they_are_made_of_items(case, rules):
    items = list(case.keyed_items)
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], {}), rules)

    [read] = RowConverter(columns, attributes, rules).convert(lines_of(items))

    for column, values in zip(columns, read.columns, strict=True):
        made = column_type(attributes[column.attribute], rules).build([item.get(column.attribute) for item in items])
        assert values.equals(made), column


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
        assert observe_lines(parts) == seen_in(some)


def test_what_was_only_null_or_empty_at_first_is_seen_when_it_comes():
    first = {"a": NULL, "l": {"L": []}, "m": {"M": {"x": NULL}}, "n": number("1"), "s": {"NS": ["1"]}}
    second = {"a": {"S": "x"}, "l": {"L": [{"S": "y"}]}, "m": {"M": {"x": {"S": "z"}}}, "n": NULL, "s": {"NS": ["2.5"]}}

    assert observe_lines([lines_of([first]), lines_of([second])]) == seen_in([first, second])


def test_arrow_reads_all_but_data_for_keys_and_attributes_of_several_kinds():
    items = [item for case in ZOO for item in case.keyed_items]

    made = {name for name, seen in seen_in(items).items() if not value_type(seen, ANY).line_type}

    assert made == {"by_day", "empty_map", "mixed", "either", "order"}


@pytest.mark.parametrize(
    "text", ["1.5", "0.001", "12345678901234567890123456789012345.678", "1E+2", "-1.5e-3", "7.000"]
)
def test_a_number_is_never_changed_by_its_type(text):
    values = [number(text), number("-0.001"), number("99999999999999999999999999999999999")]
    found = type_for(values)
    assert hive_type_of_arrow(found.arrow) == "decimal(38,3)" or "e-3" in text

    made = found.build(values).to_pylist()

    assert [Decimal(value) for value in made] == [Decimal(value["N"]) for value in values]
    [read] = RowConverter(*one_column(values)).convert(lines_of([{"id": {"S": ""}, "x": value} for value in values]))
    assert read["x"].to_pylist() == made


def test_a_map_of_as_many_keys_as_a_struct_may_have_is_a_struct():
    content = {f"f{number:03d}": {"S": "x"} for number in range(100)}

    found = type_for([{"M": content}])

    assert hive_type_of_arrow(found.arrow).startswith("struct<f000:string,f001:string,")
    assert found.build([{"M": content}]).to_pylist() == [dict.fromkeys(content, "x")]


def test_in_whatever_order_parts_are_merged_the_columns_are_the_same():
    first, second = dict(list(KEYED_BY_ID.items())[:60]), dict(list(KEYED_BY_ID.items())[60:])
    parts = [
        [{"a": number("1"), "m": {"M": first}, "l": {"L": [NULL]}}],
        [{"a": number("2.5"), "m": {"M": second}}, {"b": {"S": "x"}}],
        [{"a": NULL, "m": {"M": {"deep": {"M": {"x": number("1")}}}}, "l": {"L": [{"SS": ["s"]}]}}],
    ]

    def types(order):
        merged = {}
        for part in order:
            merge(merged, seen_in(part))
        return {name: hive_type_of_arrow(value_type(seen, ANY).arrow) for name, seen in merged.items()}

    for order in permutations(parts):
        assert types(order) == {
            "a": "decimal(38,1)",
            "b": "string",
            "l": "array<array<string>>",
            "m": "map<string,string>",  # 102 keys; a number here, a map there
        }


def test_key_attributes_come_first_then_columns_by_name():
    table = {
        "KeySchema": [
            {"AttributeName": "when", "KeyType": "RANGE"},
            {"AttributeName": "User", "KeyType": "HASH"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "when", "AttributeType": "N"},
            {"AttributeName": "User", "AttributeType": "S"},
            {"AttributeName": "of-an-index", "AttributeType": "S"},
        ],
    }
    items = [{"User": {"S": "u"}, "when": number("1"), "b": {"S": "b"}, "A": {"S": "a"}}, {"User": {"S": "v"}}]

    columns, attributes = snapshot_columns(seen_in(items), table, SnapshotTable([], {}), ANY)

    assert [column.name for column in columns] == ["user", "when", "a", "b"]
    assert RowConverter(columns, attributes, ANY).convert(lines_of(items))[0].to_pylist() == [
        {"user": "u", "when": 1, "a": "a", "b": "b"},
        {"user": "v", "when": None, "a": None, "b": None},
    ]


def test_an_empty_table_has_its_key_attributes_for_columns():
    table = {
        "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "Id", "AttributeType": "B"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
    }

    columns, _ = snapshot_columns({}, table, SnapshotTable([], {}), ANY)

    assert columns == [SnapshotColumn("id", "binary", "Id"), SnapshotColumn("at", "bigint", "at")]


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        pytest.param(["userId", "userid", "USERID"], ["userid", "userid_2", "userid_3"], id="case alone"),
        pytest.param(["a", "A", "a_2"], ["a", "a_2", "a_2_2"], id="a suffix that is taken"),
        pytest.param(["a-b", "a.b", "a b", "1st"], ["a_b", "a_b_2", "a_b_3", "1st"], id="hyphen, dot, space, digit"),
        pytest.param([" ,;{}()\n\t=<>:`\"'"], ["_" * 16], id="what types and formats refuse"),
        pytest.param(["Größe", "名前"], ["größe", "名前"], id="letters of any script"),
        pytest.param(["m²", "½", "①", "٣"], ["m_", "_", "__2", "٣"], id="numbers that are no digits"),
        pytest.param(["", "_"], ["_", "__2"], id="no name at all"),
        pytest.param(["x" * 300, "x" * 299], ["x" * 255, "x" * 253 + "_2"], id="longer than the catalog takes"),
        pytest.param(["snapshot_timestamp"], ["snapshot_timestamp_2"], id="the partition column's name"),
    ],
)
def test_column_names_are_what_the_catalog_takes_and_no_two_are_alike(attributes, names):
    assert list(column_names(attributes, ["snapshot_timestamp"], ANY).values()) == names


def test_names_in_avro_are_ascii_and_do_not_start_with_a_digit():
    names = column_names(["1st", "Größe", "名前", "住所", "_1st"], [], AVRO)

    assert list(names.values()) == ["_1st", "gr__e", "__", "___2", "_1st_2"]


def test_only_a_column_of_the_table_minds_the_partition_column():
    assert hive_type_for([{"M": {"snapshot_timestamp": {"S": "x"}}}]) == "struct<snapshot_timestamp:string>"


def test_batches_of_wide_tables_are_short(monkeypatch):
    monkeypatch.setattr(staged_lines, "BATCH_CELLS", 30)
    items = [{"id": {"S": str(row)}, f"f{row % 9}": number(str(row))} for row in range(20)]
    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], {}), ANY)

    batches = RowConverter(columns, attributes, ANY).convert(lines_of(items))

    assert [len(batch) for batch in batches] == [3] * 6 + [2]
    assert [id for batch in batches for id in batch["id"].to_pylist()] == [str(row) for row in range(20)]


def test_an_attribute_never_seen_is_a_string():
    assert hive_type_of_arrow(value_type(Seen(), ANY).arrow) == "string"


def test_json_has_binary_values_as_base64():
    assert type_for([{"B": "AP8="}], JSON).build([{"B": "AP8="}]).to_pylist() == ["AP8="]


def test_csv_has_text_alone():
    items = [{"id": {"S": "1"}, "n": number("1.50"), "m": {"M": {"k": {"BOOL": True}}}, "b": {"B": "AP8="}}]

    columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, SnapshotTable([], {}), CSV)

    assert {column.type for column in columns} == {"string"}
    assert RowConverter(columns, attributes, CSV).convert(lines_of(items))[0].to_pylist() == [
        {"id": "1", "b": "AP8=", "m": '{"k":true}', "n": "1.50"}
    ]


def test_a_type_too_long_for_the_catalog_is_text():
    deep = {
        f"field_of_some_length_{outer}": {"M": {f"f{inner}" * 9: {"S": ""} for inner in range(100)}}
        for outer in range(50)
    }

    columns, _ = snapshot_columns(seen_in([{"deep": {"M": deep}}]), ID_TABLE, SnapshotTable([], {}), ANY)

    assert columns[1] == SnapshotColumn("deep", "string", "deep")


# ------------------------------------------------------------------------------------------------ between snapshots


def later(first, *others, rules=ANY):
    """The columns, and the rows of the last, when these items are what successive snapshots have."""
    snapshot = SnapshotTable([], {})
    for items in [first, *others]:
        items = [{"id": {"S": "1"}} | item for item in items]
        columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, snapshot, rules)
        saved = {name: Seen.from_json(json.loads(json.dumps(seen.to_json()))) for name, seen in attributes.items()}
        assert saved == attributes
        snapshot = SnapshotTable(columns, saved)
    rows = RowConverter(columns, attributes, rules).convert(lines_of(items))[0].to_pylist(maps_as_pydicts="strict")
    return [(column.name, column.type) for column in columns[1:]], [
        {name: value for name, value in row.items() if value is not None and name != "id"} for row in rows
    ]


@pytest.mark.parametrize(
    ("snapshots", "columns", "rows"),
    [
        pytest.param(
            [[{"a": number("1")}], [{"b": number("2")}]],
            [("a", "bigint"), ("b", "bigint")],
            [{"b": 2}],
            id="one appears and one disappears",
        ),
        pytest.param(
            [[{"b": number("1")}], [{"a": {"S": "x"}, "b": number("2")}]],
            [("b", "bigint"), ("a", "string")],
            [{"a": "x", "b": 2}],
            id="a new column comes last, whatever its name",
        ),
        pytest.param(
            [[{"price": number("9.99")}], [{"price": number("9.999")}]],
            [("price", "decimal(38,2)"), ("price_2", "decimal(38,3)")],
            [{"price_2": Decimal("9.999")}],
            id="more digits after the point",
        ),
        pytest.param(
            [[{"price": number("9.999")}], [{"price": number("1")}]],
            [("price", "decimal(38,3)")],
            [{"price": Decimal("1.000")}],
            id="fewer digits fit",
        ),
        pytest.param(
            [[{"n": number("1")}], [{"n": {"S": "x"}}, {"n": number("1")}], [{"n": number("2")}]],
            [("n", "bigint"), ("n_2", "string")],
            [{"n_2": "2"}],
            id="once a number was text it stays text",
        ),
        pytest.param(
            [[{"n": NULL}], [{"n": number("1")}]],
            [("n", "string"), ("n_2", "bigint")],
            [{"n_2": 1}],
            id="from nothing but null to a number",
        ),
        pytest.param(
            [[{"m": {"M": {"a": number("1"), "b": {"S": "y"}}}}], [{"m": {"M": {"a": number("2")}}}]],
            [("m", "struct<a:bigint,b:string>")],
            [{"m": {"a": 2, "b": None}}],
            id="a field disappears",
        ),
        pytest.param(
            [[{"m": {"M": {"a": number("1")}}}], [{"m": {"M": {"b": {"S": "y"}}}}]],
            [("m", "struct<a:bigint>"), ("m_2", "struct<a:bigint,b:string>")],
            [{"m_2": {"a": None, "b": "y"}}],
            id="a field appears",
        ),
        pytest.param(
            [[{"m": {"M": {"a": number("1")}}}], [{"m": {"M": KEYED_BY_ID}}], [{"m": {"M": {"z": number("3")}}}]],
            [("m", "struct<a:bigint>"), ("m_2", "map<string,bigint>")],
            [{"m_2": {"z": 3}}],
            id="a struct turns out to have data for keys",
        ),
        pytest.param(
            [[{"userid": {"S": "x"}}], [{"userId": {"S": "y"}, "userid": {"S": "z"}}]],
            [("userid", "string"), ("userid_2", "string")],
            [{"userid": "z", "userid_2": "y"}],
            id="a name that differs only in case does not take over a column",
        ),
        pytest.param(
            [
                [{"p": {"M": {"userid": {"S": "x"}}}}],
                [{"p": {"M": {"userId": {"S": "y"}, "userid": {"S": "z"}}}}],
            ],
            [("p", "struct<userid:string>"), ("p_2", "struct<userid:string,userid_2:string>")],
            [{"p_2": {"userid": "z", "userid_2": "y"}}],
            id="nor does a field's",
        ),
        pytest.param(
            [[{"a": number("1")}], [{"a": number("1.5"), "a_2": {"S": "x"}}]],
            [("a", "bigint"), ("a_2", "decimal(38,1)"), ("a_2_2", "string")],
            [{"a_2": Decimal("1.5"), "a_2_2": "x"}],
            id="an attribute of the name that a second column takes",
        ),
    ],
)
def test_columns_are_only_added_and_keep_their_types(snapshots, columns, rows):
    assert later(*snapshots) == (columns, rows)


def test_in_csv_a_column_never_needs_another():
    assert later([{"n": number("1")}], [{"n": {"S": "x"}}], rules=CSV) == ([("n", "string")], [{"n": "x"}])


def test_the_columns_of_earlier_snapshots_are_there_even_if_the_table_is_empty():
    columns, attributes = snapshot_columns(
        seen_in([{"id": {"S": "1"}, "n": number("1")}]), ID_TABLE, SnapshotTable([], {}), ANY
    )

    again, _ = snapshot_columns({}, ID_TABLE, SnapshotTable(columns, attributes), ANY)

    assert again == columns


@pytest.mark.parametrize(
    "hive",
    [
        "string",
        "binary",
        "array<decimal(38,2)>",
        "struct<a:bigint,b:struct<c:array<string>,d:map<string,decimal(38,0)>>,größe:boolean>",
        "map<string,array<struct<x:string>>>",
    ],
)
def test_a_type_survives_the_catalog(hive):
    assert hive_type_of_arrow(arrow_type_of_hive(hive)) == hive
