"""Athena's SQL on the Glue catalog: Trino's dialect by sqlglot, run by DuckDB on the catalog's tables.

Views are kept in the catalog as Athena keeps them, and expanded when they are queried.
"""

import re
from collections.abc import Callable, Iterator

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from sandbox.athena.printing import printed
from sandbox.athena.statements import (
    CREATE_TABLE_AS,
    EMPTY,
    QUALIFIED,
    UNLOAD,
    Malformed,
    Result,
    locate,
    not_supported,
    run_first,
    statement_of,
    statement_type,
    written,
)
from sandbox.athena.views import CATALOG, decode_view, encode_view, information_schema
from sandbox.datalake.catalog import Catalog, Column, QueryFailed, Table
from sandbox.datalake.hive_types import hive_of_duckdb, same_type, trino_of_duckdb

DIALECT = "athena"
SETTINGS = """
SET integer_division = true;
SET TimeZone = 'UTC';
CREATE MACRO map_agg(k, v) AS map(list(k), list(v));
CREATE MACRO nan() AS CAST('nan' AS double);
CREATE MACRO infinity() AS CAST('infinity' AS double);
"""
KEYWORDS = """
ALTER AND AS BETWEEN BY CASE CAST CONSTRAINT CREATE CROSS CUBE CURRENT_CATALOG CURRENT_DATE  CURRENT_PATH
CURRENT_ROLE CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DEALLOCATE  DELETE DESCRIBE DISTINCT
DROP ELSE END ESCAPE EXCEPT EXECUTE EXISTS EXTRACT FALSE FOR FROM FULL  GROUP GROUPING HAVING IN INNER INSERT
INTERSECT INTO IS JOIN JSON_ARRAY JSON_EXISTS JSON_OBJECT  JSON_QUERY JSON_TABLE JSON_VALUE LEFT LIKE LISTAGG
LOCALTIME LOCALTIMESTAMP NATURAL NORMALIZE NOT  NULL ON OR ORDER OUTER PREPARE RECURSIVE RIGHT ROLLUP SELECT
SKIP TABLE THEN TRIM TRUE UESCAPE UNION  UNNEST USING VALUES WHEN WHERE WITH
"""  # Trino documentation, "Keywords and identifiers"
RESERVED = frozenset(KEYWORDS.split())
DUCKDB_NAMES = {"information_schema": "athena_information_schema"}  # DuckDB has one of its own


class DuckDbEngine:
    def check(self, sql: str) -> None:
        parse(statement_of(sql))

    def session(self, catalog: Catalog, database: str, location: str) -> "DuckDbSession":
        return DuckDbSession(catalog, database, location)


