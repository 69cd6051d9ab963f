import ast
import base64
import json
from pathlib import Path

import hostile
import pytest
import sqlglot
from examples import an_export
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from sandbox.athena.views import encode_view
from sandbox.datalake.storage import Column
from table_exports.domain import view_sql

ROOT = Path(__file__).parents[2]
ANY_TIME = settings(deadline=None, database=None)

# Any text but the empty one, which names nothing; and mostly what SQL could stumble over.
names = st.text(min_size=1, max_size=40) | st.text("\"'`\\;-/*.,() \n\t\x00aA1_?:{}", min_size=1, max_size=20)
pairs = st.lists(st.tuples(names, names), max_size=8)


def parsed(sql):
    """The one statement that it is, in the dialects of Athena's engine and of Athena itself."""
    [[of_engine], [statement]] = sqlglot.parse(sql, dialect="trino"), sqlglot.parse(sql, dialect="athena")
    assert statement == of_engine
    return statement


def path_of(table):
    """The parts of a table's name, each of them quoted."""
    assert all(part.args["quoted"] for part in table.parts)
    return [part.name for part in table.parts]


def test_a_view_lists_its_columns_and_shows_one_snapshot():
    assert view_sql.create_view(an_export(), "dynamodb_exports", [("asin", "asin"), ("stars", "stars")]) == (
        'CREATE OR REPLACE VIEW "dynamodb_exports"."reviews" AS '
        'SELECT "asin", "stars", "snapshot_timestamp" FROM "dynamodb_exports"."snapshots_reviews" '
        "WHERE \"snapshot_timestamp\" = '2026-11-23T02-00-07Z'"
    )


def test_a_column_that_took_anothers_place_is_shown_under_the_firsts_name():
    sql = view_sql.create_view(an_export(), "db", [("id", "id"), ("price_2", "price")])

    assert 'SELECT "id", "price_2" AS "price", "snapshot_timestamp" FROM' in sql


def is_one_identifier_or_one_literal(text):
    statement = parsed(f"SELECT {view_sql.identifier(text)} FROM t WHERE x = {view_sql.literal(text)}")
    [column] = statement.expressions
    [literal] = statement.find_all(exp.Literal)
    assert isinstance(column, exp.Column)
    assert (column.name, column.this.args["quoted"]) == (text, True)
    assert (literal.this, literal.is_string) == (text, True)
    assert statement.args["where"].this == exp.EQ(this=exp.column("x"), expression=literal)


@pytest.mark.parametrize("name", hostile.NAMES)
def test_a_hostile_name_stays_one_identifier_or_one_literal(name):
    is_one_identifier_or_one_literal(name)


@ANY_TIME
@given(names)
def test_any_text_stays_one_identifier_or_one_literal(text):
    is_one_identifier_or_one_literal(text)


def test_no_text_is_a_literal_too():
    assert parsed(f"SELECT {view_sql.literal('')}").expressions == [exp.Literal.string("")]


def is_the_view_and_nothing_else(database, catalog_name, snapshot, columns):
    export = an_export(catalog_name=catalog_name, snapshot_timestamp=snapshot)
    create = parsed(view_sql.create_view(export, database, columns))

    assert (type(create), create.args["kind"], create.args["replace"]) == (exp.Create, "VIEW", True)
    assert path_of(create.this) == [database, catalog_name]
    [source] = create.expression.find_all(exp.Table)
    assert path_of(source) == [database, f"snapshots_{catalog_name}"]

    selected = create.expression.expressions
    assert [column.alias_or_name for column in selected] == [*(shown for _, shown in columns), "snapshot_timestamp"]
    assert [column.unalias().name for column in selected] == [*(source for source, _ in columns), "snapshot_timestamp"]
    assert all(isinstance(column.unalias(), exp.Column) for column in selected)

    [literal] = create.find_all(exp.Literal)
    partition = exp.column("snapshot_timestamp", quoted=True)
    assert create.expression.args["where"].this == exp.EQ(this=partition, expression=exp.Literal.string(snapshot))
    assert {name.rstrip("_") for name, part in create.expression.args.items() if part} == {
        "expressions",
        "from",
        "where",
    }
    assert literal.this == snapshot


@pytest.mark.parametrize("name", hostile.NAMES)
def test_a_view_of_hostile_names_is_that_view_and_nothing_else(name):
    is_the_view_and_nothing_else(name, name, name, [("x", name), (name, "y"), (name, name)])


@ANY_TIME
@given(names, names, names, pairs)
def test_a_view_of_any_names_is_that_view_and_nothing_else(database, catalog_name, snapshot, columns):
    is_the_view_and_nothing_else(database, catalog_name, snapshot, columns)


def test_a_token_is_of_the_export_its_attempt_and_the_text_and_has_a_length_that_athena_takes():
    token = view_sql.request_token(an_export(), "SELECT 1")

    assert token == view_sql.request_token(an_export(), "SELECT 1")
    assert token != view_sql.request_token(an_export(), "SELECT 2")
    assert token != view_sql.request_token(an_export(export_id="e2"), "SELECT 1")
    assert token != view_sql.request_token(an_export(attempt=2), "SELECT 1")
    assert 32 <= len(token) <= 128


