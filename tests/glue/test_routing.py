"""Items go to the entity of their type, and Arrow decides as Python does. No Spark, no AWS."""

import json
import pickle
from collections import Counter

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from table_export_job import routing
from table_export_job.errors import PermanentError
from table_export_job.routing import Router
from table_export_job.staged_lines import lines_of
from tests.glue import random_items

BY_TYPE = {"by": "t"}
BY_PREFIX = {"by": {"key": "sk", "before": "#"}}
KEYS = {
    "order": {"name": "orders", "when": {"pk": "USER#{user_id}", "sk": "ORDER#{order_id}"}},
    "line": {"when": {"sk": "ORDER#{order_id}#LINE#{line}"}},
    "any_user": {"when": {"pk": "USER#{user_id}"}},
    "audit": {"omit": True, "when": {"sk": "AUDIT"}},
}
BY_KEYS, BY_BOTH = {"types": KEYS}, {"by": "t", "types": KEYS}
BLOCKS = [BY_TYPE, BY_PREFIX, BY_KEYS, BY_BOTH, BY_PREFIX | {"types": KEYS}]


def s(text):
    return {"S": text}


def split_items(router, lines):
    return {
        value: [orjson.loads(line)["Item"] for line in part.splitlines()] for value, part in router.split(lines).items()
    }


def one_by_one(router, items):
    parts = {}
    for item in items:
        value = router.type_of(item)
        parts.setdefault(value, []).extend(router.with_placeholders([item], value))
    return parts


@pytest.mark.parametrize(
    ("block", "item", "value"),
    [
        (BY_TYPE, {"t": s("order")}, "order"),
        (BY_TYPE, {"t": s("Order")}, "Order"),
        (BY_TYPE, {"t": {"N": "1.50"}}, "1.50"),
        (BY_TYPE, {"t": s("")}, None),
        (BY_TYPE, {"t": {"BOOL": True}}, None),
        (BY_TYPE, {"t": {"NULL": True}}, None),
        (BY_TYPE, {"t": {"B": "eA=="}}, None),
        (BY_TYPE, {"t": {"M": {"S": s("x"), "t": s("y")}}}, None),
        (BY_TYPE, {"m": {"M": {"t": s("x")}}}, None),
        (BY_TYPE, {}, None),
        (BY_PREFIX, {"sk": s("ORDER#1#2")}, "ORDER"),
        (BY_PREFIX, {"sk": s("ORDER")}, "ORDER"),
        (BY_PREFIX, {"sk": s("#1")}, None),
        (BY_PREFIX, {"sk": {"N": "1"}}, None),
        (BY_KEYS, {"pk": s("USER#1"), "sk": s("ORDER#1")}, "order"),
        (BY_KEYS, {"pk": s("X"), "sk": s("ORDER#1#LINE#2")}, "line"),
        (BY_KEYS, {"pk": s("USER#1"), "sk": s("ORDER#1#LINE#2")}, "line"),
        (BY_KEYS, {"pk": s("USER#1"), "sk": s("PROFILE")}, "any_user"),
        (BY_KEYS, {"pk": s("USER#1")}, "any_user"),
        (BY_KEYS, {"pk": s("X"), "sk": s("ORDER#1")}, None),
        (BY_BOTH, {"t": s("invoice"), "pk": s("USER#1"), "sk": s("ORDER#1")}, "invoice"),
        (BY_BOTH, {"t": s(""), "pk": s("USER#1"), "sk": s("ORDER#1")}, "order"),
    ],
)  # fmt: skip
def test_the_type_is_the_discriminator_then_the_first_pattern_that_matches(block, item, value):
    router = Router(block)

    assert router.type_of(item) == value
    assert list(router.split(lines_of([item]))) == [value]


def test_placeholders_become_attributes_of_the_items():
    router = Router(BY_BOTH)
    items = [
        {"pk": s('USER#ü"\\\n\x1f'), "sk": s("ORDER#7"), "x": {"N": "1"}},
        {"t": s("order"), "pk": s("USER#2"), "sk": s("DRAFT")},
        {"t": s("order"), "pk": s("USER#3"), "sk": s("ORDER#8")},
    ]

    parts = split_items(router, lines_of(items))

    assert parts == {
        "order": [
            items[0] | {"{user_id}": s('ü"\\\n\x1f'), "{order_id}": s("7")},
            items[1],
            items[2] | {"{user_id}": s("3"), "{order_id}": s("8")},
        ]
    }
    assert router.placeholders("order") == ["user_id", "order_id"]
    assert router.placeholders("audit") == router.placeholders("unknown") == router.placeholders(None) == []


def test_lines_keep_their_bytes_and_their_order():
    lines = [b'{"Item":{"t":{"S":"%s"},"n":{"N":"%d"}}}\n' % (b"ab"[n % 2 : n % 2 + 1], n) for n in range(50)]

    assert Router(BY_TYPE).split(b"".join(lines)) == {"a": b"".join(lines[::2]), "b": b"".join(lines[1::2])}
    assert Router(BY_TYPE).split(b"") == {}


@pytest.mark.parametrize(
    "line",
    [
        b'{"Item": {"pk": {"S": "USER#1"}, "sk": {"S": "ORDER#2"}}}\n',
        b' {"Item":{"pk":{"S":"USER#1"},"sk":{"S":"ORDER#2"}}}\n',
        b'{"Item":{"pk":{"S":"USER\\u00231"},"sk":{"S":"ORDER#2"}}}\n',
        b'{"Item":{"pk":{"S":"USER#1"},"sk":{"S":"ORDER#2"}}}',
    ],
)
def test_lines_that_are_written_in_another_way_are_read_too(line):
    assert split_items(Router(BY_KEYS), line) == {
        "order": [{"pk": s("USER#1"), "sk": s("ORDER#2"), "{user_id}": s("1"), "{order_id}": s("2")}]
    }


