"""Athena's queries on Trino, the engine that Athena is based on.

Trino reads and writes the catalog and the files as root, whatever the caller's role allows.
"""

import re
import uuid
from collections.abc import Callable
from typing import Any

from sandbox.athena.printing import printed
from sandbox.athena.statements import (
    CREATE_TABLE_AS,
    EMPTY,
    QUALIFIED,
    UNLOAD,
    Malformed,
    Result,
    first_word,
    locate,
    not_supported,
    run_first,
    statement_of,
    statement_type,
    written,
)
from sandbox.athena.views import CATALOG
from sandbox.datalake.catalog import Catalog, Column, QueryFailed
from sandbox.trino.client import TrinoClient, TrinoError, TrinoResult

CREATE_VIEW = rf"CREATE\s+(?:OR\s+REPLACE\s+)?VIEW\s+{QUALIFIED}\s"
HIVE = {"integer": "int", "varchar": "string", "varbinary": "binary", "real": "float"}
COMPRESSION = r",?\s*\b(?:write_compression|parquet_compression|orc_compression|compression)\s*=\s*'[^']*'"


class TrinoEngine:
    def __init__(self, url: str) -> None:
        self._url = url

    def check(self, sql: str) -> None:
        if first_word(sql) in ("UNLOAD", "EXECUTE"):
            return  # Trino has no UNLOAD, and prepares no EXECUTE
        try:
            self._client("default").run(f"PREPARE query FROM\n{without_end(sql)}")  # which only parses it
        except TrinoError as error:
            if error.name == "SYNTAX_ERROR":
                raise Malformed(re.sub(r"^line (\d+)", one_line_up, error.message)) from error

    def session(self, catalog: Catalog, database: str, location: str) -> "TrinoSession":
        return TrinoSession(self._client(database), catalog, database, location)

    def _client(self, database: str) -> TrinoClient:
        return TrinoClient(self._url, CATALOG, database)


class TrinoSession:
    """One statement's work. `catalog` only describes views and lists the files that were written."""

    def __init__(self, client: TrinoClient, catalog: Catalog, database: str, location: str) -> None:
        self._client, self._catalog, self._database, self._location = client, catalog, database, location
        self.bytes_read = 0

    def cancel(self) -> None:
        self._client.cancel()

    def run(self, sql: str) -> Result:
        result = run_first(COMMANDS, self, sql)
        if result is not None:
            return result
        if statement_type(sql) == "DML":
            return in_athenas_form(self._trino(without_end(sql)))
        if first_word(sql) == "EXPLAIN":
            [[plan]] = self._trino(without_end(sql)).rows
            return Result([Column("Query Plan", "string")], [[line] for line in printed(plan).splitlines()])
        if found := re.match(CREATE_VIEW, statement_of(sql), re.IGNORECASE):
            self._trino(without_end(sql))
            self._describe_view(found["name"])
            return EMPTY
        raise QueryFailed(not_supported(sql))

    def _describe_view(self, name: str) -> None:
        """Have the catalog show the view's columns as Athena does. Trino leaves a dummy column there."""
        database, view = locate(name, self._database)
        columns = self._trino(f'SELECT * FROM "{database}"."{view}" LIMIT 0').columns
        described = [Column(column.name, hive_type(column.signature)) for column in columns]
        self._catalog.describe_view(database, view, described)

    def create_table(self, name: str, query: str, properties: str = "") -> Result:
        given = re.search(r"external_location\s*=\s*'([^']+)'", properties)
        location = given[1] if given else self._location.rstrip("/") + "/"
        kept = re.sub(COMPRESSION, "", properties).strip(" \n,")
        if not re.search(r"\bformat\s*=", kept):
            kept = ", ".join(filter(None, [kept, "format = 'PARQUET'"]))
        if not given:
            kept += f", external_location = '{location}'"
        self._trino(f"CREATE TABLE {name} WITH ({kept}) AS {query}")
        return written(self._catalog.written_files(location))

    def unload(self, query: str, location: str, properties: str) -> Result:
        """As a table that is dropped at once: its files stay, because their location is external."""
        name = f'"{self._database}"."unload_{uuid.uuid4().hex}"'
        result = self.create_table(name, query, f"{properties}, external_location = '{location.rstrip('/')}/'")
        self._trino(f"DROP TABLE {name}")
        return result

    def _trino(self, sql: str) -> TrinoResult:
        try:
            result = self._client.run(sql)
        except TrinoError as error:
            raise QueryFailed(str(error)) from error
        self.bytes_read += result.bytes_read
        return result


COMMANDS: list[tuple[str, Callable[..., Result]]] = [
    (CREATE_TABLE_AS, TrinoSession.create_table),
    (UNLOAD, TrinoSession.unload),
]


def hive_type(signature: dict[str, Any]) -> str:
    """Returns Hive's type for one as Trino's REST API describes it."""
    arguments = [argument["value"] for argument in signature["arguments"]]
    match signature["rawType"]:
        case "row":
            fields = (f"{each['fieldName']['name']}:{hive_type(each['typeSignature'])}" for each in arguments)
            return f"struct<{','.join(fields)}>"
        case "array" | "map" as kind:
            return f"{kind}<{','.join(map(hive_type, arguments))}>"
        case "decimal":
            return f"decimal({arguments[0]},{arguments[1]})"
        case name:
            return HIVE.get(name, name.removesuffix(" with time zone"))


def without_end(sql: str) -> str:
    """The SQL without its final semicolon. Comments stay, so that positions in errors are right."""
    return sql.rstrip().rstrip(";")


def one_line_up(found: re.Match[str]) -> str:
    return f"line {int(found[1]) - 1}"


def in_athenas_form(result: TrinoResult) -> Result:
    columns = [Column(column.name, column.type) for column in result.columns]
    return Result(columns, [[None if value is None else printed(value) for value in row] for row in result.rows])
