"""Hive's SerDes find every value that was written to DynamoDB, under the column and the type of docs/schema.md."""

import pytest

from acceptance.zoo import ZOO, number, text
from tests.trino.drift import DRIFT
from tests.trino.history import PARTITION, History, keep
from tests.trino.lake import DATABASE

pytestmark = pytest.mark.slow


class Reader:
    """Reads snapshot tables by Hive's SerDes, as the sandbox's catalog describes them."""

    def __init__(self, hive, lake, folder):
        self._hive, self._lake, self._folder = hive, lake, folder

    def table(self, name):
        return self._lake.glue.get_table(DatabaseName=DATABASE, Name=f"snapshots_{name}")["Table"]

    def read(self, name, by):
        """The columns' types and all rows. `by` says whose SerDe reads a file: that of the `table` or `partition`."""
        table, rows = self.table(name), []
        for partition in self._lake.glue.get_partitions(DatabaseName=DATABASE, TableName=table["Name"])["Partitions"]:
            [value] = partition["Values"]
            files = list(self._files(partition["StorageDescriptor"]["Location"]))
            found = self._hive.rows(table, table if by == "table" else partition, files)
            rows += [row | {PARTITION: value} for row in found]
        return self._hive.types(table) | {PARTITION: "varchar"}, rows

    def change_table(self, name, texts):
        """Replace texts in the columns and in the SerDe's parameters of the catalog's table."""
        table = self.table(name)
        known = ("Name", "Parameters", "PartitionKeys", "StorageDescriptor", "TableType")
        changed = {key: table[key] for key in known}
        descriptor = changed["StorageDescriptor"]
        for old, new in texts.items():
            for column in descriptor["Columns"]:
                column["Type"] = column["Type"].replace(old, new)
            parameters = descriptor["SerdeInfo"]["Parameters"]
            parameters |= {key: value.replace(old, new) for key, value in parameters.items()}
        self._lake.glue.update_table(DatabaseName=DATABASE, TableInput=changed)

    def _files(self, location):
        bucket, _, folder = location.removeprefix("s3://").partition("/")
        for each in self._lake.s3.list_objects_v2(Bucket=bucket, Prefix=folder).get("Contents", []):
            path = self._folder / each["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lake.s3.download_file(bucket, each["Key"], path)
            yield path


@pytest.fixture
def reader(hive, lake, tmp_path):
    return Reader(hive, lake, tmp_path)


def test_every_value_of_the_zoo_is_found(lake, reader, output_format):
    history = History(output_format, [[item for case in ZOO for item in case.keyed_items]])
    name = f"zoo_{output_format}"

    keep(lake, name, history)

    history.check_snapshots(*reader.read(name, by="partition"))


@pytest.mark.parametrize("way", ["by-our-services", "with-older-partitions"])
def test_values_are_found_as_attributes_come_go_and_change_type(lake, reader, output_format, way):
    """By the table's SerDe as by those of the partitions."""
    history = History(output_format, DRIFT)
    name = f"drift_{output_format}_{len(way)}"

    keep(lake, name, history, keep_partitions=way == "with-older-partitions")

    history.check_snapshots(*reader.read(name, by="table"))
    history.check_snapshots(*reader.read(name, by="partition"))


WRONG_TYPES = {"json": {"bigint": "double"}, "csv": {"string": "bigint"}, "avro": {"bigint": "string"}}


def test_a_wrong_type_in_the_catalog_is_noticed(lake, reader, output_format):
    history = History(output_format, DRIFT)
    name = f"wrong_type_{output_format}"
    keep(lake, name, history)
    history.check_snapshots(*reader.read(name, by="table"))

    reader.change_table(name, WRONG_TYPES[output_format])

    with pytest.raises(AssertionError, match="price"):
        history.check_snapshots(*reader.read(name, by="table"))


WRONG_VALUES = {
    "json": {"decimal(38,2)": "bigint"},
    "csv": {"\\": "#"},
    "avro": {"decimal(38,2)": "decimal(38,1)", '"scale": 2': '"scale": 1'},
}


def test_a_wrong_value_is_noticed(lake, reader, output_format):
    """Whatever the types are."""
    history = History(output_format, [[{"id": text("1"), "note": text("back\\slash"), "price": number("9.99")}]])
    name = f"wrong_value_{output_format}"
    keep(lake, name, history)
    types, rows = reader.read(name, by="table")
    history.check_snapshots(types, rows)

    reader.change_table(name, WRONG_VALUES[output_format])
    _, rows = reader.read(name, by="table")

    with pytest.raises(AssertionError, match="Column"):
        history.check_snapshots(types, rows)
