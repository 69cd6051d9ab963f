"""Athena: the query that publishes a view."""

from collections.abc import Sequence
from typing import Any

from table_exports.aws.errors import translate_errors
from table_exports.domain import limits, view_sql
from table_exports.domain.aws_events import NO_MESSAGE, QueryEnded
from table_exports.domain.errors import FinalError
from table_exports.domain.export import Export
from table_exports.domain.foreign import text_or_default

RUNNING = {"QUEUED", "RUNNING"}  # states of a query that has not ended


class Athena:
    def __init__(self, client: Any, workgroup: str, database: str) -> None:
        self._client = client
        self._workgroup = workgroup
        self._database = database

    def create_view(self, export: Export, columns: Sequence[tuple[str, str]]) -> str:
        """Start the query that makes the view show the export's snapshot, and return the query's id.

        `columns` are pairs of a column of the snapshot table and its name in the view.
        A repeated call is harmless: the token makes Athena answer with the same query.
        Raises PermanentError if Athena does not accept the query.
        """
        sql = view_sql.create_view(export, self._database, columns)
        if (size := len(sql.encode())) > limits.QUERY_BYTES:
            raise FinalError(
                f"View {export.catalog_name} cannot be created: {size} bytes of SQL for {len(columns)} columns, and "
                f"Athena accepts {limits.QUERY_BYTES}. Query {export.snapshot_table} instead, which has all columns. "
                "To have a view again, put attributes whose names are data into a map, then start over: "
                'docs/schema.md, "Start over"'
            )
        with translate_errors(f"View {export.catalog_name} cannot be created"):
            query = self._client.start_query_execution(
                QueryString=sql,
                ClientRequestToken=view_sql.request_token(export, sql),
                QueryExecutionContext={"Database": self._database},
                WorkGroup=self._workgroup,
            )
        return query["QueryExecutionId"]

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
