"""The block Entities: its validation, its patterns, and the names that it leads to."""

import hashlib
import re

import pytest

from table_export_job.entities import (
    LONGEST_NAME,
    dump,
    ensure_valid,
    entity_names,
    parsed,
    problems,
    verified,
)
from table_export_job.errors import PermanentError
from table_export_job.routing import When

BY_KEY = '{key: sk, before: "#"}'
THE_TEXT = 'the text that follows the type, such as "#"'
WHOLE = "To use the whole value, write the attribute alone, as in `by: sk`"
OTHERWISE = "Otherwise use one of by, types, rest, wide, max_entities"
NAMES = "must be lowercase letters, digits and underscores"
ORDERS = {"name": "orders", "when": {"pk": "USER#{user_id}", "sk": "ORDER#{order_id}"}}


@pytest.mark.parametrize("block", [
    {"by": "__edb_e__"},
    {"by": {"key": "sk", "before": "#"}, "types": {"audit": {"omit": True}}},
    {"types": {"order": ORDERS, "line": {"when": {"sk": "ORDER#{order_id}#LINE#{line}"}}}},
    {"types": {"order": ORDERS | {"omit": True}}},
    {"by": "t", "types": {"order": ORDERS}, "rest": "unknown", "wide": True, "max_entities": 200},
])  # fmt: skip
def test_every_form_of_the_documentation_is_valid(block):
    assert list(problems(block, {"pk": {"name": "partition_key"}}, "app")) == []
    assert parsed(dump(block)) == block


def order(**when):
    return {"by": "t", "types": {"order": {"when": when}}}


