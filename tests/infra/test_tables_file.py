"""tables.yaml is refused before anything is deployed, with the place and the remedy of each mistake."""

import pytest
from templates import INFRA

from infra.deploy import CannotDeploy, tables_file
from infra.deploy.parameters import parameters

TABLE_STACK = parameters(INFRA / "table.yaml")


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(text):
        (tmp_path / "tables.yaml").write_text(text)
        return tables_file.read((tmp_path / "tables.yaml").relative_to(tmp_path), TABLE_STACK)

    return read


def test_a_table_is_a_stack_named_by_its_catalog_name_and_format(read):
    [orders, reviews] = read(
        """
        defaults: {ScheduleState: ENABLED, ReadPercentage: 0.5}
        tables:
          Customer-Orders.v2:
          Reviews: {ReadPercentage: 1.0, CatalogName: stars, OutputFormat: csv}
        """
    )

    assert orders.stack == "table-exports-customer-orders-v2-parquet"
    assert orders.parameters == {
        "TableName": "Customer-Orders.v2",
        "ScheduleState": "ENABLED",
        "ReadPercentage": "0.5",
    }
    assert reviews.stack == "table-exports-stars-csv"
    assert reviews.parameters["ReadPercentage"] == "1.0"
    assert [orders.is_named(name) for name in ("customer-orders.V2", "customer_orders_v2", orders.stack, "stars")] == [
        True,
        True,
        True,
        False,
    ]


def test_several_formats_are_a_list(read):
    films = read("tables:\n  Films:\n  - OutputFormat: parquet\n  - {OutputFormat: csv, CatalogName: films_csv}\n")

    assert [film.stack for film in films] == ["table-exports-films-parquet", "table-exports-films-csv-csv"]
    assert {film.table for film in films} == {"Films"}


def test_a_stack_that_is_there_under_another_name_keeps_it(read):
    [orders] = read("tables:\n  Orders: {StackName: orders}\n")

    assert orders.stack == "orders"
    assert "StackName" not in orders.parameters


def test_entries_can_share_by_yamls_own_means(read):
    text = "tables:\n  Orders: &often\n    ScheduleExpression: rate(1 hour)\n  Reviews:\n    <<: *often\n"

    assert [pipeline.parameters["ScheduleExpression"] for pipeline in read(text)] == ["rate(1 hour)", "rate(1 hour)"]


def test_a_table_may_have_a_name_that_yaml_takes_for_a_number_or_a_truth(read):
    assert [pipeline.table for pipeline in read("tables:\n  2024:\n  yes:\n")] == ["2024", "yes"]


def test_long_names_have_stacks_of_their_own_too():
    one, other = (tables_file.stack_name("x" * 117 + last, "parquet") for last in "ab")

    assert len(one) == len(other) == 128
    assert one != other


