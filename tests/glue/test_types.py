"""Which type and which name an attribute gets, and with which values. No Spark, no AWS."""

from decimal import Decimal
from itertools import permutations

import pytest

from acceptance.zoo import ZOO
from table_export_job.attributes import MAP_KEYS, Seen, merge
from table_export_job.columns import SnapshotColumn, SnapshotTable, snapshot_columns
from table_export_job.staged_lines import RowConverter
from table_export_job.types import arrow_type_of_hive, hive_type_of_arrow, value_type
from tests.glue.made_items import ANY, CSV, ID_TABLE, JSON, KEYED_BY_ID, NULL, lines_of, number, seen_in


def one_column(values, rules=ANY):
    """What makes rows of items that have these values."""
    seen = seen_in([{"id": {"S": ""}, "x": value} for value in values])
    return *snapshot_columns(seen, ID_TABLE, SnapshotTable([], {}), rules), rules


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


def test_only_a_column_of_the_table_minds_the_partition_column():
    assert hive_type_for([{"M": {"snapshot_timestamp": {"S": "x"}}}]) == "struct<snapshot_timestamp:string>"


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