@pytest.mark.parametrize(
    ("block", "place", "message"),
    [
        ([], "", "must have `by` or `types`, such as {by: entityType}"),
        ({}, "", "must have `by` or `types`, such as {by: entityType}"),
        ({"rest": "x"}, "", "needs `by`, or `types` that have `when` each"),
        ({"by": "t", "key": "pk"}, "key", "unknown field. Use one of by, types, rest, wide, max_entities"),
        (
            {"by": "t", "order": {"name": "x"}},
            "order",
            f"unknown field. If it is a type, put it under `types`. {OTHERWISE}",
        ),
        ({"by": 1}, "by", "must be text. Put quotation marks around it"),
        ({"by": None}, "by", f"has no value. Write the name of an attribute, or {BY_KEY}"),
        ({"by": ""}, "by", f"is empty. Write the name of an attribute, or {BY_KEY}"),
        ({"by": {}}, "by", f"must be the name of an attribute, or {BY_KEY}"),
        ({"by": ["sk"]}, "by", f"must be the name of an attribute, or {BY_KEY}"),
        ({"by": {"before": "#"}}, "by", f"needs key, the name of an attribute, as in {BY_KEY}"),
        ({"by": {"key": None, "before": "#"}}, "by.key", "has no value. Write the name of an attribute"),
        ({"by": {"key": {"a": "b"}, "before": "#"}}, "by.key", "must be the name of an attribute"),
        ({"by": {"key": "sk"}}, "by", f"needs before, the text that follows the type, as in {BY_KEY}. {WHOLE}"),
        ({"by": {"key": "sk", "before": ""}}, "by.before", f"is empty. Write {THE_TEXT}. {WHOLE}"),
        ({"by": {"key": "sk", "before": None}}, "by.before", f"has no value. Write {THE_TEXT}. {WHOLE}"),
        ({"by": {"key": "sk", "before": 1}}, "by.before", "must be text. Put quotation marks around it"),
        ({"by": {"key": "sk", "before": ["#"]}}, "by.before", f"must be {THE_TEXT}"),
        (
            {"by": {"key": "sk", "before": "#", "after": "|"}},
            "by.after",
            f"unknown field. Use key and before, as in {BY_KEY}",
        ),
        ({"by": {"key": "sk", "befor": "#"}}, "by.befor", f"unknown field. Use key and before, as in {BY_KEY}"),
        ({"by": "t", "types": ["order"]}, "types", "must have entries in the form `value: {name: orders}`"),
        (
            {"by": "t", "types": {f"t{n}": {"omit": True} for n in range(201)}},
            "types",
            "has 201 types, and at most 200 are possible",
        ),
        (
            {"by": "t", "types": {"": {"omit": True}}},
            "types.",
            "the value is empty. Write a value of `by`, or remove the entry",
        ),
        (
            {"by": "t", "types": {"\ud800": {"omit": True}}},
            "types.\ud800",
            "the value has a surrogate, which is not a character. Remove it",
        ),
        ({"by": "t", "types": {"order": {}}}, "types.order", "must have name, when or omit, such as {name: orders}"),
        (
            {"by": "t", "types": {"order": {"named": "x"}}},
            "types.order.named",
            "unknown field. Use one of name, when, omit",
        ),
        ({"by": "t", "types": {"order": {"omit": False}}}, "types.order.omit", "must be true. Remove it otherwise"),
        (
            {"by": "t", "types": {"order": {"omit": True, "name": "x"}, "line": {"name": "x"}}},
            "types.line.name",
            "x is the name of order, too. Choose another name",
        ),
        ({"types": {"order": {"name": "x"}}}, "types.order", "needs `when`, because the block has no `by`"),
        (
            {"by": "t", "types": {"order": {"when": "ORDER"}}},
            "types.order.when",
            'must have entries in the form `attribute: pattern`, such as {sk: "ORDER#{order_id}"}',
        ),
        (order(sk=None), "types.order.when.sk", 'has no value. Write a pattern such as "ORDER#{order_id}"'),
        (order(sk=""), "types.order.when.sk", 'is empty. Write a pattern such as "ORDER#{order_id}"'),
        (order(sk={"a": "b"}), "types.order.when.sk", 'must be a pattern such as "ORDER#{order_id}"'),
        (order(sk=7), "types.order.when.sk", "must be text. Put quotation marks around it"),
        (order(sk="x" * 1025), "types.order.when.sk", "can have at most 1024 characters"),
        (order(sk="ORDER#{}"), "types.order.when.sk", f"{{}} {NAMES}, at most 128 characters"),
        (order(sk="ORDER#{Id}"), "types.order.when.sk", f"{{Id}} {NAMES}, at most 128 characters"),
        (order(sk="{_col1}"), "types.order.when.sk", "{_col1} has a meaning of its own. Choose another name"),
        (
            order(sk="{snapshot_timestamp}"),
            "types.order.when.sk",
            "{snapshot_timestamp} has a meaning of its own. Choose another name",
        ),
        (
            order(sk="ORDER#{{id}}"),
            "types.order.when.sk",
            "has a brace that is not part of a placeholder such as {order_id}. Complete or remove it",
        ),
        (
            order(sk="{a}{b}"),
            "types.order.when.sk",
            "has two placeholders with nothing between them. Make them one, or put text between them",
        ),
        (
            order(pk="U#{id}", sk="O#{id}"),
            "types.order.when.sk",
            "{id} occurs twice in `when`. Give each placeholder a name of its own",
        ),
        ({"by": "t", "rest": "Other"}, "rest", "Other must be lowercase letters, digits and underscores"),
        (
            {"by": "t", "types": {"order": {"name": "o-1"}}},
            "types.order.name",
            "o-1 must be lowercase letters, digits and underscores",
        ),
        (
            {"by": "t", "types": {"order": {"name": "other"}}},
            "types.order.name",
            "other is the name of rest, too. Choose another name",
        ),
        (
            {"by": "t", "types": {"a": {"name": "x"}, "b": {"name": "x"}}},
            "types.b.name",
            "x is the name of a, too. Choose another name",
        ),
        (
            {"by": "t", "rest": "x" * 115},
            "rest",
            f"{'x' * 115} has 115 characters, and 114 fit behind the catalog name app. Shorten it, or set a shorter "
            "CatalogName",
        ),
        ({"by": "t", "rest": None}, "rest", "has no value. Write a name of lowercase letters, digits and underscores"),
        ({"by": "t", "rest": {"omit": True}}, "rest", "must be a name of lowercase letters, digits and underscores"),
        ({"by": "t", "rest": False}, "rest", "must be text. Put quotation marks around it"),
        ({"by": "t", "wide": "yes"}, "wide", "must be true or false, without quotation marks"),
        ({"by": "t", "wide": 1}, "wide", "must be true or false"),
        ({"by": "t", "max_entities": "5"}, "max_entities", "must be a number from 1 to 200, without quotation marks"),
        ({"by": "t", "max_entities": 0}, "max_entities", "must be a number from 1 to 200"),
        ({"by": "t", "max_entities": True}, "max_entities", "must be a number from 1 to 200"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(block, place, message):
    assert [(".".join(where), problem) for where, problem in problems(block, {}, "app")] == [(place, message)]


@pytest.mark.parametrize(
    ("columns", "place", "message"),
    [
        ({"t": {"omit": True}}, "by", "Columns changes or removes t (rule t). Keep only `name` in that rule"),
        (
            {"sk": {"as": "json", "name": "x"}},
            "types.order.when.sk",
            "Columns changes or removes sk (rule sk). Keep only `name` in that rule",
        ),
        (
            {"{id}": {"name": "x"}},
            "types.order.when.sk",
            "Columns has a rule for {id}. Remove it: the placeholder names the column",
        ),
        (
            {"number": {"name": "id"}},
            "types.order.when.sk",
            "{id} is the column of number in Columns. Choose another name",
        ),
    ],
)
def test_rules_of_columns_must_leave_what_decides_on_the_type(columns, place, message):
    block = order(sk="O#{id}")

    assert [(".".join(where), problem) for where, problem in problems(block, columns)] == [(place, message)]
    with pytest.raises(PermanentError, match=re.escape(f"Entities.{place}: {message}, and deploy the table again.")):
        ensure_valid(block, columns, "app")


def test_a_rule_for_all_attributes_changes_those_of_the_types_too():
    assert [place for place, _ in problems(order(sk="O#{id}"), {"*": {"omit": True}})] == [
        ("by",),
        ("types", "order", "when", "sk"),
    ]


def test_a_rule_for_what_is_inside_an_attribute_leaves_its_text():
    ensure_valid(order(sk="O#{id}"), {"t.secret": {"omit": True}, "sk": {"name": "sort_key"}}, "app")


def test_a_placeholder_does_not_take_the_name_of_an_attribute_that_decides():
    assert [problem for _, problem in problems({"by": "{id}", "types": {"a": {"when": {"sk": "{id}"}}}})] == [
        "the block uses an attribute {id}, too. Choose another name"
    ]


@pytest.mark.parametrize(("catalog_name", "message"), [
    ("snapshots", "the table snapshots_other would be a snapshot table. Set another CatalogName"),
    ("c" * 113, f"{'c' * 113} leaves no room for the names of entities. Set a CatalogName that is shorter"),
])  # fmt: skip
def test_the_catalog_name_must_leave_room_for_those_of_entities(catalog_name, message):
    assert ((), message) in list(problems({"by": "t"}, {}, catalog_name))


def test_the_order_of_types_is_stored_because_the_first_that_matches_decides():
    one = {"types": {"b": {"when": {"sk": "{x}"}}, "a": {"when": {"sk": "A#{x}"}}}}
    other = {"types": dict(reversed(one["types"].items()))}

    assert list(parsed(dump(one))["types"]) == ["b", "a"]
    assert dump(one) != dump(other)


def test_a_stored_block_that_was_changed_or_is_not_valid_is_refused():
    content = dump({"by": "t"})
    uri = f"s3://b/table-exports/entities/{hashlib.sha256(content).hexdigest()}.json"
    assert verified(content, uri) == {"by": "t"}

    with pytest.raises(PermanentError, match="was changed: its SHA-256 is not its name"):
        verified(dump({"by": "u"}), uri)
    content = dump({"wide": True})
    with pytest.raises(PermanentError, match=r"is not a valid block Entities \(: needs `by`"):
        verified(content, f"s3://b/{hashlib.sha256(content).hexdigest()}.json")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("ORDER#{id}", "ORDER#1", {"id": "1"}),
        ("ORDER#{id}", "ORDER#1#LINE#2", None),
        ("ORDER#{id}", "ORDER#", None),
        ("ORDER#{id}", "order#1", None),
        ("ORDER#{id}", "xORDER#1", None),
        ("ORDER#{id}#LINE#{n}", "ORDER#1#LINE#2", {"id": "1", "n": "2"}),
        ("{day}|{hour}:{minute}", "2026-01-02|03:04", {"day": "2026-01-02", "hour": "03", "minute": "04"}),
        ("USER-{id}", "USER-a:b/c", {"id": "a:b/c"}),
        ("USER-{id}", "USER-a#b", None),
        ("U.{id}", "UX1", None),
        ("METADATA", "METADATA", {}),
        ("METADATA", "METADATA\n", None),
        ("N#{note}", "N#two\nlines ß", {"note": "two\nlines ß"}),
        ("^{a}$", "^b$", {"a": "b"}),
        ("^{a}$", "^b^$", None),
    ],
)
def test_a_pattern_takes_the_parts_of_a_key(pattern, text, found):
    when = When({"sk": pattern})
    texts = when.texts_of([{"sk": {"S": text}}])

    assert when.matches(texts).tolist() == [found is not None]
    assert {name: value.to_pylist() for name, value in when.extract(texts).items()} == {
        name: [(found or {}).get(name)] for name in when.placeholders
    }


# --------------------------------------------------------------------------------------------------------------- names


def names_of(values, given=None, earlier=None, catalog_name="app"):
    return entity_names(values, {None: "other", **(given or {})}, catalog_name, earlier or {})


def test_names_are_given_or_derived_from_the_values():
    assert names_of([None, "order", "Café.v2"], {"order": "orders"}) == {
        None: "app_other",
        "order": "app_orders",
        "Café.v2": "app_caf__v2",
    }


def test_values_with_the_same_name_get_numbers_and_the_plain_one_keeps_it():
    assert names_of(["Order", "order", "ORDER", "orders", "Orders"], {"x": "orders"}) == {
        "order": "app_order",
        "ORDER": "app_order_2",
        "Order": "app_order_3",
        "orders": "app_orders_2",
        "Orders": "app_orders_3",
    }


def test_an_earlier_name_stays_whatever_comes():
    earlier = {"Order": "app_order", "gone": "app_line", None: "app_other"}

    assert names_of(["order", "Order", "line", None], earlier=earlier) == {
        "order": "app_order_2",
        "Order": "app_order",
        "line": "app_line_2",
        None: "app_other",
    }


def test_long_names_are_cut_to_what_the_catalog_takes_and_stay_distinct():
    names = names_of([f"{'v' * 300}{number}" for number in range(12)], catalog_name="c" * 112)

    assert len(set(names.values())) == 12
    assert {len(name) for name in names.values()} == {LONGEST_NAME}
    assert all(re.fullmatch(r"c{112}_v+(_\d+)?", name) for name in names.values())