@pytest.mark.parametrize("text", ["", "tables:\n", "defaults:\n  ReadMode: scan\n"])
def test_no_table_is_no_mistake(read, text):
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tables:\n  Orders: {ReadPercentage: 1.5}", "2: Orders.ReadPercentage: 1.5 must be at most 1"),
        ("tables:\n  Orders: {ReadPercentage: 0}", "2: Orders.ReadPercentage: 0 must be at least 0.1"),
        ("tables:\n  Orders: {ReadPercentage: half}", "2: Orders.ReadPercentage: half must be a number"),
        ("tables:\n  Orders: {OutputFormat: xml}", "xml must be one of parquet, orc, avro, json, csv"),
        ("tables:\n  Orders: {OutputFormat: [orc, csv]}", "For several formats, make the table's entry a list"),
        ("tables:\n  Orders: {CatalogName: My-Orders}", "My-Orders must have only lowercase letters"),
        ("tables:\n  Orders: {ScheduleExpression: daily}", "daily must be cron(...), rate(...) or at(...)"),
        ("tables:\n  Orders: {ScheduleState: on}", "on must be one of DISABLED, ENABLED"),
        ("tables:\n  Orders: {ReadMode: }", "2: Orders.ReadMode: has no value"),
        ("tables:\n  Orders: {Readmode: scan}", "2: Orders.Readmode: unknown parameter. Did you mean ReadMode?"),
        ("tables:\n  Orders: {colour: red}", "2: Orders.colour: unknown parameter. Use one of CatalogName"),
        ("tables:\n  Orders: {TableName: Reviews}", "TableName: is the key of the entry. Remove it"),
        ("tables:\n  Orders: {JobScript: s3://mine}", "comes from the common stack. Remove it"),
        ("tables:\n  Orders: {StackName: table-exports}", "table-exports is not a valid name for a table stack"),
        ("tables:\n  Orders:\n  Orders:", "3: tables.Orders: occurs twice"),
        ("tables:\n  Or: {}", "2: tables: Or must be the name of a DynamoDB table"),
        ("tables:\n  Orders: []", "2: Orders: an empty list exports nothing"),
        ("tables: [Orders]", "1: tables: must have entries"),
        ("tables:\n  Orders: parquet", "2: Orders: must have entries"),
        ("Orders: {}", "1: Orders: unknown section. Use defaults or tables"),
        ("defaults: {CatalogName: orders}", "1: defaults.CatalogName: cannot be a default"),
        ("defaults: {ReadMode: fast}", "1: defaults.ReadMode: fast must be one of auto, scan, export"),
        ("tables:\n  snapshots_of_me:", "CatalogName: snapshots_of_me starts with snapshots_"),
        (
            "tables:\n  Films:\n  - {OutputFormat: orc}\n  - {OutputFormat: csv}",
            "4: Films[1]: Films[0] has the same catalog name, films. Set another CatalogName",
        ),
        ("tables:\n  My.Films:\n  my_films:", "3: my_films: My.Films has the same catalog name, my_films"),
        (
            "tables:\n  Films: {StackName: one}\n  Orders: {StackName: one}",
            "3: Orders: Films has the same stack, one. Set another StackName",
        ),
        ("tables:\n\tOrders:", "found character '\\t' that cannot start any token"),
    ],
)
def test_a_mistake_is_named_with_its_line_its_key_and_the_remedy(read, text, problem):
    with pytest.raises(CannotDeploy) as error:
        read(text)

    assert str(error.value).startswith("tables.yaml:")
    assert problem in str(error.value)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(read):
    with pytest.raises(CannotDeploy) as error:
        read("tables:\n  Orders: {ReadMode: x}\n  Films: {ReadMode: y}\n  Orders: {ReadMode: z}\n")

    assert [line.split(":")[1] for line in str(error.value).splitlines()] == ["3", "4", "4"]


def test_the_example_in_the_repository_can_be_deployed():
    pipelines = tables_file.read(INFRA.parent / "tables.example.yaml", TABLE_STACK)

    assert len(pipelines) > 3


def test_a_time_zone_is_one_that_there_is(read):
    with pytest.raises(
        CannotDeploy, match=r"ScheduleTimezone: Europe/Zurick is not a time zone. Did you mean Europe/Zurich\?"
    ):
        read("tables: {Orders: {ScheduleTimezone: Europe/Zurick}}")
    with pytest.raises(
        CannotDeploy, match=r"ScheduleTimezone: Nowhere is not a time zone. Use a name such as Europe/Berlin"
    ):
        read("tables: {Orders: {ScheduleTimezone: Nowhere}}")
    assert read("tables: {Orders: {ScheduleTimezone: Europe/Zurich}}")


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("cron(0 2 * * *)", "has 5 fields instead of 6"),
        ("cron(0 25 * * ? *)", "has an invalid hours field, 25: use 0-23"),
        ("rate(2 weeks)", "is not a rate: write a whole number from 1 and a unit"),
        ("at(2026-02-30T04:00:00)", "is not a date and time"),
    ],
)
def test_an_invalid_schedule_is_reported_as_such(read, expression, problem):
    with pytest.raises(CannotDeploy) as error:
        read(f"tables:\n  Orders:\n    StaleAfterHours: 48\n    ScheduleExpression: {expression}\n")

    assert ":4: Orders.ScheduleExpression: " in str(error.value)
    assert f"{expression} {problem}" in str(error.value)
    assert "StaleAfterHours" not in str(error.value)
