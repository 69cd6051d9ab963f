"""Which columns a snapshot has, and the next one. No Spark, no AWS."""

import json
from decimal import Decimal

import pytest

from acceptance.zoo import ZOO, columns_of
from table_export_job.attributes import Seen
from table_export_job.columns import SnapshotColumn, SnapshotTable, column_comments, snapshot_columns
from table_export_job.formats import FORMATS
from table_export_job.staged_lines import RowConverter
from tests.glue.made_items import ANY, CSV, ID_TABLE, KEYED_BY_ID, NULL, lines_of, number, seen_in


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("case", ZOO, ids=str)
def test_the_values_of_a_case_need_these_columns(case, output_format):
    seen = seen_in(list(case.keyed_items))

    columns, _ = snapshot_columns(seen, ID_TABLE, SnapshotTable([], {}), FORMATS[output_format].rules)

    assert {column.name: column.type for column in columns} == {"id": "string"} | columns_of(case, output_format)


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


def later(first, *others, rules=ANY):
    """The columns, and the rows of the last, when these items are what successive snapshots have."""
    snapshot = SnapshotTable([], {})
    for items in [first, *others]:
        items = [{"id": {"S": "1"}} | item for item in items]
        columns, attributes = snapshot_columns(seen_in(items), ID_TABLE, snapshot, rules)
        saved = {name: Seen.from_json(json.loads(json.dumps(seen.to_json()))) for name, seen in attributes.items()}
        assert saved == attributes
        assert list(saved) == list(attributes)
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
            [("m", "struct<a:bigint,b:string>")],
            [{"m": {"a": None, "b": "y"}}],
            id="a field appears",
        ),
        pytest.param(
            [[{"m": {"M": {"b": number("1"), "d": number("1")}}}], [{"m": {"M": {"c": {"S": "y"}, "a": NULL}}}]],
            [("m", "struct<b:bigint,d:bigint,a:string,c:string>")],
            [{"m": {"b": None, "d": None, "a": None, "c": "y"}}],
            id="fields appear at the end, by name",
        ),
        pytest.param(
            [
                [{"m": {"L": [{"M": {"x": {"M": {"b": number("1")}}}}]}}],
                [{"m": {"L": [{"M": {"x": {"M": {"a": number("2")}}}}, {"M": {"w": {"S": "y"}}}]}}],
            ],
            [("m", "array<struct<x:struct<b:bigint,a:bigint>,w:string>>")],
            [{"m": [{"x": {"b": None, "a": 2}, "w": None}, {"x": None, "w": "y"}]}],
            id="fields appear two levels down, in a list",
        ),
        pytest.param(
            [
                [{"m": {"M": {key: {"M": {"b": number("1")}} for key in KEYED_BY_ID}}}],
                [{"m": {"M": {"z": {"M": {"a": number("2")}}}}}],
            ],
            [("m", "map<string,struct<b:bigint,a:bigint>>")],
            [{"m": {"z": {"b": None, "a": 2}}}],
            id="a field appears in the values of a map",
        ),
        pytest.param(
            [[{"m": {"M": {"zip": number("1"), "a": number("1")}}}], [{"m": {"M": {"zip": {"S": "y"}}}}]],
            [("m", "struct<a:bigint,zip:bigint,zip_2:string>")],
            [{"m": {"a": None, "zip": None, "zip_2": "y"}}],
            id="a field has another type",
        ),
        pytest.param(
            [
                [{"m": {"M": {"zip": number("1")}}}],
                [{"m": {"M": {"zip": number("1.5"), "zip_2": {"S": "x"}}}}],
                [{"m": {"M": {"zip": {"S": "y"}, "zip_2": NULL}}}],
            ],
            [("m", "struct<zip:bigint,zip_2:string,zip_3:decimal(38,1),zip_4:string>")],
            [{"m": {"zip": None, "zip_2": None, "zip_3": None, "zip_4": "y"}}],
            id="a field has another type twice, and an attribute has the name that it would take",
        ),
        pytest.param(
            [
                [{"m": {"M": {"l": {"L": [{"M": {"a": number("1")}}]}}}}],
                [{"m": {"M": {"l": {"L": [{"M": {"a": number("1.5"), "b": number("2")}}]}}}}],
                [{"m": {"M": {"l": {"L": [{"M": {"a": number("1"), "b": number("3")}}, {"S": "y"}]}}}}],
            ],
            [("m", "struct<l:array<struct<a:bigint,a_2:decimal(38,1),b:bigint>>,l_2:array<string>>")],
            [{"m": {"l": None, "l_2": ['{"a":1,"b":3}', "y"]}}],
            id="a list of structs grows, then has elements of several types",
        ),
        pytest.param(
            [
                [{"m": {"M": {"x": {"M": {"a": number("1")}}}}}],
                [{"m": {"M": {"x": {"M": KEYED_BY_ID}}}}],
                [{"m": {"M": {"x": {"M": {"z": number("3")}}, "y": number("1")}}}],
            ],
            [("m", "struct<x:struct<a:bigint>,x_2:map<string,bigint>,y:bigint>")],
            [{"m": {"x": None, "x_2": {"z": 3}, "y": 1}}],
            id="the keys of an inner map turn out to be data",
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
            [("p", "struct<userid:string,userid_2:string>")],
            [{"p": {"userid": "z", "userid_2": "y"}}],
            id="nor does a field's",
        ),
        pytest.param(
            [[{"a": number("1")}], [{"a": number("1.5"), "a_2": {"S": "x"}}]],
            [("a", "bigint"), ("a_2", "string"), ("a_3", "decimal(38,1)")],
            [{"a_2": "x", "a_3": Decimal("1.5")}],
            id="an attribute of the name that a second column would take",
        ),
    ],
)
def test_columns_are_only_added_and_keep_their_types(snapshots, columns, rows):
    assert later(*snapshots) == (columns, rows)


