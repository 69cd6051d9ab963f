"""Athena: the query that publishes a view."""

from typing import Any

from table_exports.aws.errors import translate_errors
from table_exports.domain import limits, view_sql
from table_exports.domain.aws_events import NO_MESSAGE, QueryEnded
from table_exports.domain.errors import FinalError
from table_exports.domain.export import Export
from table_exports.domain.foreign import text_or_default
from table_exports.domain.manifest import Manifest

RUNNING = {"QUEUED", "RUNNING"}  # states of a query that has not ended


class Athena:
    def __init__(self, client: Any, workgroup: str, database: str) -> None:
        self._client = client
        self._workgroup = workgroup
        self._database = database

    def create_view(self, export: Export, manifest: Manifest) -> str:
        """Start the query that makes the view show the export's snapshot, and return the query's id.

        A repeated call is harmless: the token makes Athena answer with the same query.
        Raises PermanentError if Athena does not accept the query, or Glue not the view.
        """
        sql = self.view_statement(export, manifest)
        with translate_errors(f"View {export.catalog_name} cannot be created"):
            query = self._client.start_query_execution(
                QueryString=sql,
                ClientRequestToken=view_sql.request_token(export, sql),
                QueryExecutionContext={"Database": self._database},
                WorkGroup=self._workgroup,
            )
        return query["QueryExecutionId"]

    def view_statement(self, export: Export, manifest: Manifest) -> str:
        """Return the SQL of the view. Raises FinalError if Athena does not accept it, or Glue not the view."""
        columns = manifest.view_columns
        sql = view_sql.create_view(export, self._database, columns)
        types = {column.name: column.type for column in manifest.columns}
        stored = view_sql.stored_characters(self._database, sql, [(name, types[source]) for source, name in columns])
        too_large = ""
        if (size := len(sql.encode())) > limits.QUERY_BYTES:
            too_large = f"{size} bytes of SQL for {len(columns)} columns, and Athena accepts {limits.QUERY_BYTES}"
        elif stored > limits.VIEW_CHARACTERS:
            too_large = (
                f"its query, and the names and types of {len(columns)} columns, are at least {stored} characters in "
                f"the catalog, and Glue accepts {limits.VIEW_CHARACTERS}"
            )
        if too_large:
            raise FinalError(
                f"View {export.catalog_name} cannot be created: {too_large}. Query {export.snapshot_table} instead, "
                "which has all columns. To have a view again, put attributes whose names are data into a map, then "
                'start over: docs/schema.md, "Start over"'
            )
        return sql

    def query_end(self, query_id: str) -> QueryEnded | None:
        """Return how the query ended. None if it has not."""
        try:
            asked = self._client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
        except self._client.exceptions.InvalidRequestException as error:  # Athena no longer knows the query
            gone = {"ErrorMessage": error.response["Error"]["Message"], "Retryable": True}
            asked = {"State": "FAILED", "AthenaError": gone}
        if asked["State"] in RUNNING:
            return None
        found = asked.get("AthenaError", {})
        return QueryEnded(
            query_id=query_id,
            workgroup=self._workgroup,
            state=asked["State"],
            message=text_or_default(found.get("ErrorMessage") or asked.get("StateChangeReason"), NO_MESSAGE),
            error_category=found.get("ErrorCategory"),
            error_type=found.get("ErrorType"),
            called_retryable=found.get("Retryable", False),
        )

    def stop_query(self, query_id: str) -> None:
        self._client.stop_query_execution(QueryExecutionId=query_id)
