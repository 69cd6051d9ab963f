"""tables.yaml is refused before anything is deployed, with the place and the remedy of each mistake."""

from pathlib import Path

import pytest
from templates import INFRA

from infra.deploy import CannotDeploy, tables_file
from infra.deploy.parameters import parameters
from table_export_job import entities
from table_export_job.contract import Contract, parsed
from table_export_job.routing import Router
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.parameters import PARAMETERS

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


def test_the_column_contract_is_what_the_job_reads(read):
    text = """
        tables:
          Orders:
          - Columns:
              2024: {omit: true}
              address.street: {omit: true}
              at: {as: timestamp, from: epoch_ms, strict: true}
              price: {as: "decimal(18,2)", name: net}
          - CatalogName: all_orders
        """
    private, complete = read(text)

    assert complete.blocks == {}
    assert "Columns" not in private.parameters
    [item] = items = [
        {"2024": {"N": "1"}, "address": {"M": {"street": {"S": "x"}}}, "at": {"N": "1"}, "price": {"S": "1"}}
    ]
    Contract(parsed(private.blocks["Columns"])).apply(items)
    assert item == {"address": {"M": {}}, "at": {"N": "1"}, "price": {"N": "1"}}


def test_only_a_table_that_hashes_gets_the_secret(read):
    """Its job's role may read the secret, so the other tables' roles must not get it by a default."""
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hashes-a1b2c3"
    text = f"""
        defaults: {{HashSecretArn: "{arn}"}}
        tables:
          Orders: {{Columns: {{email: {{hash: sha256}}}}}}
          Films: {{Columns: {{email: {{omit: true}}}}}}
          Reviews:
        """

    assert [table_stack.parameters.get("HashSecretArn") for table_stack in read(text)] == [arn, None, None]


@pytest.mark.parametrize("name", ["Columns", "Entities"])
def test_an_empty_block_is_none(read, name):
    assert read(f"tables:\n  Orders: {{{name}: }}\n")[0].blocks == {}


def test_the_entities_are_what_the_job_reads(read):
    text = """
        tables:
          App:
            Columns:
              sk: {name: sort_key}
            Entities:
              by: {key: sk, before: "#"}
              types:
                ORDER: {name: orders, when: {pk: "USER#{user_id}", sk: "ORDER#{order_id}"}}
                7: {omit: true}
              rest: unknown
              wide: true
              max_entities: 20
        """
    [app] = read(text)

    router = Router(entities.parsed(app.blocks["Entities"]))
    assert (router.given_names, router.omitted) == ({None: "unknown", "ORDER": "orders"}, {"7"})
    assert (router.wide, router.max_entities, router.placeholders("ORDER")) == (True, 20, ["user_id", "order_id"])
    assert "Entities" not in app.parameters
    assert parsed(app.blocks["Columns"]) == {"sk": {"name": "sort_key"}}


def test_a_stack_that_is_there_under_another_name_keeps_it(read):
    [orders] = read("tables:\n  Orders: {StackName: orders}\n")

    assert orders.stack == "orders"
    assert "StackName" not in orders.parameters


def test_a_stack_is_named_with_its_line(read):
    orders, films = read("tables:\n  Orders:\n    ReadMode: scan\n    StackName: orders\n  Films: {ReadMode: scan}\n")

    assert (orders.line, films.line) == (4, 5)


