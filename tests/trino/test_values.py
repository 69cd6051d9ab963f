"""Trino reads every value that was written to DynamoDB, under the column and the type that docs/schema.md promises."""

from decimal import Decimal

import pytest

from acceptance.zoo import ZOO, columns_of, number, text
from sandbox.trino.client import TrinoError
from tests.trino.drift import DRIFT, record
from tests.trino.history import History, keep
from tests.trino.lake import BUCKET, timestamp_of
from tests.trino.promised import column_name, shows, type_of

pytestmark = pytest.mark.slow

FORMATS = ["parquet", "orc", "avro", "json", "csv"]


@pytest.fixture(scope="module")
def zoo(lake):
    """What Trino shows of the view of each format: the types of its columns, and each item's row."""
    lake.make_table("Zoo", id="S")
    lake.write("Zoo", [item for case in ZOO for item in case.keyed_items])
    found = {}
    for output_format in FORMATS:
        lake.snapshot("Zoo", f"zoo_{output_format}", output_format, 1)
        shown = lake.query(f"SELECT * FROM zoo_{output_format}")
        types = {column.name: type_of(column.signature) for column in shown.columns}
        found[output_format] = types, {row["id"]: row for row in shown.as_dicts()}
    return found


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("case", ZOO, ids=str)
def test_every_value_of_the_zoo_is_shown(zoo, case, output_format):
    types, rows = zoo[output_format]
    attributes = {name for item in case.items for name in item}
    columns = {name: column_name(name, output_format) for name in attributes}
    alone = [name for name in attributes if list(columns.values()).count(columns[name]) == 1]
    alone = [name for name in alone if columns[name] != "snapshot_timestamp"]
    assert columns_of(case, output_format).keys() <= types.keys()
    assert len(alone) >= len(attributes) - 6  # the others' names are the matter of test_names
    for item in case.keyed_items:
        row = rows[item["id"]["S"]]
        for attribute in alone:
            kind, shown = types[columns[attribute]], row[columns[attribute]]
            assert shows(shown, item.get(attribute), kind, output_format), (attribute, kind, shown)


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_zoo_has_the_types_that_the_rules_promise(zoo, output_format):
    types, _ = zoo[output_format]
    history = History(output_format, [[item for case in ZOO for item in case.keyed_items]])
    colliding = {"a_b", "userid", "snapshot_timestamp"}
    promised = {column.name: column.type for column in history.columns}

    assert {name: kind for name, kind in types.items() if name not in colliding and name in promised} == {
        name: kind for name, kind in promised.items() if name not in colliding
    }


WAYS = {"by-our-services": {}, "with-older-partitions": {"keep_partitions": True}, "after-crawls": {"crawl": True}}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("output_format", FORMATS)
def test_snapshots_stay_readable_as_attributes_come_go_and_change_type(lake, output_format, way):
    """However they came into the catalog."""
    history = History(output_format, DRIFT)
    name = f"drift_{output_format}_{list(WAYS).index(way)}"

    keep(lake, name, history, **WAYS[way])

    history.check(lake, name)


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_table_that_dynamodb_exported_is_read(lake, output_format):
    name = f"exported_{output_format}"
    lake.make_table(name, id="S")
    history = History(output_format, [DRIFT[0]])
    lake.write(name, DRIFT[0])

    lake.snapshot(name, name, output_format, 1, table_export=lake.export_by_dynamodb(name, f"staging/{name}"))

    history.check(lake, name)


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_view_reads_no_partition_but_the_latest(lake, output_format):
    name = f"pruned_{output_format}"
    keep(lake, name, History(output_format, [[{"id": text("old")}], [{"id": text("new")}]]))
    damage(lake, name, day=1)

    assert lake.query(f"SELECT id FROM {name}").rows == [["new"]]
    with pytest.raises(TrinoError):
        lake.query(f"SELECT id, snapshot_timestamp FROM snapshots_{name}")


def damage(lake, name, day):
    """Replace the files of a snapshot by what no reader takes."""
    folder = f"exports/snapshots_{name}/snapshot_timestamp={timestamp_of(day)}/"
    for file in lake.s3.list_objects_v2(Bucket=BUCKET, Prefix=folder)["Contents"]:
        lake.s3.put_object(Bucket=BUCKET, Key=file["Key"], Body=b"damaged")


@pytest.mark.parametrize("output_format", FORMATS)
def test_describe_names_columns_types_and_the_partition_key(lake, output_format):
    name = f"described_{output_format}"
    items = [{"id": text("1"), "stars": number("5"), "place": record(city=text("Ulm"), null=number("1.5"))}]
    keep(lake, name, History(output_format, [items]))

    of_text = output_format == "csv"
    place = "varchar" if of_text else "row(city varchar, null decimal(38,1))"
    columns = [["id", "varchar"], ["place", place], ["stars", "varchar" if of_text else "bigint"]]
    assert lake.query(f"DESCRIBE snapshots_{name}").rows == [
        *([column, kind, "", ""] for column, kind in columns),
        ["snapshot_timestamp", "varchar", "partition key", ""],
    ]
    assert [row[:2] for row in lake.query(f"DESCRIBE {name}").rows] == [*columns, ["snapshot_timestamp", "varchar"]]


def test_describe_shows_the_attributes_of_columns_with_other_names(lake):
    items = [{"id": text("1"), "User-Id": text("u"), "place": record(**{"Zip Code": text("89073")})}]
    keep(lake, "commented", History("parquet", [items]))

    assert [row for row in lake.query("DESCRIBE snapshots_commented").rows if row[3]] == [
        ["place", "row(zip_code varchar)", "", 'DynamoDB attribute "place", its fields: zip_code "Zip Code"'],
        ["user_id", "varchar", "", 'DynamoDB attribute "User-Id"'],
    ]


def test_averages_and_quotients_of_decimals_have_no_more_digits_than_these(lake):
    items = [{"id": text("1"), "price": number("1")}, {"id": text("2"), "price": number("1.5")}]
    keep(lake, "averaged", History("parquet", [items]))

    averages = "avg(price), avg(CAST(price AS double)), max(price) / 4, max(price) / 4e0"
    [found] = lake.query(f"SELECT {averages} FROM averaged").rows
    assert found == [Decimal("1.3"), 1.25, Decimal("0.4"), 0.375]


def test_one_value_of_many_digits_makes_sums_overflow_and_a_cast_helps(lake):
    weights = ["1E-30", *["90000000"] * 2]
    keep(
        lake,
        "weights",
        History("parquet", [[{"id": text(str(n)), "weight": number(w)} for n, w in enumerate(weights)]]),
    )

    with pytest.raises(TrinoError, match="Decimal overflow"):
        lake.query("SELECT sum(weight) FROM weights")
    [found] = lake.query("SELECT sum(CAST(weight AS decimal(38,6))) FROM weights").rows
    assert found == [Decimal("180000000")]


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_table_of_1500_attributes_is_read(lake, output_format):
    kinds = [lambda n: number(str(n)), lambda n: text(f"v{n}"), lambda n: record(n=number(f"{n}.5"))]
    wide = {f"attribute_{n:04d}": kinds[n % 3](n) for n in range(1500)}
    history = History(output_format, [[{"id": text("1"), **wide}, {"id": text("2")}]])

    keep(lake, f"wide_{output_format}", history)

    history.check(lake, f"wide_{output_format}")