WORDS_OF_SQL = ("SELECT ", "CREATE ", "INSERT ", "ALTER ", "DROP ", "MSCK ", "UNLOAD ", '""', "''")


@pytest.mark.parametrize("folder", ["table_exports", "services", "glue"])
def test_no_other_module_writes_sql_or_quotes(folder):
    """Names are quoted by one function, because there is one place that needs it."""
    writing = set()
    for file in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(file.read_text())
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                text = node.value
                if text.startswith(WORDS_OF_SQL[:-2]) or text in WORDS_OF_SQL[-2:]:
                    writing.add((str(file.relative_to(ROOT)), text))

    elsewhere = {(file, text) for file, text in writing if file != "table_exports/domain/view_sql.py"}
    assert elsewhere <= {("glue/table_export_job/formats.py", '""')}  # in a field of a CSV file


def stored(sql):
    """As Athena stores a view in the catalog."""
    encoded = base64.b64encode(json.dumps({"originalSql": sql, "catalog": "awsdatacatalog"}).encode()).decode()
    return f"/* Presto View: {encoded} */"


TABLE = "snapshots_reviews"
DATABASE = "dynamodb_exports"
SHOWN = "2026-11-23T02-00-07Z"
LAST = f"WHERE snapshot_timestamp = '{SHOWN}'"


@ANY_TIME
@given(pairs)
def test_a_view_of_ours_tells_its_snapshot(columns):
    sql = view_sql.create_view(an_export(), "dynamodb_exports", columns)

    assert view_sql.shown_snapshot(stored(sql.partition(" AS ")[2]), DATABASE, TABLE) == SHOWN


def test_a_view_of_thousands_of_columns_tells_its_snapshot_at_once():
    columns = [(f"AS AS FROM {n}", f"WHERE, {n}") for n in range(5_000)]
    query = view_sql.create_view(an_export(), "dynamodb_exports", columns).partition(" AS ")[2]

    assert view_sql.shown_snapshot(stored(query), DATABASE, TABLE) == SHOWN
    assert view_sql.shown_snapshot(stored(f"{query} LIMIT 1"), DATABASE, TABLE) is None


@pytest.mark.parametrize(
    "sql",
    [
        f'SELECT\n  "asin"\n, "price_2" "price"\nFROM\n  dynamodb_exports.snapshots_reviews\nWHERE ({LAST[6:]})\n',
        f'SELECT "asin" FROM "awsdatacatalog"."dynamodb_exports"."snapshots_reviews" {LAST}',
        f"select asin as a, b c from snapshots_reviews {LAST}",
        f'SELECT "asin"\n\tFROM\n(dynamodb_exports.snapshots_reviews)\nWHERE (({LAST[6:]}));\n',
    ],
)
def test_a_view_of_ours_is_known_in_any_layout(sql):
    assert view_sql.shown_snapshot(stored(sql), DATABASE, TABLE) == SHOWN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1",
        "/* Presto View: %%% */",
        "/* Presto View: e30= */",
        stored(None),
        *map(
            stored,
            [
                "SELECT 1",
                f"SELECT asin FROM snapshots_orders {LAST}",
                f"SELECT asin FROM orders {LAST}",
                f"SELECT asin FROM another_database.snapshots_reviews {LAST}",
                f"SELECT count(asin) FROM snapshots_reviews {LAST}",
                f"SELECT asin, stars * 2 FROM snapshots_reviews {LAST}",
                f"SELECT asin FROM snapshots_reviews {LAST} AND stars > 3",
                f"SELECT asin FROM theirs UNION SELECT asin FROM snapshots_reviews {LAST}",
                f"SELECT asin FROM snapshots_reviews JOIN theirs USING (asin) {LAST}",
                f"WITH x AS (SELECT 1) SELECT asin FROM snapshots_reviews {LAST}",
                "SELECT asin FROM snapshots_reviews",
                "SELECT asin FROM snapshots_reviews WHERE snapshot_timestamp = (SELECT max(x) FROM y)",
                "SELECT '\" FROM snapshots_reviews' " + LAST,
            ],
        ),
    ],
)
def test_any_other_view_tells_none(text):
    assert view_sql.shown_snapshot(text, DATABASE, TABLE) is None


def test_the_stored_size_of_a_view_is_a_little_less_than_what_athena_stores():
    types = ["string", "decimal(38,2)", "array<double>", "map<string,struct<a:bigint,b:struct<size:string>>>"]
    columns = [(f"column_{n}", kind) for n, kind in enumerate(types * 20)]
    sql = view_sql.create_view(an_export(), "db", [(name, name) for name, _ in columns])
    described = [Column(name, kind) for name, kind in [*columns, ("snapshot_timestamp", "string")]]

    stored = encode_view("reviews", sql.partition(" AS ")[2], "db", described)["ViewOriginalText"]

    assert 0.8 * len(stored) < view_sql.stored_characters("db", sql, columns) <= len(stored)