def test_the_example_names_no_stack():
    assert "StackName:" not in (INFRA.parent / "tables.example.yaml").read_text()


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
        (
            "tables:\n  Orders: {KeepSnapshots: 010}",
            "2: Orders.KeepSnapshots: 010 must be a number without zeros at its start",
        ),
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
        ("tables:\n  Orders: {Columns: bucket/key}", "2: Orders.Columns: must have entries in the form"),
        (
            "tables:\n  Orders:\n    Columns:\n      a: omit",
            "4: Orders.Columns.a: must have a rule, such as {omit: true}",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a: {hide: true}",
            "4: Orders.Columns.a.hide: unknown rule. Use one of omit",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a:\n        as: timestamp\n        from: epoch",
            "6: Orders.Columns.a.from: epoch must be epoch_s, epoch_ms, iso8601 or a pattern",
        ),
        ("tables:\n  Orders:\n    Columns:\n      a:\n        as: date", "5: Orders.Columns.a.from: must be epoch_s"),
        (
            "tables:\n  Orders:\n    Columns:\n      a: {map: true}\n      a: {omit: true}",
            "5: Orders.Columns.a: occurs twice",
        ),
        (
            "tables:\n  Orders: {Columns: {a: {hash: sha256}}}",
            '2: Orders.Columns: to hash, set HashSecretArn: docs/columns.md, "Hashed attributes"',
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a: {as: timestamp, from: [x]}",
            "4: Orders.Columns.a.from: ['x'] must be epoch_s, epoch_ms, iso8601 or a pattern",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a:\n        name: 2026-99-99",
            "5: Orders.Columns.a.name: month must be in 1..12. If it is text, put quotation marks around it",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a: 2026-99-99",
            "4: Orders.Columns.a: month must be in 1..12. If it is text, put quotation marks around it",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a: {name: !!int x}",
            "4: Orders.Columns.a.name: invalid literal for int() with base 10: 'x'. If it is text",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a: {name: {[x]: y}}",
            "4: Orders.Columns.a.name: found unhashable key. If it is text",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a: {name: b, as: decimal(18,2)}",
            '4: Orders.Columns.a.as: the value ends at the comma. Put quotation marks around it, as in "decimal(18,2)"',
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      a: {as: date, from: %d.%m.%Y}",
            "4: the file is not valid YAML: found character '%' that cannot start any token. If it is text",
        ),
        (
            "tables:\n  Orders:\n    Columns:\n      *.email: {omit: true}",
            "4: the file is not valid YAML: expected alphabetic or numeric character, but found '.'. If it is text",
        ),
        (
            "tables: *all",
            "1: the file is not valid YAML: found undefined alias 'all'. If it is text, put quotation marks",
        ),
        ("defaults: {Columns: {a: {omit: true}}}", "1: defaults.Columns: cannot be a default"),
        ("defaults: {Entities: {by: t}}", "1: defaults.Entities: cannot be a default"),
        ("tables:\n  App: {Entities: t}", "2: App.Entities: must have entries in the form"),
        ("tables:\n  App:\n    Entities:\n      key: t", "4: App.Entities.key: unknown field. Use one of by, types"),
        ("tables:\n  App:\n    Entities:\n      rest: x", "4: App.Entities: needs `by`, or `types` that have `when`"),
        ("tables:\n  App:\n    Entities:\n      by: 1", "4: App.Entities.by: must be text. Put quotation marks"),
        (
            "tables:\n  App:\n    Entities:\n      by:\n        key: sk\n        before: #",
            '6: App.Entities.by.before: has no value. Write the text that follows the type, such as "#". To use the',
        ),
        (
            "tables:\n  App:\n    Entities:\n      by: {key: sk, before: #}\n      types: {}",
            "4: the rest of the line is a comment, because # follows a space. If it is text, put quotation marks",
        ),
        (
            "tables:\n  App:\n    Entities:\n      by: {key: sk, before: #}\n",
            "4: the rest of the line is a comment, because # follows a space. If it is text, put quotation marks",
        ),
        (
            "tables:\n  App: {ReadMode: scan} # {all\n  Orders: {ReadMode: scan",
            "3: the file is not valid YAML: expected ',' or '}', but got '<stream end>'",
        ),
        (
            "tables:\n  App:\n    CatalogName: " + "a" * 110 + "\n    Entities: {by: t, rest: everything_else}",
            f"4: App.Entities.rest: everything_else has 15 characters, and 7 fit behind the catalog name {'a' * 110}. "
            "Shorten it, or set a shorter CatalogName",
        ),
        (
            "tables:\n  " + "a" * 114 + ":\n    Entities: {by: t}",
            f"{'a' * 114} leaves no room for the names of entities. Set a CatalogName that is shorter",
        ),
        (
            "tables:\n  App:\n    Entities:\n      types:\n        a:\n          when:\n            sk: A#{Id}",
            "7: App.Entities.types.a.when.sk: {Id} must be lowercase letters, digits and underscores",
        ),
        (
            "tables:\n  App:\n    Entities:\n      types:\n        a: {when: {sk: A#{id}}}",
            "5: the file is not valid YAML: expected ',' or '}', but got '{'. If it is text, put quotation marks",
        ),
        (
            "tables:\n  App:\n    Entities:\n      by: t\n      types:\n        a: {name: 2026-99-99}",
            "6: App.Entities.types.a.name: month must be in 1..12. If it is text, put quotation marks around it",
        ),
        (
            "tables:\n  App:\n    Entities:\n      by: t\n      types:\n        a: {omit: true}\n        a: {name: b}",
            "7: App.Entities.types.a: occurs twice. Remove one",
        ),
        (
            "tables:\n  App:\n    Columns: {t: {omit: true}}\n    Entities:\n      by: t",
            "5: App.Entities.by: Columns changes or removes t (rule t). Keep only `name` in that rule",
        ),
        (
            "tables:\n  App:\n    CatalogUpdate: always\n    Entities: {by: t}",
            "3: App.Entities: needs CatalogUpdate: on-schema-change, because no crawler catalogs the tables",
        ),
        (
            "tables:\n  Snapshots:\n    Entities: {by: t}",
            "3: Snapshots.Entities: the table snapshots_other would be a snapshot table. Set another CatalogName",
        ),
        ("tables:\n\tOrders:", "found character '\\t' that cannot start any token"),
    ],
)
def test_a_mistake_is_named_with_its_line_its_key_and_the_remedy(read, text, problem):
    with pytest.raises(CannotDeploy) as error:
        read(text)

    assert str(error.value).startswith("tables.yaml:")
    assert problem in str(error.value)


