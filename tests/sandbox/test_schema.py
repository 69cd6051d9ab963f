"""What Athena shows of every kind of item, in every format, from snapshot to snapshot."""

from decimal import Decimal

import pytest

from acceptance.zoo import ZOO, as_boto3, columns_of, shown_of


def formats(*quick, without=()):
    """All formats: those in `quick`, and the others in the slow tier."""
    others = [name for name in ("parquet", "json", "csv", "orc", "avro") if name not in (*quick, *without)]
    return [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in others)]


# Athena finds the columns of parquet by name, and those of csv by position.
FORMATS = formats("parquet", "csv")
BY_NAME_AND_BY_POSITION = ["parquet", "csv"]  # how columns are found; tests/glue has the other formats


def put(user, table, item):
    user.client("dynamodb").put_item(TableName=table, Item=as_boto3(item))


def deploy(user, table, output_format, prefix):
    return user.deploy_pipeline(table, OutputFormat=output_format, CatalogName=f"{prefix}_{output_format}")


@pytest.fixture(scope="module")
def zoo_table(user):
    user.make_table("Zoo", [], {"id": "S"})
    for case in ZOO:
        for item in case.keyed_items:
            put(user, "Zoo", item)
    return "Zoo"


@pytest.fixture(scope="module")
def zoo(user, zoo_table, request):
    """A format, and the view of the pipeline in this format."""
    pipeline = deploy(user, zoo_table, request.param, "zoo")
    user.export(pipeline)
    return request.param, pipeline["View"]


@pytest.mark.parametrize("zoo", FORMATS, indirect=True)
@pytest.mark.parametrize("case", ZOO, ids=str)
def test_athena_shows_every_value_under_its_columns_name_and_type(user, zoo, case):
    output_format, view = zoo
    columns = columns_of(case, output_format)
    described = user.client("glue").get_table(DatabaseName="dynamodb_exports", Name=f"snapshots_{view}")["Table"]
    cataloged = {column["Name"]: column["Type"] for column in described["StorageDescriptor"]["Columns"]}
    assert {name: cataloged.get(name) for name in columns} == columns

    shown = shown_of(case, output_format)
    listed = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(shown))
    rows = user.query(f"SELECT {listed} FROM {view} WHERE id LIKE '{case.name}-____' ORDER BY id")

    assert {expression: [row[f"c{number}"] for row in rows] for number, expression in enumerate(shown)} == shown


@pytest.fixture(scope="module")
def empty_table(user):
    user.make_table("Empty", [], {"id": "S", "at": "N"})
    return "Empty"


@pytest.mark.parametrize("output_format", formats("csv"))
def test_an_empty_table_is_an_empty_view_with_its_keys_for_columns(user, empty_table, output_format):
    pipeline = deploy(user, empty_table, output_format, "no")
    user.export(pipeline)

    assert user.query(f"SELECT count(*) AS items, count(id) AS ids, max(at) AS at FROM {pipeline['View']}") == [
        {"items": "0", "ids": "0", "at": None}
    ]


BEFORE = [
    {"id": "1", "price": Decimal("9.99"), "gone": "bye", "place": {"city": "Rome"}, "code": 7},
    {"id": "2", "price": Decimal("1")},
]
AFTER = [
    {"id": "1", "price": Decimal("9.999"), "came": True, "place": {"city": "Bonn", "zip": 53111}, "code": "x7"},
    {"id": "2", "price": Decimal("1"), "gone": None},
]
SHOWN_BEFORE = [
    {"id": "1", "price": "9.99", "gone": "bye", "city": "Rome", "code": "7"},
    {"id": "2", "price": "1.00", "gone": None, "city": None, "code": None},
]
SHOWN_AFTER = [
    {"id": "1", "price": "9.999", "gone": None, "came": "true", "city": "Bonn", "zip": "53111", "code": "x7"},
    {"id": "2", "price": "1.000", "gone": None, "came": None, "city": None, "zip": None, "code": None},
]


