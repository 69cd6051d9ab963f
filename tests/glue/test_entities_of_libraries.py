"""The whole job on what ElectroDB wrote: each entity's files have its items, and are as small as they can be."""

import hashlib
import json
from decimal import Decimal

import boto3
import pytest

import export_table
from table_export_job.entities import dump, problems
from tests.glue.job_places import BUCKET, keys_below, read_rows
from tests.single_table.libraries import ADDED_BY_ELECTRODB, SHOP_ENTITIES, SHOP_STAMP, write_shop

TYPES, ITEMS_OF_EACH = 20, 400


@pytest.fixture
def entities(environment):
    def store(block):
        assert list(problems(block)) == []
        content = dump(block)
        key = f"artifacts/entities/{hashlib.sha256(content).hexdigest()}.json"
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    return store


def attributes_of(rows, columns):
    """The rows by attributes, without NULL and what the library adds."""
    names = {column["name"]: column["attribute"] for column in columns if column["attribute"] not in ADDED_BY_ELECTRODB}
    return [{names[name]: value for name, value in row.items() if name in names and value is not None} for row in rows]


def plain(value):
    """A value without what distinguishes parquet's from DynamoDB's: NULL for a missing member, lists for sets."""
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items() if member is not None}
    if isinstance(value, set):
        return sorted(value)
    return [plain(member) for member in value] if isinstance(value, list) else value


def comparable(items):
    """The items in an order of their own, with numbers of one kind."""
    alike = json.loads(json.dumps([plain(item) for item in items], default=float), parse_int=float)
    return sorted(alike, key=lambda item: json.dumps(item, sort_keys=True))


def test_each_entity_of_electrodb_has_all_of_its_values(aws, single_table, arguments, entities, manifest):
    table = single_table("Shop")
    written = write_shop(aws, table, *SHOP_ENTITIES)

    export_table.main(arguments(table, entities=entities({"by": SHOP_STAMP, "types": {"audit": {"omit": True}}})))

    found = manifest(table)
    audit = written.pop("audit")
    assert found["items_omitted"] == len(audit)
    assert {section["value"]: section["items_written"] for section in found["entities"]} == {
        entity: len(items) for entity, items in written.items()
    }
    for section in found["entities"]:
        folder = f"exports/entities_shop/shop_{section['value'].lower()}/"
        rows = [row for key in keys_below(folder) for row in read_rows(key)]
        shown, given = attributes_of(rows, section["columns"]), written[section["value"]]
        assert comparable(shown) == comparable(given)


def an_item(kind, number):
    """An item of a kind, whose attributes no other kind has."""
    return {
        "id": {"S": f"{kind}#{number:06d}"},
        "kind": {"S": f"kind{kind}"},
        f"text_{kind}": {"S": hashlib.sha256(f"{kind} {number}".encode()).hexdigest()},
        f"count_{kind}": {"N": str(number * 37 % 1009)},
        f"place_{kind}": {"M": {"city": {"S": f"City {number % 50}"}, "zip": {"N": str(10_000 + number)}}},
    }


def test_a_query_of_one_entity_reads_hardly_more_than_if_it_had_a_table_of_its_own(
    make_table, arguments, entities, manifest, export_by_dynamodb
):
    items = [an_item(kind, number) for number in range(ITEMS_OF_EACH) for kind in range(TYPES)]
    alone = [item for item in items if item["kind"]["S"] == "kind7"]
    sizes = {}
    for table, content, block in (("Many", items, entities({"by": "kind"})), ("Single", alone, "-")):
        make_table(table)
        summary = export_by_dynamodb(content, table.lower(), table=table)
        export_table.main(arguments(table, read_mode="export", table_export=summary, entities=block))
        sizes[table] = manifest(table)

    [of_kind] = [section for section in sizes["Many"]["entities"] if section["value"] == "kind7"]
    assert len(sizes["Many"]["entities"]) == TYPES
    assert of_kind["items_written"] == sizes["Single"]["items_written"] == ITEMS_OF_EACH
    assert of_kind["bytes"] <= Decimal("1.2") * sizes["Single"]["bytes"]
