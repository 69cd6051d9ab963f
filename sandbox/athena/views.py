"""What the catalog holds of views, as Athena stores them, and the information schema."""

import base64
import json
import re
from typing import Any

import pyarrow as pa

from sandbox.datalake.catalog import Catalog, Column, QueryFailed, Table
from sandbox.datalake.hive_types import trino_of_hive, trino_signature

CATALOG = "awsdatacatalog"
VIEW_MARKER = "/* Presto View */"
VIEW_OWNER = "hadoop"  # in whose name Trino reads what the view reads


def encode_view(name: str, sql: str, database: str, columns: list[Column]) -> dict[str, Any]:
    """A Glue TableInput, as Athena writes it: Trino's view inside a comment, Hive's columns beside it."""
    view = {
        "originalSql": sql,
        "catalog": CATALOG,
        "schema": database,
        "columns": [{"name": column.name, "type": trino_signature(column.type)} for column in columns],
    }
    encoded = base64.b64encode(json.dumps(view).encode()).decode()
    return {
        "Name": name,
        "Owner": VIEW_OWNER,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": [{"Name": column.name, "Type": column.type} for column in columns],
            "Location": "",
            "SerdeInfo": {},
        },
        "ViewOriginalText": f"/* Presto View: {encoded} */",
        "ViewExpandedText": VIEW_MARKER,
    }


def decode_view(view: Table) -> dict[str, Any]:
    found = re.fullmatch(r"/\* Presto View: (\S+) \*/", view.content.get("ViewOriginalText") or "")
    if found is None:
        raise QueryFailed(f"INVALID_VIEW: {view.content['Name']} is not a view of Athena")
    return json.loads(base64.b64decode(found[1]))


def information_schema(catalog: Catalog, name: str) -> pa.Table:
    tables = [(database, table) for database in catalog.databases() for table in catalog.tables(database)]
    match name:
        case "schemata":
            rows = [{"catalog_name": CATALOG, "schema_name": database} for database in catalog.databases()]
        case "tables":
            rows = [
                {
                    "table_catalog": CATALOG,
                    "table_schema": database,
                    "table_name": table.content["Name"],
                    "table_type": "VIEW" if table.is_view else "BASE TABLE",
                }
                for database, table in tables
            ]
        case "columns":
            rows = [
                {
                    "table_catalog": CATALOG,
                    "table_schema": database,
                    "table_name": table.content["Name"],
                    "column_name": column.name,
                    "ordinal_position": position,
                    "is_nullable": "YES",
                    "data_type": trino_of_hive(column.type),
                }
                for database, table in tables
                for position, column in enumerate(table.columns + table.partition_keys, start=1)
            ]
        case _:
            raise QueryFailed(f"TABLE_NOT_FOUND: line 1:15: Table '{CATALOG}.information_schema.{name}' does not exist")
    return pa.Table.from_pylist(rows)