ALIKE = {"User_Id": {"S": "capitals"}, "user-id": {"S": "hyphen"}, "user_id": {"S": "exact"}}


def test_of_attributes_whose_names_collide_the_one_that_needs_no_change_keeps_it():
    _, [row] = later([ALIKE | {"inner": {"M": ALIKE}}])

    shown = {"user_id": "exact", "user_id_2": "capitals", "user_id_3": "hyphen"}
    assert row == shown | {"inner": shown}


def test_a_key_attribute_does_not_take_the_name_of_another():
    table = {
        "KeySchema": [{"AttributeName": "User-Id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "User-Id", "AttributeType": "S"}],
    }

    columns, _ = snapshot_columns(seen_in([{"User-Id": {"S": "1"}, **ALIKE}]), table, SnapshotTable([], {}), ANY)

    assert [(column.name, column.attribute) for column in columns] == [
        ("user_id_2", "User-Id"),
        ("user_id", "user_id"),
        ("user_id_3", "User_Id"),
        ("user_id_4", "user-id"),
    ]


def test_columns_and_fields_of_version_0_1_0_keep_their_names():
    """It gave names in the order of code points, so that capitals came first."""
    text = {"kinds": ["S"]}
    fields = {"User_Id": text, "user-id": text, "user_id": text}
    kind = "struct<user_id:string,user_id_2:string,user_id_3:string>"
    columns = [("id", "string", "id"), ("inner", kind, "inner"), ("user_id", "string", "User_Id")]
    columns += [("user_id_2", "string", "user-id"), ("user_id_3", "string", "user_id")]
    known = {"id": text, "inner": {"kinds": ["M"], "fields": fields}, **fields}
    earlier = SnapshotTable.from_manifest({"version": 2, "columns": as_in_manifest(columns), "attributes": known})
    items = [{"id": {"S": "1"}, **ALIKE, "inner": {"M": {"a": {"S": "new"}, **ALIKE}}}]

    found, attributes = snapshot_columns(seen_in(items), ID_TABLE, earlier, ANY)

    columns[1] = ("inner", f"{kind[:-1]},a:string>", "inner")
    assert [column[:3] for column in found] == columns
    shown = {"user_id": "capitals", "user_id_2": "hyphen", "user_id_3": "exact"}
    assert RowConverter(found, attributes, ANY).convert(lines_of(items))[0].to_pylist() == [
        {"id": "1", "inner": {**shown, "a": "new"}, **shown}
    ]


def as_in_manifest(columns):
    return [{"name": name, "type": kind, "attribute": attribute} for name, kind, attribute in columns]


def test_a_struct_of_version_0_1_0_whose_fields_have_names_of_other_rules_gets_another_column():
    text = {"kinds": ["S"]}
    columns = [("id", "string", "id"), ("m", "struct<sinif:string,s\u0131n\u0131f:string>", "m")]
    known = {"id": text, "m": {"kinds": ["M"], "fields": {"sinif": text, "s\u0131n\u0131f": text}}}
    earlier = SnapshotTable.from_manifest({"version": 2, "columns": as_in_manifest(columns), "attributes": known})

    found, _ = snapshot_columns({}, ID_TABLE, earlier, ANY)

    assert [column[:3] for column in found] == [*columns, ("m_2", "struct<sinif:string,s\u0131n\u0131f_2:string>", "m")]


def test_in_csv_a_column_never_needs_another():
    assert later([{"n": number("1")}], [{"n": {"S": "x"}}], rules=CSV) == ([("n", "string")], [{"n": "x"}])


def test_the_columns_of_earlier_snapshots_are_there_even_if_the_table_is_empty():
    columns, attributes = snapshot_columns(
        seen_in([{"id": {"S": "1"}, "n": number("1")}]), ID_TABLE, SnapshotTable([], {}), ANY
    )

    again, _ = snapshot_columns({}, ID_TABLE, SnapshotTable(columns, attributes), ANY)

    assert again == columns


@pytest.mark.parametrize(
    ("items", "comments"),
    [
        ([{"stars": number("1"), "place": {"M": {"city": {"S": "Ulm"}}}}], {}),
        ([{"User-Id": {"S": "x"}}], {"user_id": 'DynamoDB attribute "User-Id"'}),
        ([{"_col0": {"S": "x"}}], {"_col0_2": 'DynamoDB attribute "_col0"'}),
        (
            [{"place": {"M": {"Zip Code": {"S": "x"}, "b": {"L": [{"M": {"C.d": {"S": "x"}}}]}}}}],
            {"place": 'DynamoDB attribute "place", its fields: b.c_d "C.d", zip_code "Zip Code"'},
        ),
        ([{"a\nb\u0085\ufffe": {"S": "x"}}], {"a_b__": 'DynamoDB attribute "a\\nb\\u0085\\ufffe"'}),
        ([{"m": {"M": KEYED_BY_ID}}], {}),
        (
            [{"p": {"M": {"q": {"M": {"A": {"S": "x"}}}, "B": {"S": "x"}}}}, {"p": {"M": {"q": {"S": "text"}}}}],
            {"p": 'DynamoDB attribute "p", its fields: b "B"'},
        ),
    ],
)
def test_a_comment_names_the_attribute_where_the_name_of_the_column_does_not(items, comments):
    assert comments_of(items) == comments


def comments_of(*snapshots, rules=ANY):
    """The comments on the columns of the last of these snapshots."""
    table = SnapshotTable([], {})
    for items in snapshots:
        table = SnapshotTable(
            *snapshot_columns(seen_in([{"id": {"S": "1"}} | one for one in items]), ID_TABLE, table, rules)
        )
    return column_comments(table.columns)


def test_columns_of_an_attribute_whose_type_changed_all_name_it():
    before = [{"price": number("1"), "p": {"M": {"A": number("1")}}}]
    after = [{"price": number("1.5"), "p": {"M": {"A": number("1.5")}}}]

    assert comments_of(before, after) == {
        "price_2": 'DynamoDB attribute "price"',
        "p": 'DynamoDB attribute "p", its fields: a "A", a_2 "A"',
    }


def test_in_csv_fields_keep_their_names():
    assert comments_of([{"p": {"M": {"A": {"S": "x"}}}}], rules=CSV) == {}


@pytest.mark.parametrize("name", ["x" * 300, "\U0001f600" * 70])
def test_a_comment_is_as_long_as_the_catalog_accepts(name):
    [comment] = comments_of([{name: {"S": "x"}}]).values()

    assert 251 < len(comment.encode()) <= 255
    assert comment.endswith("…")