@pytest.mark.parametrize("line", [b'{"Item":{"t":{"S":"\\ud800"}}}\n', b'{"Item":\n', b'\n{"Item":{}}\n', b"[]\n"])
def test_damaged_lines_are_errors_as_everywhere_else(line):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Router(BY_TYPE).split(line)


@pytest.mark.parametrize("value", [s("x"), {"M": {}}, {"NULL": True}])
def test_an_attribute_with_the_name_of_a_placeholder_is_refused(value):
    router, item = Router(BY_KEYS), {"pk": s("USER#1"), "{user_id}": value}

    for route in (lambda: router.split(lines_of([item])), lambda: router.with_placeholders([item], "any_user")):
        with pytest.raises(PermanentError, match=r"An item has an attribute \{user_id\}. Rename the placeholder"):
            route()
    assert router.split(lines_of([{"{user_id}": value}])) == {None: lines_of([{"{user_id}": value}])}


def test_the_block_has_defaults():
    router = Router(BY_KEYS)

    assert (router.rest, router.wide, router.max_entities) == ("other", False, 100)
    assert (router.omitted, router.attributes) == ({"audit"}, ["pk", "sk"])
    assert router.given_names == {None: "other", "order": "orders"}


def test_tasks_receive_the_router():
    router = pickle.loads(pickle.dumps(Router(BY_BOTH | {"rest": "x", "wide": True, "max_entities": 7})))

    assert (router.rest, router.wide, router.max_entities) == ("x", True, 7)
    assert router.type_of({"pk": s("USER#1")}) == "any_user"


texts = st.one_of(
    st.sampled_from(["order", "Order", "line", "", "ORDER", "USER#1", "ORDER#1", "ORDER#1#LINE#2", "AUDIT", "USER#"]),
    st.builds("USER#{}".format, random_items.texts),
    st.builds("ORDER#{}#LINE#{}".format, random_items.texts, random_items.texts),
    random_items.texts,
)
values = st.one_of(*[random_items.value("S", texts)] * 3, *random_items.scalars, st.just({"L": [s("order")]}))
items = st.lists(
    st.fixed_dictionaries({}, optional={"t": values, "pk": values, "sk": values, "n": values, "m": st.just({"M": {}})}),
    max_size=8,
)


@settings(deadline=None)  # the machine may be busy
@given(items, st.sampled_from(BLOCKS), st.sampled_from(["orjson", "ascii", "spaces"]))
@example([{"t": s("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"))}], BY_TYPE, "ascii")
def test_lines_are_split_as_items_are(items, block, written):
    router = Router(block)
    lines = {
        "orjson": lines_of(items),
        "ascii": "".join(json.dumps({"Item": item}, separators=(",", ":")) + "\n" for item in items).encode(),
        "spaces": "".join(json.dumps({"Item": item}, ensure_ascii=False) + "\n" for item in items).encode(),
    }[written]

    parts = split_items(router, lines)

    assert parts == one_by_one(router, items)
    assert sum(map(len, parts.values())) == len(items)


@settings(deadline=None)
@given(items)
def test_the_fallback_splits_in_the_same_way(items):
    router = Router(BY_BOTH)

    assert split_items(router, lines_of(items)) == {
        value: [orjson.loads(line)["Item"] for line in part.splitlines()]
        for value, part in router._split_items(lines_of(items)).items()
    }


def test_no_pattern_takes_exponential_time():
    """RE2 matches in linear time. An engine that backtracks does not end here."""
    router = Router({"types": {"x": {"when": {"sk": "{a}-{b}-{c}-{d}-{e}-{f}-{g}-{h}-{i}-{j}!"}}}})
    matching, other = {"sk": s("-" * 120 + "!")}, {"sk": s("-" * 120)}
    parts = {
        "x": [{"{a}": s("-" * 102)} | {f"{{{name}}}": s("-") for name in "bcdefghij"} | matching],
        None: [other],
    }

    assert split_items(router, lines_of([matching, other])) == parts
    assert one_by_one(router, [matching, other]) == parts
    assert router._split_items(lines_of([matching, other])) == {
        value: lines_of(items) for value, items in parts.items()
    }


def test_arrow_splits_ordinary_lines_without_python(monkeypatch):
    monkeypatch.setattr(routing.orjson, "loads", None)
    items = [{"t": s(f"type{n % 20}"), "pk": s(f"USER#{n}"), "sk": s(f"ORDER#{n}")} for n in range(2000)]

    parts = Router(BY_BOTH | {"types": {f"type{n}": KEYS["order"] for n in range(20)}}).split(lines_of(items))

    assert Counter({value: part.count(b'"{order_id}":') for value, part in parts.items()}) == {
        f"type{n}": 100 for n in range(20)
    }


@settings(deadline=None)
@given(items)
def test_lines_of_omitted_types_are_removed_and_the_others_stay_as_they_are(items):
    router = Router(BY_BOTH)

    kept = [orjson.loads(line)["Item"] for line in router.without_omitted(lines_of(items)).splitlines()]

    in_order = [value for value, _ in sorted(Counter(map(router.type_of, items)).items(), key=str)]
    assert [[item for item in kept if router.type_of(item) == value] for value in in_order] == [
        [item for item in items if router.type_of(item) == value and value != "audit"] for value in in_order
    ]
    assert len(kept) == sum(router.type_of(item) != "audit" for item in items)


def test_lines_are_as_they_were_if_no_type_is_omitted():
    lines = lines_of([{"t": s("b")}, {"t": s("a")}])

    assert Router(BY_TYPE).without_omitted(lines) is lines
