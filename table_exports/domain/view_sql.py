"""The SQL of the view that shows a table's latest snapshot."""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Sequence

from table_exports.domain.export import Export
from table_exports.domain.naming import PARTITION_KEY

NAME = r'(?:"(?:[^"]|"")*"|\w+)'
# The query of `create_view`, as written or in the layout of Athena's engine.
OUR_QUERY = re.compile(
    rf"\s*SELECT\s+{NAME}(?:\s+AS)?(?:\s+{NAME})?(?:\s*,\s*{NAME}(?:\s+AS)?(?:\s+{NAME})?)*"
    rf"\s+FROM[\s(]+(?:(?:{NAME}\.)?(?P<database>{NAME})\.)?(?P<table>{NAME})[\s)]+"
    rf"WHERE[\s(]+\"?{PARTITION_KEY}\"?\s*=\s*'(?P<snapshot>[^']*)'[\s);]*",
    re.IGNORECASE,
)


def create_view(export: Export, database: str, columns: Sequence[tuple[str, str]]) -> str:
    """Return the statement. `columns` are pairs of a column of the snapshot table and its name in the view.

    The columns are listed, because a view with `*` becomes invalid when a column is added.

    CREATE OR REPLACE VIEW "dynamodb_exports"."reviews" AS
    SELECT "asin", "price_2" AS "price", "snapshot_timestamp" FROM "dynamodb_exports"."snapshots_reviews"
    WHERE "snapshot_timestamp" = '2026-11-23T02-00-07Z'
    """
    view = f"{identifier(database)}.{identifier(export.catalog_name)}"
    table = f"{identifier(database)}.{identifier(export.snapshot_table)}"
    listed = ", ".join(selected(source, name) for source, name in [*columns, (PARTITION_KEY, PARTITION_KEY)])
    latest = f"{identifier(PARTITION_KEY)} = {literal(export.snapshot_timestamp)}"
    return f"CREATE OR REPLACE VIEW {view} AS SELECT {listed} FROM {table} WHERE {latest}"


def stored_characters(database: str, sql: str, columns: Sequence[tuple[str, str]]) -> int:
    """Return the least length of a view's text in the catalog. `columns` are names and Hive types in the view.

    Athena stores the query and each column with its type as JSON in Base64. Its types are a little longer than here.
    """
    query = sql.partition(" AS ")[2]
    types = [(name, kind.replace("struct<", "row(").replace(":", '"" ')) for name, kind in columns]  # row("name" type)
    listed = [{"name": name, "type": kind} for name, kind in [*types, (PARTITION_KEY, "string")]]
    view = {"originalSql": query, "catalog": "awsdatacatalog", "schema": database, "columns": listed}
    text = json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode()
    return len("/* Presto View:  */") + 4 * math.ceil(len(text) / 3)


def shown_snapshot(text: str, database: str, snapshot_table: str) -> str | None:
    """Return the snapshot that a view of ours shows, from its text in the catalog. None if it is another view.

    Athena stores the SQL of a view as `/* Presto View: <JSON in Base64> */`, without comments and in its own layout.
    It also writes the properties of the view's table. So the query is the only thing by which a view is known as ours:
    it selects columns of the pipeline's snapshot table in the database, of one snapshot.
    """
    stored = re.fullmatch(r"/\* Presto View: (\S+) \*/", text)
    try:
        sql = json.loads(base64.b64decode(stored[1]))["originalSql"] if stored else ""
        shown = OUR_QUERY.fullmatch(sql)
    except (binascii.Error, KeyError, TypeError, ValueError):
        return None
    found = shown and (plain(shown["database"] or database), plain(shown["table"]))
    return shown["snapshot"] if shown and found == (plain(database), snapshot_table) else None


def plain(name: str) -> str:
    return name.strip('"').lower()


def selected(source: str, name: str) -> str:
    return identifier(source) if source == name else f"{identifier(source)} AS {identifier(name)}"


def request_token(export: Export, sql: str) -> str:
    """Return Athena's ClientRequestToken, 64 characters. Two calls within one attempt start one query."""
    return hashlib.sha256(f"{export.export_id}\n{export.attempt}\n{sql}".encode()).hexdigest()


# All text of unknown origin enters SQL through these two.
def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
