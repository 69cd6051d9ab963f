"""Which changes of a type Trino reads over older and newer partitions: the table in docs/schema.md, "Nested fields"."""

import io
from decimal import Decimal

import pyarrow as pa
import pytest
from examples import a_manifest, an_export

from sandbox.trino.client import TrinoError
from table_export_job.columns import SnapshotColumn, arrow_schema
from table_export_job.formats import FORMATS
from table_exports.domain.catalog import partition_input, table_input
from table_exports.domain.view_sql import create_view
from tests.trino.lake import BUCKET, DATABASE, timestamp_of

pytestmark = pytest.mark.slow

WORKS, MISMATCH, FAILS = "works", "mismatch", "fails"
EVERYWHERE = dict.fromkeys(["parquet", "orc", "avro", "json"], (WORKS, WORKS))
# By change: the type and the value before, the type and the value after, the old value as the table shows it. Then, by
# format, what happens if partitions keep their types, and if they have the table's.
MATRIX = {
    "a field at the end": (
        ("struct<b:bigint>", {"b": 1}),
        ("struct<b:bigint,a:string>", {"b": 2, "a": "x"}),
        {"b": 1, "a": None},
        EVERYWHERE,
    ),
    "in lists of structs": (
        ("array<struct<b:bigint>>", [{"b": 1}]),
        ("array<struct<b:bigint,a:string>>", [{"b": 2, "a": "x"}]),
        [{"b": 1, "a": None}],
        EVERYWHERE,
    ),
    "in the values of maps": (
        ("map<string,struct<b:bigint>>", {"k": {"b": 1}}),
        ("map<string,struct<b:bigint,a:string>>", {"k": {"b": 2, "a": "x"}}),
        {"k": {"b": 1, "a": None}},
        EVERYWHERE,
    ),
    "two levels down": (
        ("struct<s:struct<t:struct<b:bigint>,u:bigint>>", {"s": {"t": {"b": 1}, "u": 3}}),
        ("struct<s:struct<t:struct<b:bigint,a:string>,u:bigint>>", {"s": {"t": {"b": 2, "a": "x"}, "u": 4}}),
        {"s": {"t": {"b": 1, "a": None}, "u": 3}},
        EVERYWHERE,
    ),
    "a field in the middle": (
        ("struct<a:bigint,c:bigint>", {"a": 1, "c": 2}),
        ("struct<a:bigint,b:string,c:bigint>", {"a": 3, "b": "x", "c": 4}),
        {"a": 1, "b": None, "c": 2},
        dict.fromkeys(EVERYWHERE, (MISMATCH, WORKS)),
    ),
    "an integer becomes a decimal": (
        ("bigint", 1),
        ("decimal(38,2)", Decimal("1.25")),
        Decimal("1.00"),
        {"parquet": (WORKS, FAILS), "orc": (WORKS, WORKS), "avro": (FAILS, FAILS), "json": (WORKS, WORKS)},
    ),
    "an integer becomes text": (
        ("bigint", 1),
        ("string", "x"),
        "1",
        {"parquet": (WORKS, WORKS), "orc": (WORKS, WORKS), "avro": (FAILS, FAILS), "json": (WORKS, WORKS)},
    ),
    "an integer becomes a decimal in a struct": (
        ("struct<b:bigint>", {"b": 1}),
        ("struct<b:decimal(38,2)>", {"b": Decimal("1.25")}),
        {"b": Decimal("1.00")},
        {"parquet": (WORKS, FAILS), "orc": (WORKS, WORKS), "avro": (FAILS, FAILS), "json": (WORKS, WORKS)},
    ),
    "an integer becomes text in a struct": (
        ("struct<b:bigint>", {"b": 1}),
        ("struct<b:string>", {"b": "x"}),
        {"b": "1"},
        {"parquet": (WORKS, FAILS), "orc": (WORKS, WORKS), "avro": (FAILS, FAILS), "json": (WORKS, WORKS)},
    ),
}


