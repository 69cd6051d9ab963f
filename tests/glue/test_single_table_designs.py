"""The types that the router finds in items that others designed: ElectroDB, dynamodb-onetable and AWS's examples."""

import json

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer

from table_export_job.entities import problems
from table_export_job.routing import Router
from tests.single_table.aws_examples import EXAMPLES
from tests.single_table.libraries import (
    LATER_ENTITY,
    SHOP_ENTITIES,
    SHOP_STAMP,
    TRACKER_STAMP,
    write_shop,
    write_tracker,
)


def scan(table):
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def split(entities, items):
    """What the router makes of the items: those of each type, with what placeholders add."""
    assert list(problems(entities)) == []
    lines = "".join(json.dumps({"Item": item}, separators=(",", ":")) + "\n" for item in items).encode()
    return {
        value: [json.loads(line)["Item"] for line in part.splitlines()]
        for value, part in Router(entities).split(lines).items()
    }


def counts(by_type):
    return {value: len(items) for value, items in by_type.items()}


def test_each_item_of_electrodb_goes_to_its_entity(aws, single_table):
    table = single_table("Shop")
    written = write_shop(aws, table, *SHOP_ENTITIES, LATER_ENTITY)
    items = scan(table)

    routed = split({"by": SHOP_STAMP}, items)

    assert counts(routed) == counts(written)
    assert routed == {name: [item for item in items if item[SHOP_STAMP]["S"] == name] for name in written}


def test_parts_of_electrodbs_keys_become_attributes(aws, single_table):
    table = single_table("Shop")
    written = write_shop(aws, table, "orderLine", "cart")
    when = {"pk": "$shop#orderid_{in_order}", "sk": "$orderline_1#linenumber_{line}"}

    routed = split({"by": SHOP_STAMP, "types": {"orderLine": {"when": when}}}, scan(table))

    found = {(item["{in_order}"]["S"], item["{line}"]["S"]) for item in routed["orderLine"]}
    assert found == {(line["orderId"], str(line["lineNumber"])) for line in written["orderLine"]}
    assert counts(routed) == {"orderLine": 360, "cart": 3}


def test_each_item_of_onetable_goes_to_its_model(aws, single_table):
    table = single_table("Tracker")
    written = write_tracker(aws, table)
    items = scan(table)

    by_stamp = split({"by": TRACKER_STAMP}, items)
    by_keys = split(
        {
            "types": {
                "Account": {"when": {"sk": "account#"}},
                "User": {"when": {"sk": "user#{user}"}},
                "Project": {"when": {"sk": "project#{project}"}},
                "Task": {"when": {"sk": "task#{task}"}},
                "Comment": {"when": {"sk": "task#{of_task}#comment#{comment}"}},
                "_Unique": {"when": {"sk": "_unique#", "pk": "_unique#{model}#{attribute}#{value}"}},
            }
        },
        items,
    )

    assert counts(by_stamp) == counts(by_keys) == counts(written)
    for name, found in by_keys.items():
        assert [{n: v for n, v in item.items() if not n.startswith("{")} for item in found] == by_stamp[name]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_each_item_of_awss_examples_goes_to_its_entity(example):
    in_dynamodb = TypeSerializer().serialize
    items = {
        value: [{name: in_dynamodb(each) for name, each in item.items()} for item in items]
        for value, items in example.items.items()
    }
    for each in [item for some in items.values() for item in some if "attachments" in item]:
        each["attachments"]["SS"].sort()

    routed = split(example.entities, [item for some in items.values() for item in some])

    assert routed == {value: with_added(some, example.placeholders.get(value)) for value, some in items.items()}


def with_added(items, added):
    texts = [{f"{{{n}}}": {"S": v} for n, v in each.items() if v is not None} for each in added or [{}] * len(items)]
    return [text | item for text, item in zip(texts, items, strict=True)]
