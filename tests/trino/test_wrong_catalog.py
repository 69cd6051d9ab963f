"""What a fault in the catalog would show in Trino is found by the comparison with what was written to DynamoDB."""

import pytest

from sandbox.trino.client import TrinoError
from tests.trino.history import History, keep
from tests.trino.lake import DATABASE, timestamp_of

pytestmark = pytest.mark.slow

ITEMS = [
    {
        "id": {"S": "1"},
        "stars": {"N": "5"},
        "price": {"N": "9.99"},
        "place": {"M": {"city": {"S": "Ulm"}, "zip": {"N": "89073"}}},
        "tags": {"L": [{"S": "a"}]},
    },
]
RIGHT = {
    "stars": "bigint",
    "price": "decimal(38,2)",
    "place": "struct<city:string,zip:bigint>",
    "tags": "array<string>",
}
WRONG = [
    ("stars", "int"),
    ("stars", "string"),
    ("stars", "double"),
    ("price", "decimal(38,3)"),
    ("price", "string"),
    ("place", "struct<city:string>"),
    ("place", "struct<city:string,zip:string>"),
    ("tags", "array<binary>"),
]


def change_columns(lake, name, change):
    """Change the columns of the snapshot table and of its only partition."""
    table = {"DatabaseName": DATABASE, "TableName": f"snapshots_{name}"}
    found = lake.glue.get_table(DatabaseName=DATABASE, Name=table["TableName"])["Table"]
    storage = found["StorageDescriptor"] | {"Columns": change(found["StorageDescriptor"]["Columns"])}
    kept = {key: found[key] for key in ("Name", "TableType", "Parameters", "PartitionKeys")}
    lake.glue.update_table(DatabaseName=DATABASE, TableInput=kept | {"StorageDescriptor": storage})
    values = [timestamp_of(1)]
    [partition] = lake.glue.get_partitions(**table)["Partitions"]
    storage |= {"Location": partition["StorageDescriptor"]["Location"]}
    changed = {"Values": values, "StorageDescriptor": storage, "Parameters": partition.get("Parameters", {})}
    answer = lake.glue.batch_update_partition(
        **table, Entries=[{"PartitionValueList": values, "PartitionInput": changed}]
    )
    assert not answer["Errors"]


@pytest.fixture(scope="module")
def history():
    return History("parquet", [ITEMS])


@pytest.fixture(scope="module")
def table(lake, history):
    keep(lake, "wrong", history)
    return "wrong"


@pytest.mark.parametrize(("column", "wrong"), WRONG)
def test_a_wrong_type_is_found(lake, history, table, column, wrong):
    def with_type(name, kind):
        return lambda columns: [each | {"Type": kind} if each["Name"] == name else each for each in columns]

    change_columns(lake, table, with_type(column, wrong))

    with pytest.raises((AssertionError, TrinoError)):
        history.check(lake, table)
    change_columns(lake, table, with_type(column, RIGHT[column]))
    history.check(lake, table)


def test_a_missing_column_is_found(lake, history, table):
    removed = []
    change_columns(
        lake, table, lambda columns: [each for each in columns if each["Name"] != "tags" or removed.append(each)]
    )

    with pytest.raises((AssertionError, TrinoError)):
        history.check(lake, table)
    change_columns(lake, table, lambda columns: columns + removed)


def test_values_under_each_others_names_are_found(lake):
    history = History("csv", [[{"id": {"S": "1"}, "one": {"S": "1"}, "two": {"S": "2"}}]])
    keep(lake, "swapped", history)

    change_columns(lake, "swapped", lambda columns: [*columns[:-2], columns[-1], columns[-2]])

    with pytest.raises(AssertionError):
        history.check(lake, "swapped")


def test_a_view_of_an_older_snapshot_is_found(lake):
    history = History("json", [ITEMS, [ITEMS[0] | {"stars": {"N": "4"}}]])
    keep(lake, "older", history)
    older, newer = timestamp_of(1), timestamp_of(2)
    [(sql,)] = lake.query("SHOW CREATE VIEW older").rows

    assert newer in sql
    lake.query(sql.replace("CREATE VIEW", "CREATE OR REPLACE VIEW").replace(newer, older))

    with pytest.raises(AssertionError):
        history.check(lake, "older")