@pytest.fixture(scope="module")
def changed(user, request):
    """A format, the view of a table that changed between two snapshots, and the timestamp of the later one."""
    table = f"Changed-{request.param}"
    user.make_table(table, BEFORE, {"id": "S"})
    pipeline = deploy(user, table, request.param, "new")
    user.export(pipeline)
    user.put_items(table, AFTER)
    [later] = user.export(pipeline)
    return request.param, pipeline["View"], later["snapshot_timestamp"]


@pytest.mark.parametrize("changed", formats("parquet"), indirect=True)
def test_as_attributes_come_go_and_change_type_the_view_shows_the_new(user, changed):
    output_format, view, _ = changed
    city, zip_code = "place.city AS city", "place.zip AS zip"
    if output_format == "csv":
        city, zip_code = "substr(place, 10, 4) AS city", "substr(place, 22, 5) AS zip"

    rows = user.query(f"SELECT id, price, gone, came, {city}, {zip_code}, code FROM {view} ORDER BY id")

    assert rows == (in_csv(SHOWN_AFTER) if output_format == "csv" else SHOWN_AFTER)


@pytest.mark.parametrize("changed", formats("parquet"), indirect=True)
def test_as_attributes_come_go_and_change_type_old_snapshots_stay_as_they_were(user, changed):
    output_format, view, later = changed
    city = "substr(place, 10, 4)" if output_format == "csv" else "place.city"

    rows = user.query(
        f"SELECT id, price, gone, {city} AS city, code FROM snapshots_{view} "
        f"WHERE snapshot_timestamp <> '{later}' ORDER BY id"
    )

    assert rows == (in_csv(SHOWN_BEFORE) if output_format == "csv" else SHOWN_BEFORE)


@pytest.mark.parametrize("changed", formats("parquet", without=["csv"]), indirect=True)
def test_a_query_over_all_snapshots_takes_the_column_that_each_was_written_with(user, changed):
    _, view, _ = changed

    rows = user.query(
        "SELECT coalesce(price_2, CAST(price AS decimal(38,3))) AS price, place.city "
        f"FROM snapshots_{view} WHERE id = '1' ORDER BY snapshot_timestamp"
    )

    assert rows == [{"price": "9.990", "city": "Rome"}, {"price": "9.999", "city": "Bonn"}]


def in_csv(rows):
    """Where numbers have DynamoDB's own digits, and what is NULL is empty."""
    plain = {"1.00": "1", "1.000": "1", None: ""}
    return [{name: plain.get(value, value) for name, value in row.items()} for row in rows]


@pytest.fixture(scope="module")
def odd(user):
    """The views of two tables: one has an attribute without a name, one was made anew with another type of key."""
    user.make_table("Nameless", [], {"id": "S"})
    put(user, "Nameless", {"id": {"S": "1"}, "": {"S": "nothing"}})
    user.make_table("Anew", [{"id": "1"}], {"id": "S"})
    nameless, anew = (
        [deploy(user, table, name, table.lower()) for name in BY_NAME_AND_BY_POSITION] for table in ("Nameless", "Anew")
    )
    user.export(*nameless, *anew)
    user.client("dynamodb").delete_table(TableName="Anew")
    user.make_table("Anew", [{"id": 7}], {"id": "N"})
    user.export(*anew)


@pytest.mark.slow
@pytest.mark.parametrize("output_format", BY_NAME_AND_BY_POSITION)
def test_an_attribute_without_a_name_has_a_column(user, odd, output_format):
    assert user.query(f"SELECT id, _ FROM nameless_{output_format}") == [{"id": "1", "_": "nothing"}]


@pytest.mark.slow
@pytest.mark.parametrize("output_format", BY_NAME_AND_BY_POSITION)
def test_a_table_made_anew_with_another_type_of_key_is_exported(user, odd, output_format):
    assert user.query(f"SELECT id FROM anew_{output_format}") == [{"id": "7"}]
