"""The rules of docs/schema.md, on a table with items for each, read in both modes and written in every format."""

import pytest

import export_table
from acceptance.zoo import ZOO, as_boto3, columns_of
from table_export_job.formats import FORMATS

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ITEMS = [item for case in ZOO for item in case.keyed_items]


def by_id(rows):
    return sorted(rows, key=lambda row: row["id"])


def columns_of_all(output_format):
    columns = {"id": "string"}
    for case in ZOO:
        columns |= columns_of(case, output_format)
    return columns


@pytest.mark.slow
def test_both_read_modes_give_the_same_columns_and_values(
    make_table, arguments, export_by_dynamodb, manifest, snapshot
):
    make_table("Zoo", map(as_boto3, ITEMS))
    summary = export_by_dynamodb(ITEMS, "zoo-by-dynamodb")
    found = {}

    for read_mode, given in {"scan": "-", "export": summary}.items():
        export_table.main(arguments("Zoo", read_mode=read_mode, table_export=given, export_id=read_mode))
        found[read_mode] = manifest("Zoo"), by_id(snapshot("Zoo"))

    (scanned, scanned_rows), (exported, exported_rows) = found["scan"], found["export"]
    assert {column["name"]: column["type"] for column in scanned["columns"]} == columns_of_all("parquet")
    assert exported_rows == scanned_rows
    assert (exported["read_mode"], scanned["read_mode"]) == ("export", "scan")
    for field in ("columns", "attributes", "items_counted", "items_written"):
        assert exported[field] == scanned[field]


@pytest.mark.parametrize("output_format", FORMATS)
def test_all_cases_fit_in_one_table_of_every_format(
    make_table, arguments, export_by_dynamodb, manifest, snapshot, output_format
):
    make_table("Zoo")
    given = {"read_mode": "export", "table_export": export_by_dynamodb(ITEMS, "zoo"), "output_format": output_format}

    export_table.main(arguments("Zoo", **given, export_id=output_format))

    assert {column["name"]: column["type"] for column in manifest("Zoo")["columns"]} == columns_of_all(output_format)
    assert [row["id"] for row in by_id(snapshot("Zoo"))] == sorted(item["id"]["S"] for item in ITEMS)
