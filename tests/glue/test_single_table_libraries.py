"""The items that ElectroDB and dynamodb-onetable write are those that their applications gave to them."""

import boto3
from boto3.dynamodb.types import TypeDeserializer

from tests.single_table.libraries import (
    ADDED_BY_ELECTRODB,
    ADDED_BY_ONETABLE,
    KEY,
    LATER_ENTITY,
    SHOP_ENTITIES,
    SHOP_STAMP,
    TRACKER_STAMP,
    remove_from_shop,
    write_shop,
    write_tracker,
)


def items_of(table, stamp):
    """All items of a table, by entity."""
    from_dynamodb, found = TypeDeserializer().deserialize, {}
    for page in boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            found.setdefault(item[stamp]["S"], []).append({name: from_dynamodb(item[name]) for name in item})
    return found


def given(found, added, own=()):
    """What the application gave, in any order: without what the library added."""
    names = added - set(own)
    return sorted(({n: v for n, v in item.items() if n not in names} for item in found), key=repr_of)


def repr_of(item):
    return repr(sorted((name, repr(value)) for name, value in item.items() if not isinstance(value, (set, dict))))


def test_electrodb_writes_twelve_entities_into_one_table(aws, single_table):
    table = single_table("Shop")

    written = write_shop(aws, table, *SHOP_ENTITIES)

    found = items_of(table, SHOP_STAMP)
    assert tuple(written) == SHOP_ENTITIES
    assert {name: len(items) for name, items in found.items()} == {name: len(items) for name, items in written.items()}
    for name, items in written.items():
        assert given(found[name], ADDED_BY_ELECTRODB) == sorted(items, key=repr_of)
    [user] = [item for item in found["user"] if item["userId"] == "u-1"]
    assert {name: user[name] for name in user.keys() & ADDED_BY_ELECTRODB} == {
        "pk": "$shop#userid_u-1",
        "sk": "$user_1",
        "gsi1pk": "$shop#email_user1@example.com",
        "gsi1sk": "$user_1",
        "__edb_e__": "user",
        "__edb_v__": "1",
    }


def test_an_entity_comes_to_the_shop_and_another_one_goes(aws, single_table):
    table = single_table("Shop")
    write_shop(aws, table, "cart", "coupon")

    remove_from_shop(aws, table, "cart")
    write_shop(aws, table, LATER_ENTITY)

    assert {name: len(items) for name, items in items_of(table, SHOP_STAMP).items()} == {"coupon": 3, "giftCard": 4}


def test_onetable_writes_five_models_and_items_of_its_own_into_one_table(aws, single_table):
    table = single_table("Tracker")

    written = write_tracker(aws, table)

    found = items_of(table, TRACKER_STAMP)
    assert {name: len(items) for name, items in found.items()} == {
        "Account": 3,
        "User": 12,
        "Project": 6,
        "Task": 150,
        "Comment": 40,
        "_Unique": 12,
    }
    for name, items in written.items():
        own = KEY if name == "_Unique" else ()
        assert given(found[name], ADDED_BY_ONETABLE, own) == sorted(items, key=repr_of)
    [user] = [item for item in found["User"] if item["id"] == "u1"]
    assert {name: user[name] for name in user.keys() & ADDED_BY_ONETABLE} == {
        "pk": "account#a1",
        "sk": "user#u1",
        "gs1pk": "user#user1@example.com",
        "gs1sk": "user#",
        "_type": "User",
    }