TEXT = "tables:\n  Orders: {ReadMode: scan} # Zürich\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (TEXT.encode("utf-16"), "tables.yaml: the file is in UTF-16. Save it as UTF-8. In Windows PowerShell, use"),
        (TEXT.encode("utf-16-be"), "tables.yaml:2: the file is not in UTF-8"),
        (b"tables:\n".decode().encode("utf-16-le"), "tables.yaml: the file is in UTF-16. Save it as UTF-8"),
        (TEXT.encode("latin-1"), "tables.yaml:2: the file is not in UTF-8, but perhaps in Latin-1. Save it as UTF-8"),
        (b"tables:\n  Orders:\0\n", "tables.yaml:2: remove the NUL byte"),
        (b"tables:\n  Orders:\x07\n", "tables.yaml:2: remove the character U+0007"),
        (b"tables:\n\tOrders:\n", "Indent with spaces, not with tabs"),
        (b"tables:\n  <<: 5\n", "tables.yaml:2: the file is not valid YAML: expected a mapping"),
        (b"tables:\n  ? [a, b]\n  : {}\n", "tables.yaml:2: tables: a name must be a single value"),
        (b"tables: &t\n  Orders: {<<: *t}\n", "tables.yaml"),
        (b"a: 1\n---\nb: 2\n", "tables.yaml:2: the file is not valid YAML: but found another document"),
    ],
)
def test_a_file_that_is_no_text_or_no_yaml_is_told_in_one_line(tmp_path, monkeypatch, content, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables.yaml").write_bytes(content)

    with pytest.raises(CannotDeploy) as error:
        tables_file.read(Path("tables.yaml"), TABLE_STACK)

    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_is_accepted(tmp_path):
    (tmp_path / "tables.yaml").write_bytes(TEXT.encode("utf-8-sig"))

    assert [entry.table for entry in tables_file.read(tmp_path / "tables.yaml", TABLE_STACK)] == ["Orders"]


def test_a_folder_and_a_file_without_permission_are_told(tmp_path, monkeypatch):
    with pytest.raises(CannotDeploy, match="this is a folder"):
        tables_file.read(tmp_path, TABLE_STACK)

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)  # root may read everything
    with pytest.raises(CannotDeploy, match="cannot be read: Permission denied"):
        tables_file.read(tmp_path / "tables.yaml", TABLE_STACK)


NUMBERS = [name for name, parameter in TABLE_STACK.items() if parameter.type == "Number"]
DECIMAL = {"MaxReadCost", "ReadCapacityCap", "ReadPercentage"}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_refused_with_its_line_where_the_domain_would_refuse_it(read, name):
    for value in ("2.5", "1e3", "0x10", ".5", "-1", "ten", "1_000", "NaN"):
        if name in DECIMAL and value == "2.5":
            continue
        with pytest.raises(CannotDeploy, match=rf"tables.yaml:3: Orders.{name}: {value} must be "):
            read(f"tables:\n  Orders:\n    {name}: {value}\n")


@pytest.mark.parametrize("name", [name for name in NUMBERS if name in PARAMETERS])
def test_a_number_is_whole_in_the_template_if_it_is_whole_in_the_domain(name):
    try:
        PARAMETERS[name].value({name: "0.5"})
    except InvalidRequest:
        decimal = False
    else:
        decimal = True

    assert TABLE_STACK[name].is_whole != decimal == (name in DECIMAL)


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
