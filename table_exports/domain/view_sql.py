"""The view that shows a table's latest snapshot, as text. A pure function of the export and its manifest's columns."""

import hashlib
from collections.abc import Sequence

from table_exports.domain.export import Export
from table_exports.domain.naming import PARTITION_KEY


def create_view(export: Export, database: str, columns: Sequence[tuple[str, str]]) -> str:
    """`columns` are those of the snapshot table that the view shows, each with the name that it shows it under.

    They are listed, never `*`: a view of `*` goes stale when a column is added.

    CREATE OR REPLACE VIEW "dynamodb_exports"."reviews" AS
    SELECT "asin", "price_2" AS "price", "snapshot_timestamp" FROM "dynamodb_exports"."snapshots_reviews"
    WHERE "snapshot_timestamp" = '2026-11-23T02-00-07Z'
    """
    view = f"{identifier(database)}.{identifier(export.catalog_name)}"
    table = f"{identifier(database)}.{identifier(export.snapshot_table)}"
    listed = ", ".join(selected(source, shown) for source, shown in [*columns, (PARTITION_KEY, PARTITION_KEY)])
    latest = f"{identifier(PARTITION_KEY)} = {literal(export.snapshot_timestamp)}"
    return f"CREATE OR REPLACE VIEW {view} AS SELECT {listed} FROM {table} WHERE {latest}"


def selected(source: str, shown: str) -> str:
    return identifier(source) if source == shown else f"{identifier(source)} AS {identifier(shown)}"


def request_token(export: Export, sql: str) -> str:
    """Athena's ClientRequestToken, 64 characters: asking twice in one attempt starts one query."""
    return hashlib.sha256(f"{export.export_id}\n{export.attempt}\n{sql}".encode()).hexdigest()


# All that is foreign gets into SQL by one of these two.
def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