class DuckDbSession:
    """One statement's work, on tables that it loads from the catalog."""

    def __init__(self, catalog: Catalog, database: str, location: str) -> None:
        self._catalog, self._database, self._location = catalog, database, location
        self._connection = duckdb.connect(config={"enable_external_access": "false"})
        self._connection.execute(SETTINGS)
        self._loaded: set[tuple[str, str]] = set()

    def cancel(self) -> None:
        self._connection.interrupt()

    @property
    def bytes_read(self) -> int:
        return self._catalog.bytes_read

    def run(self, sql: str) -> Result:
        result = run_first(COMMANDS, self, sql)
        if result is not None:
            return result
        if statement_type(sql) != "DML":
            raise QueryFailed(not_supported(sql))
        return self._query(parse(statement_of(sql)))

    # ------------------------------------------------------------------------------------------------ queries

    def _query(self, tree: exp.Expression) -> Result:
        relation = self._relation(tree, self._database, with_rows=True)
        types = relation.types
        columns = [Column(name, trino_of_duckdb(kind)) for name, kind in zip(relation.columns, types, strict=True)]
        try:
            rows = relation.fetchall()
        except duckdb.Error as error:
            raise QueryFailed(f"GENERIC_USER_ERROR: {error}") from error
        return Result(columns, [[None if value is None else printed(value) for value in row] for row in rows])

    def _relation(self, tree: exp.Expression, database: str, with_rows: bool) -> duckdb.DuckDBPyRelation:
        """The planned query. Without rows: on empty tables, for its columns alone."""
        try:
            return self._connection.sql(self._prepare(tree, database, with_rows))
        except duckdb.Error as error:
            raise QueryFailed(in_athenas_words(error)) from error

    def _prepare(self, tree: exp.Expression, database: str, with_rows: bool) -> str:
        """Load what the query names. Returns the query in DuckDB's dialect."""
        if not isinstance(tree, exp.Query):
            raise QueryFailed(f"NOT_SUPPORTED: the sandbox does not run {tree.key.upper()}")
        name_columns(tree)
        use_trinos_meaning(tree)
        for table in list(tables_of(tree)):
            schema, name = (table.db or database).lower(), table.name.lower()
            held = held_columns(table)
            relation = " ".join([name, *held.values()])
            if (schema, relation) not in self._loaded:
                self._loaded.add((schema, relation))
                self._load(schema, name, table, with_rows, relation, held)
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
            table.set("catalog", None)
            table.set("db", exp.to_identifier(DUCKDB_NAMES.get(schema, schema), quoted=True))
            table.set("this", exp.to_identifier(relation, quoted=True))
        return tree.sql("duckdb")

    def _load(
        self, schema: str, name: str, mention: exp.Table, with_rows: bool, relation: str, held: dict[str, str]
    ) -> None:
        """Define `relation`: the table or view, of a table no more than the partitions that `held` lets it need."""
        if schema in DUCKDB_NAMES:
            self._define(DUCKDB_NAMES[schema], relation, information_schema(self._catalog, name))
            return
        table = self._catalog.find(schema, name)
        if table is None:
            raise QueryFailed(self._missing(schema, name, mention))
        if table.is_view:
            self._load_view(schema, table, with_rows, relation)
        else:
            rows = self._catalog.read(table, held) if with_rows else table.schema.empty_table()
            self._define(schema, relation, rows)

    def _load_view(self, schema: str, view: Table, with_rows: bool, relation: str) -> None:
        name, stored = view.content["Name"], decode_view(view)
        sql = self._prepare(parse(stored["originalSql"]), stored["schema"], with_rows)
        self._schema(schema)
        try:
            self._connection.execute(f"CREATE VIEW {quoted(schema)}.{quoted(relation)} AS {sql}")
        except duckdb.Error as error:
            raise QueryFailed(f"INVALID_VIEW: line 1:15: {in_athenas_words(error)}") from error
        analyzed = self._connection.view(f"{quoted(schema)}.{quoted(relation)}")
        found = [column.lower() for column in analyzed.columns]
        known = [column.name for column in view.columns]
        if known != found or not all(
            "struct<" not in column.type or same_type(column.type, hive_of_duckdb(kind))
            for column, kind in zip(view.columns, analyzed.types, strict=True)
        ):
            raise QueryFailed(
                f"VIEW_IS_STALE: line 1:15: View '{CATALOG}.{schema}.{name}' is stale or in invalid state: stored "
                f"view columns {known} are not those of its query {found}"
            )

    def _define(self, schema: str, name: str, content: pa.Table) -> None:
        self._schema(schema)
        source = f"{schema} {name}"
        self._connection.register(source, content)
        self._connection.execute(f"CREATE VIEW {quoted(schema)}.{quoted(name)} AS SELECT * FROM {quoted(source)}")

    def _schema(self, name: str) -> None:
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name)}")

    def _missing(self, schema: str, name: str, mention: exp.Table) -> str:
        where = position(mention.parts[0])
        if not self._catalog.has_database(schema):
            return f"SCHEMA_NOT_FOUND: {where}: Schema '{schema}' does not exist"
        return f"TABLE_NOT_FOUND: {where}: Table '{CATALOG}.{schema}.{name}' does not exist"

    # --------------------------------------------------------------------------------------- statements with a query

    def create_view(self, name: str, query: str, replace: str = "") -> Result:
        database, view = locate(name, self._database)
        if not self._catalog.has_database(database):
            raise QueryFailed(f"SCHEMA_NOT_FOUND: line 1:1: Schema '{database}' does not exist")
        known = self._catalog.find(database, view)
        if known and not (replace and known.is_view):
            kind = "View" if known.is_view else "Table"
            raise QueryFailed(f"ALREADY_EXISTS: line 1:1: {kind} already exists: '{CATALOG}.{database}.{view}'")
        planned = self._relation(parse(query), self._database, with_rows=False)
        columns = [
            Column(name.lower(), hive_of_duckdb(kind))
            for name, kind in zip(planned.columns, planned.types, strict=True)
        ]
        self._catalog.save_view(database, encode_view(view, query, self._database, columns))
        return EMPTY

    def create_table(self, name: str, query: str, properties: str = "") -> Result:
        database, table = locate(name, self._database)
        if self._catalog.find(database, table):
            raise QueryFailed(f"ALREADY_EXISTS: line 1:1: Table already exists: '{CATALOG}.{database}.{table}'")
        if re.search(r"partitioned_by|bucketed_by|format\s*=\s*'(?!parquet')", properties, re.IGNORECASE):
            raise QueryFailed(f"NOT_SUPPORTED: the sandbox creates only plain parquet tables, not {properties}")
        given = re.search(r"external_location\s*=\s*'([^']+)'", properties)
        location = (given[1] if given else self._location).rstrip("/") + "/"
        relation = self._relation(parse(query), self._database, with_rows=True)
        file = self._catalog.save_table(database, table, location, relation.to_arrow_table())
        return written([file])

    def unload(self, query: str, location: str, properties: str) -> Result:
        if not re.search(r"format\s*=\s*'parquet'", properties, re.IGNORECASE) or "partitioned_by" in properties:
            raise QueryFailed(f"NOT_SUPPORTED: the sandbox unloads only plain parquet, not {properties}")
        relation = self._relation(parse(query), self._database, with_rows=True)
        file = self._catalog.save_file(location.rstrip("/") + "/", relation.to_arrow_table())
        return written([file])


