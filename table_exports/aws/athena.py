"""Athena: the query that publishes a view."""

from collections.abc import Sequence
from typing import Any

from table_exports.aws.errors import final_errors_refuse
from table_exports.domain import view_sql
from table_exports.domain.export import Export


class Athena:
    def __init__(self, client: Any, workgroup: str, database: str) -> None:
        self._client = client
        self._workgroup = workgroup
        self._database = database

    def create_view(self, export: Export, columns: Sequence[tuple[str, str]]) -> str:
        """Start the query that lets the view show the export's snapshot. Returns the query's id.

        `columns` are pairs: the snapshot table's column, and the name that the view shows it under.

        Asking again is harmless: the token makes Athena answer with the same query.
        Raises Refused if Athena does not take the query.
        """
        sql = view_sql.create_view(export, self._database, columns)
        with final_errors_refuse(f"View {export.catalog_name} cannot be created"):
            query = self._client.start_query_execution(
                QueryString=sql,
                ClientRequestToken=view_sql.request_token(export, sql),
                QueryExecutionContext={"Database": self._database},
                WorkGroup=self._workgroup,
            )
        return query["QueryExecutionId"]