class Written:
    """A snapshot table of two snapshots, whose column `place` has a type in each of them and another in the table."""

    def __init__(self, lake, name, output_format, table_type):
        self._lake, self._format = lake, FORMATS[output_format]
        self.export = an_export(
            catalog_name=name, output_format=output_format, output_prefix=f"s3://{BUCKET}/exports/snapshots_{name}"
        )
        self._table = self.manifest(table_type)
        lake.glue.create_table(DatabaseName=DATABASE, TableInput=table_input(self.export, self._table, None))

    def manifest(self, hive_type):
        columns = [SnapshotColumn("place", hive_type, "place")]
        parameters = self._format.serde_parameters(arrow_schema(columns), None)
        return a_manifest(("place", hive_type), output_format=self.export.output_format, serde_parameters=parameters)

    def add(self, day, hive_type, value, *, keeps_type):
        of_the_file = self.manifest(hive_type)
        schema = arrow_schema([SnapshotColumn("place", hive_type, "place")])
        file = Kept()
        writer = self._format.writer(file, schema, of_the_file.serde_parameters)
        content = list(value.items()) if hive_type.startswith("map") else value
        writer.write(pa.RecordBatch.from_arrays([pa.array([content], schema.field("place").type)], schema=schema))
        writer.close()
        file.close()
        described = partition_input(self.export, of_the_file if keeps_type else self._table, timestamp_of(day), None)
        bucket, _, folder = described["StorageDescriptor"]["Location"].removeprefix("s3://").partition("/")
        self._lake.s3.put_object(Bucket=bucket, Key=f"{folder}part{self._format.suffix}", Body=file.content)
        table = {"DatabaseName": DATABASE, "TableName": self.export.snapshot_table}
        self._lake.glue.batch_create_partition(**table, PartitionInputList=[described])

    def outcome(self, expected):
        try:
            found = self._lake.query(f"SELECT place FROM {self.export.snapshot_table} ORDER BY snapshot_timestamp")
        except TrinoError as error:
            return MISMATCH if error.name == "HIVE_PARTITION_SCHEMA_MISMATCH" else FAILS
        assert [row["place"] for row in found.as_dicts()] == expected
        return WORKS


class Kept(io.BytesIO):
    """A file whose content can still be read when it is closed."""

    content = b""

    def close(self):
        self.content = self.getvalue()
        super().close()


@pytest.mark.parametrize("keeps_type", [True, False], ids=["partitions-keep-types", "partitions-have-the-tables"])
@pytest.mark.parametrize("output_format", EVERYWHERE)
@pytest.mark.parametrize("change", MATRIX)
def test_the_change_is_read_as_documented(lake, change, output_format, keeps_type):
    before, after, shown, outcomes = MATRIX[change]
    name = f"matrix_{list(MATRIX).index(change)}_{output_format}_{int(keeps_type)}"
    written = Written(lake, name, output_format, after[0])

    written.add(1, *before, keeps_type=keeps_type)
    written.add(2, *after, keeps_type=True)

    assert written.outcome([shown, after[1]]) == outcomes[output_format][0 if keeps_type else 1]


@pytest.mark.parametrize("keeps_type", [True, False], ids=["partitions-keep-types", "partitions-have-the-tables"])
@pytest.mark.parametrize("output_format", EVERYWHERE)
def test_a_field_that_newer_files_lack_stays_in_the_table(lake, output_format, keeps_type):
    written = Written(lake, f"fewer_{output_format}_{int(keeps_type)}", output_format, "struct<a:bigint,b:string>")

    written.add(1, "struct<a:bigint,b:string>", {"a": 1, "b": "x"}, keeps_type=True)
    written.add(2, "struct<a:bigint>", {"a": 2}, keeps_type=keeps_type)

    assert written.outcome([{"a": 1, "b": "x"}, {"a": 2, "b": None}]) == WORKS


def test_a_view_is_stale_from_the_growth_of_a_struct_until_it_is_replaced(lake):
    """So the table keeps its types while a crawl is made, and grows right before the view is replaced."""
    before, after = "struct<b:bigint>", "struct<b:bigint,a:string>"
    written = Written(lake, "viewed", "parquet", before)
    written.add(1, before, {"b": 1}, keeps_type=True)
    export, columns = written.export, [("place", "place")]
    catalog, query = lake.catalog, "SELECT place FROM viewed"
    lake.query(create_view(an_export(catalog_name="viewed", snapshot_timestamp=timestamp_of(1)), DATABASE, columns))
    grown = a_manifest(("place", after), ("price", "bigint"))

    catalog.prepare_crawl(export, grown)
    assert lake.query(query).rows == [[{"b": 1}]]

    catalog.ensure_table(export, grown)
    with pytest.raises(TrinoError, match="stale"):
        lake.query(query)

    lake.query(create_view(an_export(catalog_name="viewed", snapshot_timestamp=timestamp_of(1)), DATABASE, columns))
    assert lake.query(query).rows == [[{"b": 1, "a": None}]]
