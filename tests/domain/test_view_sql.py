import pytest
import sqlglot
from examples import an_export
from sqlglot import exp

from table_exports.domain import view_sql

HOSTILE = [
    'quo"te',
    "semi;colon",
    "a' OR '1'='1",
    "--",
    '"',
    '""',
    "sp ace",
    "ünïcode",
    "select",
    "1st",
    "tab\tnew\nline",
]


def test_a_view_lists_its_columns_and_shows_one_snapshot():
    assert view_sql.create_view(an_export(), "dynamodb_exports", [("asin", "asin"), ("stars", "stars")]) == (
        'CREATE OR REPLACE VIEW "dynamodb_exports"."reviews" AS '
        'SELECT "asin", "stars", "snapshot_timestamp" FROM "dynamodb_exports"."snapshots_reviews" '
        "WHERE \"snapshot_timestamp\" = '2026-11-23T02-00-07Z'"
    )


def test_a_column_that_took_anothers_place_is_shown_under_the_firsts_name():
    sql = view_sql.create_view(an_export(), "db", [("id", "id"), ("price_2", "price")])

    assert 'SELECT "id", "price_2" AS "price", "snapshot_timestamp" FROM' in sql


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_stays_one_column_of_the_view(name):
    sql = view_sql.create_view(an_export(), "db", [("x", name), (name, "y")])

    [statement] = sqlglot.parse(sql, dialect="trino")
    columns = statement.expression.expressions
    assert [column.alias_or_name for column in columns] == [name, "y", "snapshot_timestamp"]
    assert [column.unalias().name for column in columns] == ["x", name, "snapshot_timestamp"]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_stays_one_identifier_or_one_literal(name):
    sql = f"SELECT {view_sql.identifier(name)} FROM t WHERE x = {view_sql.literal(name)}"

    [statement] = sqlglot.parse(sql, dialect="trino")
    [column] = statement.expressions
    assert column.name == name
    assert [found.name for found in statement.find_all(exp.Literal)] == [name]


def test_a_token_is_of_the_export_and_the_text_and_has_a_length_that_athena_takes():
    token = view_sql.request_token(an_export(), "SELECT 1")

    assert token == view_sql.request_token(an_export(), "SELECT 1")
    assert token != view_sql.request_token(an_export(), "SELECT 2")
    assert token != view_sql.request_token(an_export(export_id="e2"), "SELECT 1")
    assert 32 <= len(token) <= 128