COMMANDS: list[tuple[str, Callable[..., Result]]] = [
    (rf"CREATE\s+(?P<replace>OR\s+REPLACE\s+)?VIEW\s+{QUALIFIED}\s+AS\s+(?P<query>.+)", DuckDbSession.create_view),
    (CREATE_TABLE_AS, DuckDbSession.create_table),
    (UNLOAD, DuckDbSession.unload),
]


def parse(sql: str) -> exp.Expression:
    """Returns the parsed query. Raises Malformed."""
    try:
        tree = sqlglot.parse_one(sql, read=DIALECT)
    except sqlglot.ParseError as error:
        place = error.errors[0] if error.errors else {}
        where = f"line {place.get('line', 1)}:{place.get('col', 1)}"
        raise Malformed(f"{where}: {place.get('description', error)}") from error
    for name in tree.find_all(exp.Identifier):
        if not name.quoted and name.name.upper() in RESERVED:
            raise Malformed(f"{position(name)}: mismatched input '{name.name}'. Expecting: <identifier>")
    return tree


def position(name: exp.Identifier) -> str:
    last = name.meta.get("col", len(name.name))  # where sqlglot saw the name end
    return f"line {name.meta.get('line', 1)}:{last - len(name.name) + 1}"


def use_trinos_meaning(tree: exp.Expression) -> None:
    """Change what DuckDB would calculate in another way: full months and days, and the bytes of a varbinary."""
    for difference in list(tree.find_all(exp.DateDiff)):
        unit = exp.Literal.string(difference.text("unit"))
        between = [difference.expression.copy(), difference.this.copy()]
        difference.replace(exp.Anonymous(this="date_sub", expressions=[unit, *between]))
    for length in tree.find_all(exp.Length):
        length.set("binary", True)


def tables_of(tree: exp.Expression) -> Iterator[exp.Table]:
    """The tables and views that the query names; not those that it defines itself, in WITH."""
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
                yield source


def held_columns(mention: exp.Table) -> dict[str, str]:
    """The columns that the mention's own SELECT holds to one text each: what Athena prunes partitions by."""
    select = mention.parent.parent if isinstance(mention.parent, exp.From) else None
    where = select.args.get("where") if isinstance(select, exp.Select) and not select.args.get("joins") else None
    if where is None:
        return {}
    conditions = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    equal = [(each.this, each.expression) for each in conditions if isinstance(each, exp.EQ)]
    return {
        column.name.lower(): value.name
        for column, value in equal
        if isinstance(column, exp.Column) and isinstance(value, exp.Literal) and value.is_string
    }


def name_columns(tree: exp.Query) -> None:
    """As Trino names what has no name: a field by its own, all else _col0, _col1, by position."""
    for position, column in enumerate(tree.selects):
        if not isinstance(column, exp.Alias | exp.Column | exp.Star):
            name = column.name if isinstance(column, exp.Dot) else f"_col{position}"
            column.replace(exp.alias_(column.copy(), name, quoted=True))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def in_athenas_words(error: duckdb.Error) -> str:
    text = str(error)
    if found := re.search(r'Referenced column "([^"]+)"|does not have a column named "([^"]+)"', text):
        column = found[1] or found[2]
        return (
            f"COLUMN_NOT_FOUND: line 1:8: Column '{column}' cannot be resolved or requester is not authorized to "
            "access requested resources"
        )
    if found := re.search(r"Function with name (\S+) does not exist", text):
        return f"FUNCTION_NOT_FOUND: line 1:8: Function '{found[1]}' not registered"
    return f"SYNTAX_ERROR: line 1:1: {text}"
