"""A column contract: its validation, what it removes, and the columns that it makes."""

import hashlib
import json

import pytest

from table_export_job.attributes import Seen, observe
from table_export_job.columns import SnapshotTable, ensure_names_are_free, snapshot_columns, view_names
from table_export_job.contract import Contract, dump, problems, verified
from table_export_job.errors import PermanentError
from table_export_job.staged_lines import RowConverter
from table_export_job.types import TypeRules

ID_TABLE = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
EMPTY, ANY = SnapshotTable([], {}), TypeRules()


def n(number):
    return {"N": str(number)}


def s(text):
    return {"S": text}


def m(**inner):
    return {"M": inner}


def columns_of(items, rules, earlier=EMPTY, types=ANY):
    contract, attributes = Contract(rules), {}
    items = json.loads(json.dumps(items))
    contract.apply(items)
    observe(items, attributes)
    return snapshot_columns(attributes, ID_TABLE, earlier, types, contract)


def named(columns):
    return {column.name: column.type for column in columns}


def rows_of(items, rules, earlier=EMPTY, types=ANY):
    columns, attributes = columns_of(items, rules, earlier, types)
    lines = Contract(rules).apply_to_lines("".join(json.dumps({"Item": item}) + "\n" for item in items).encode())
    return [row for batch in RowConverter(columns, attributes, types).convert(lines) for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("columns", "place", "message"),
    [
        ([], "", "must have entries in the form `attribute: {rule}`"),
        ({"a": True}, "a", "must have a rule, such as {omit: true}"),
        ({"a": {}}, "a", "must have a rule, such as {omit: true}"),
        ({1: {"omit": True}}, "1", "1 is not the name of an attribute. Put quotation marks around it"),
        ({"a": {"hide": True}}, "a.hide", "unknown rule. Use one of omit, hash, map, name, as, from, strict"),
        ({"a": {"omit": False}}, "a.omit", "must be true. Remove it otherwise"),
        ({"a": {"omit": True, "name": "b"}}, "a.omit", "an omitted attribute has no column. Remove name"),
        ({"a": {"map": True, "as": "json"}}, "a.map", "cannot be together with as"),
        ({"a": {"hash": "md5"}}, "a.hash", "must be sha256"),
        ({"a": {"hash": "sha256", "as": "json"}}, "a.hash", "cannot be together with as"),
        ({"a": {"name": "B"}}, "a.name", "B must be lowercase letters, digits and underscores, at most 128 characters"),
        ({"a": {"name": "_col1"}}, "a.name", "_col1 has a meaning of its own. Choose another name"),
        (
            {"a": {"name": "snapshot_timestamp"}},
            "a.name",
            "snapshot_timestamp has a meaning of its own. Choose another name",
        ),
        ({"a": {"name": "c"}, "b": {"name": "c"}}, "b.name", "c is the column of a. Choose another name"),
        (
            {"a": {"name": "b_not_converted"}, "b": {"as": "json"}},
            "a.name",
            "b_not_converted is the column of b. Choose another name",
        ),
        (
            {"b-Ä": {"as": "json"}, "a": {"name": "b___not_converted"}},
            "a.name",
            "b___not_converted is the column of b-Ä. Choose another name",
        ),
        (
            {"a": {"name": "c_not_converted"}, "b": {"as": "json", "name": "c"}},
            "b.name",
            "c_not_converted is the column of a. Choose another name",
        ),
        ({"a": {"strict": True}}, "a.strict", "needs `as`. Add it, or remove this"),
        ({"a": {"as": "date"}}, "a.from", "must be epoch_s, epoch_ms, iso8601 or a pattern such as %d.%m.%Y %H:%M"),
        ({".".join("abcdefghij"): {"omit": True}}, "a.b.c.d.e.f.g.h.i.j", "a path can have at most 8 dots"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_remedy(columns, place, message):
    assert [(".".join(map(str, where)), problem) for where, problem in problems(columns)] == [(place, message)]


def test_every_rule_of_the_documentation_is_valid():
    assert list(problems({
        "passport": {"omit": True},
        "address.street": {"omit": True},
        "created_at": {"as": "timestamp", "from": "epoch_ms", "strict": True},
        "price": {"as": "decimal(18,2)", "name": "net_price"},
        "events": {"map": True, "name": "events"},
    })) == []  # fmt: skip


@pytest.mark.parametrize("rules", [
    {"a": {"as": "json"}, "A": {"as": "json"}},
    {"a": {"as": "json"}, "b": {"name": "a"}},
    {"a": {"as": "json", "name": "c"}, "b": {"name": "a_not_converted"}},
])  # fmt: skip
def test_a_name_that_no_column_of_other_values_has_is_valid(rules):
    assert list(problems(rules)) == []


def test_the_column_of_other_values_has_the_name_that_the_contract_gives():
    columns, _ = columns_of([{"id": s("1"), "at": s("soon")}], {"at": TIMES["at"] | {"name": "created"}})

    assert named(columns) == {"id": "string", "created_not_converted": "string"}


def test_a_contract_that_was_changed_is_not_applied():
    content = dump({"a": {"omit": True}})

    with pytest.raises(PermanentError, match="was changed: its SHA-256 is not its name"):
        verified(content, f"s3://bucket/{'0' * 64}.json")


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{}", b"not json", b'{"version":2,"columns":{}}', b'{"version":1,"columns":{"a":{"hash":"md5"}}}'],
)
def test_a_contract_of_another_version_is_not_applied(content):
    with pytest.raises(PermanentError, match="is not a valid column contract"):
        verified(content, f"s3://bucket/{hashlib.sha256(content).hexdigest()}.json")


@pytest.mark.parametrize(
    ("path", "item", "left"),
    [
        ("a", {"a": n(1), "b": n(2)}, {"b": n(2)}),
        ("a.b", {"a": m(b=n(1), c=n(2)), "b": n(3)}, {"a": m(c=n(2)), "b": n(3)}),
        ("a.b", {"a.b": n(1), "a": n(2)}, {"a": n(2)}),
        ("a.b.c", {"a": {"M": {"b.c": n(1), "b": m(c=n(2))}}}, {"a": m(b=m())}),
        ("a.b.c", {"a.b": m(c=n(1))}, {"a.b": m()}),
        ("a.b", {"a": {"L": [m(b=n(1)), n(2)]}}, {"a": {"L": [m(), n(2)]}}),
        ("a.b", {"a": {"L": [{"L": [m(b=n(3), c=n(4))]}]}}, {"a": {"L": [{"L": [m(c=n(4))]}]}}),
        ("a.*.b", {"a": m(x=m(b=n(1), c=n(2)), y=n(3))}, {"a": m(x=m(c=n(2)), y=n(3))}),
        ("a.*", {"a": m(x=n(1))}, {"a": m()}),
        ("a.b", {"a": {"NULL": True}}, {"a": {"NULL": True}}),
        ("a.b", {"a": {"SS": ["b"]}}, {"a": {"SS": ["b"]}}),
    ],
)  # fmt: skip
def test_an_omitted_attribute_is_removed_at_every_depth(path, item, left):
    Contract({path: {"omit": True}}).apply([item])

    assert item == left


def test_an_omitted_attribute_has_neither_column_nor_entry():
    columns, attributes = columns_of([{"id": s("1"), "a": m(b=n(1))}], {"a": {"omit": True}})

    assert named(columns) == {"id": "string"}
    assert list(attributes) == ["id"]


def test_an_omitted_key_has_no_column():
    columns, _ = columns_of([{"id": s("1"), "a": n(1)}], {"id": {"omit": True}})

    assert named(columns) == {"a": "bigint"}


def test_a_table_must_have_a_column():
    with pytest.raises(PermanentError, match="Columns omits all attributes"):
        columns_of([{"id": s("1")}], {"id": {"omit": True}})


def test_an_attribute_that_is_omitted_later_keeps_its_column_empty():
    before = SnapshotTable(*columns_of([{"id": s("1"), "a": n(1)}], {}))

    assert rows_of([{"id": s("1"), "a": n(1)}], {"a": {"omit": True}}, before) == [{"id": "1", "a": None}]


@pytest.mark.parametrize(
    ("path", "value", "type"),
    [
        ("a", m(x=n(1), y=n(2)), "map<string,bigint>"),
        ("a", {"L": [m(x=n(1))]}, "array<map<string,bigint>>"),
        ("a.b", m(b=m(x=n(1))), "struct<b:map<string,bigint>>"),
        ("a.b", {"L": [m(b=m(x=n(1)))]}, "array<struct<b:map<string,bigint>>>"),
        ("a.*", m(b=m(x=n(1))), "struct<b:map<string,bigint>>"),
        ("a", m(b=m(x=n(1)), c=m(y=n(1))), "map<string,struct<x:bigint,y:bigint>>"),
        ("a", n(1), "bigint"),
    ],
)
def test_keys_are_data_from_the_first_snapshot_on(path, value, type):
    columns, attributes = columns_of([{"id": s("1"), "a": value}], {path: {"map": True}})

    assert named(columns)["a"] == type
    assert '"x"' not in json.dumps(attributes["a"].to_json()) or "struct<x" in type


def test_keys_are_data_in_maps_whose_keys_are_data():
    columns, _ = columns_of([{"id": s("1"), "a": m(b=m(x=n(1)))}], {"a": {"map": True}, "a.*": {"map": True}})

    assert named(columns)["a"] == "map<string,map<string,bigint>>"


def test_a_map_that_was_a_struct_gets_a_new_column():
    items = [{"id": s("1"), "a": m(x=n(1))}]
    before = SnapshotTable(*columns_of(items, {}))

    assert rows_of(items, {"a": {"map": True}}, before) == [{"id": "1", "a": None, "a_2": [("x", 1)]}]


def test_the_named_attribute_comes_before_one_that_has_this_name():
    columns, _ = columns_of([{"id": s("1"), "custId": n(1), "customer_id": n(2)}], {"custId": {"name": "customer_id"}})

    assert {column.attribute: column.name for column in columns} == {
        "id": "id",
        "custId": "customer_id",
        "customer_id": "customer_id_2",
    }


def test_a_name_of_an_attribute_that_is_not_there_yet_stays_free():
    columns, _ = columns_of([{"id": s("1"), "customer_id": n(2)}], {"custId": {"name": "customer_id"}})

    assert named(columns) == {"id": "string", "customer_id_2": "bigint"}


def test_a_column_that_exists_keeps_its_name_and_the_view_has_the_new_one():
    items, rules = [{"id": s("1"), "custId": n(1)}], {"custId": {"name": "customer_id"}}
    before = SnapshotTable(*columns_of(items, {}))

    columns, _ = columns_of(items, rules, before)

    assert named(columns) == {"id": "string", "custid": "bigint"}
    assert view_names(columns, Contract(rules)) == {"custId": "customer_id"}


def test_a_named_attribute_keeps_its_name_in_the_view_when_its_type_changes():
    rules = {"custId": {"name": "customer_id"}}
    before = SnapshotTable(*columns_of([{"id": s("1"), "custId": n(1)}], rules))

    columns, _ = columns_of([{"id": s("1"), "custId": s("x")}], rules, before)

    assert named(columns) == {"id": "string", "customer_id": "bigint", "customer_id_2": "string"}
    assert view_names(columns, Contract(rules)) == {}


def test_a_name_that_another_attribute_has_fails_before_the_table_is_read():
    before = SnapshotTable(*columns_of([{"id": s("1"), "customer_id": n(1)}], {}))

    with pytest.raises(PermanentError, match='name customer_id is the column of attribute "customer_id" already'):
        ensure_names_are_free(Contract({"custId": {"name": "customer_id"}}), before)


TIMES = {"at": {"as": "timestamp", "from": "epoch_ms"}}


def test_values_that_do_not_fit_have_a_column_of_their_own():
    items = [{"id": s("1"), "at": n(1700000000123)}, {"id": s("2"), "at": s("soon")}, {"id": s("3")}]

    columns, _ = columns_of(items, TIMES)

    assert named(columns) == {"id": "string", "at": "timestamp", "at_not_converted": "string"}
    assert [(str(row["at"]), row["at_not_converted"]) for row in rows_of(items, TIMES)] == [
        ("2023-11-14 22:13:20.123000", None),
        ("None", "soon"),
        ("None", None),
    ]


def test_an_attribute_with_the_name_of_the_values_that_do_not_fit_is_an_error():
    with pytest.raises(PermanentError, match="Rename it, or remove `as` of at"):
        Contract(TIMES).apply([{"at": s("soon"), "at (not converted)": s("")}])


@pytest.mark.parametrize(
    ("rule", "value", "type", "shown"),
    [
        ({"as": "timestamp", "from": "iso8601"}, s("2023-11-14T22:13:20Z"), "timestamp", "2023-11-14 22:13:20.000"),
        ({"as": "date", "from": "iso8601"}, s("2023-11-14"), "date", "2023-11-14"),
        ({"as": "decimal(18,2)"}, n("12.5"), "decimal(18,2)", "12.50"),
        ({"as": "double"}, n("0.25"), "double", "0.25"),
        ({"as": "bigint"}, s("7"), "bigint", "7"),
        ({"as": "boolean"}, s("true"), "boolean", "true"),
        ({"as": "string"}, n("7"), "string", "7"),
        ({"as": "json"}, m(x=n(1)), "string", '{"x":1}'),
    ],
)
def test_the_column_has_the_declared_type_and_text_in_a_format_of_text(rule, value, type, shown):
    items = [{"id": s("1"), "a": value}, {"id": s("2")}]

    assert named(columns_of(items, {"a": rule})[0])["a"] == type
    assert [row["a"] for row in rows_of(items, {"a": rule}, types=TypeRules(text_only=True))] == [shown, None]


def kept(columns, attributes):
    """The snapshot table, as the next export finds it in the manifest."""
    return SnapshotTable(columns, {name: Seen.from_json(seen.to_json()) for name, seen in attributes.items()})


def test_a_rule_that_is_added_or_removed_is_a_new_column():
    items = [{"id": s("1"), "at": n(1700000000123)}]
    before = kept(*columns_of(items, {}))
    declared = kept(*columns_of(items, TIMES, before))
    again = kept(*columns_of(items, TIMES, declared))
    columns, _ = columns_of(items, {}, again)

    assert declared.columns == again.columns
    assert named(columns) == {"id": "string", "at": "bigint", "at_2": "timestamp", "at_3": "bigint"}


def test_strict_names_the_attribute_and_the_number_of_values():
    contract = Contract({"at": TIMES["at"] | {"strict": True}, "by": TIMES["at"]})

    contract.ensure_strict({"by": 3})
    with pytest.raises(PermanentError, match=r"declares with strict: at \(2\)\. Nothing was published"):
        contract.ensure_strict({"at": 2, "by": 3})
