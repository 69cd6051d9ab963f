"""Which changes of the block Entities would end what earlier snapshots began."""

import pytest

from table_export_job.continuity import Published, ensure_continued, problems
from table_export_job.entities import entity_names
from table_export_job.errors import PermanentError

OTHERWISE = 'deploy another table stack with its own CatalogName, or start over: docs/schema.md, "Start over"'
NOTHING = Published({}, wide=False)


@pytest.mark.parametrize(
    ("block", "published", "place", "message"),
    [
        (
            None,
            Published({"order": "app_order"}, wide=False),
            "",
            f"the latest snapshot has tables of entities. Restore this block, {OTHERWISE}",
        ),
        (
            None,
            Published({}, wide=True),  # all types are omitted
            "",
            f"the latest snapshot has tables of entities. Restore this block, {OTHERWISE}",
        ),
        (
            {"by": "t"},
            Published({}, wide=True, entities=False),
            "wide",
            f"the table app of all items would no longer be updated. Set it to true, {OTHERWISE}",
        ),
        (
            {"by": "t", "types": {"order": {"name": "orders"}}},
            Published({"order": "app_order_2"}, wide=False),
            "types.order.name",
            f"is orders, but these items are in the table app_order_2. Set it to order_2 again, {OTHERWISE}",
        ),
        (
            {"by": "t"},
            Published({None: "app_rest"}, wide=False),
            "rest",
            f"is other, but these items are in the table app_rest. Set it to rest again, {OTHERWISE}",
        ),
        (
            {"by": "t", "types": {"order": {"name": "orders"}}},
            Published({"Orders": "app_orders"}, wide=False),
            "types.order.name",
            'is orders, but app_orders is the table of the type "Orders". Choose another name',
        ),
        (
            {"by": "t", "types": {"order": {"name": "rest"}}},
            Published({None: "app_other", "x": "app_rest"}, wide=False),
            "types.order.name",
            'is rest, but app_rest is the table of the type "x". Choose another name',
        ),
        (
            {"by": "t", "types": {"x": {"omit": True}}, "max_entities": 1},
            Published({"x": "app_x", "y": "app_y", "z": "app_z"}, wide=False),
            "max_entities",
            "is 1, but earlier snapshots have 2 entities. Set it to 2 or more, or omit types",
        ),
        (
            {"by": "t"},
            Published({f"v{n}": f"app_v{n}" for n in range(201)}, wide=False),
            "max_entities",
            "is 100, but earlier snapshots have 201 entities. Omit types",
        ),
    ],
)
def test_what_would_no_longer_be_published_is_named_with_the_remedy(block, published, place, message):
    assert [(".".join(where), problem) for where, problem in problems(block, published, "app")] == [(place, message)]
    with pytest.raises(PermanentError) as refused:
        ensure_continued(block, published, "app")
    assert str(refused.value) == f"Permanent error: {'.'.join(filter(None, ['Entities', place]))}: {message}."


@pytest.mark.parametrize(
    ("block", "published"),
    [
        (None, Published({}, wide=True, entities=False)),
        ({"by": "t", "types": {"order": {"name": "orders"}}}, NOTHING),
        ({"by": "t", "wide": True}, Published({}, wide=True, entities=False)),
        ({"by": "t", "wide": True}, Published({"order": "app_order"}, wide=False)),
        ({"by": "t"}, Published({"order": "app_orders"}, wide=False)),
        ({"by": "t", "types": {"order": {"omit": True}}}, Published({"order": "app_order"}, wide=False)),
        ({"by": "u", "types": {"order": {"name": "order_2"}}}, Published({"order": "app_order_2"}, wide=False)),
        ({"by": "t", "types": {"new": {"name": "new"}}, "max_entities": 2}, Published({"a": "app_a"}, wide=False)),
    ],
)
def test_what_goes_on_or_begins_is_no_problem(block, published):
    ensure_continued(block, published, "app")


def test_the_remedy_of_a_new_name_is_the_earlier_one():
    published = Published({"Order": "app_order_2", "order": "app_order"}, wide=False)
    [(_, message)] = problems({"by": "t", "types": {"Order": {"name": "orders"}}}, published, "app")
    again = message.partition("Set it to ")[2].partition(" again")[0]

    ensure_continued({"by": "t", "types": {"Order": {"name": again}}}, published, "app")
    assert entity_names(["Order"], {"Order": again}, "app", published.names) == {"Order": "app_order_2"}


def test_a_manifest_says_what_was_published():
    order, rest = {"value": "order", "name": "app_orders"}, {"value": None, "name": "app_other"}
    wide = {"value": None, "name": "app", "wide": True}

    assert Published.of({"columns": []}) == Published({}, wide=True, entities=False)
    assert Published.of({"entities": [order, rest]}) == Published({"order": "app_orders", None: "app_other"}, False)
    assert Published.of({"entities": [wide, order]}) == Published({"order": "app_orders"}, wide=True)
