"""Which column an attribute becomes, and with which values. No Spark, no AWS."""

from decimal import Decimal
from itertools import permutations

import pytest

from glue.export_table import MAP_KEYS, Seen, column, column_names, merge, see, snapshot_columns

KEYED_BY_ID = {f"id-{number}": {"N": str(number)} for number in range(MAP_KEYS + 1)}
NULL = {"NULL": True}


def number(text):
    return {"N": text}


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
            [(None, 1), ("x", None), (None, None), None],
            id="maps, the union of their fields",
        ),
        pytest.param(
            [{"M": {"Deep": {"L": [{"M": {"x y": {"L": [{"L": [number("1")]}]}}}]}}}],
            "struct<deep:array<struct<x_y:array<array<bigint>>>>>",
            [([([[1]],)],)],
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
    seen = see({"x": value} for value in values)["x"]

    data_type, read = column(seen)

    assert data_type.simpleString() == column_type
    assert [read(value) for value in values] == expected


def test_a_map_of_as_many_keys_as_a_struct_may_have_is_a_struct():
    content = {f"f{number:03d}": {"S": "x"} for number in range(100)}

    data_type, read = column(see([{"x": {"M": content}}])["x"])

    assert data_type.simpleString().startswith("struct<f000:string,f001:string,")
    assert read({"M": content}) == ("x",) * 100


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
            merge(merged, see(part))
        return {name: column(seen)[0].simpleString() for name, seen in merged.items()}

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

    schema, read_item = snapshot_columns(see(items), table)

    assert [field.name for field in schema] == ["user", "when", "a", "b"]
    assert [read_item(item) for item in items] == [("u", 1, "a", "b"), ("v", None, None, None)]


def test_an_empty_table_has_its_key_attributes_for_columns():
    table = {
        "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "Id", "AttributeType": "B"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
    }

    schema, _ = snapshot_columns({}, table)

    assert schema.simpleString() == "struct<id:binary,at:bigint>"


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        pytest.param(["userId", "userid", "USERID"], ["userid", "userid_2", "userid_3"], id="case alone"),
        pytest.param(["a", "A", "a_2"], ["a", "a_2", "a_2_2"], id="a suffix that is taken"),
        pytest.param(["a-b", "a.b", "a b", "1st"], ["a_b", "a_b_2", "a_b_3", "1st"], id="hyphen, dot, space, digit"),
        pytest.param([" ,;{}()\n\t=<>:`\"'"], ["_" * 16], id="what types and formats refuse"),
        pytest.param(["Größe", "名前"], ["größe", "名前"], id="letters of any script"),
        pytest.param(["x" * 300, "x" * 299], ["x" * 255, "x" * 253 + "_2"], id="longer than the catalog takes"),
        pytest.param(["snapshot_timestamp"], ["snapshot_timestamp_2"], id="the partition column's name"),
    ],
)
def test_column_names_are_what_the_catalog_takes_and_no_two_are_alike(attributes, names):
    assert list(column_names(attributes, taken=["snapshot_timestamp"]).values()) == names


def test_only_a_column_of_the_table_minds_the_partition_column():
    fields = {"snapshot_timestamp": {"S": "x"}}

    assert column(see([{"x": {"M": fields}}])["x"])[0].simpleString() == "struct<snapshot_timestamp:string>"


def test_an_attribute_never_seen_is_a_string():
    assert column(Seen())[0].simpleString() == "string"
