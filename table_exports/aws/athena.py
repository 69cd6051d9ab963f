"""Athena: the query that publishes a view."""

from collections.abc import Sequence
from typing import Any

from table_exports.aws.errors import aws_may_refuse
from table_exports.domain import view_sql
from table_exports.domain.aws_events import NO_MESSAGE, QueryEnded
from table_exports.domain.errors import Refused
from table_exports.domain.export import Export
from table_exports.domain.foreign import words

LONGEST_QUERY = 262_144  # bytes: StartQueryExecution
RUNNING = {"QUEUED", "RUNNING"}  # as queries are that have not ended


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
        if (size := len(sql.encode())) > LONGEST_QUERY:
            raise Refused(
                f"View {export.catalog_name} cannot be created: {size} bytes of SQL for {len(columns)} columns, and "
                f"Athena takes {LONGEST_QUERY}. Query {export.snapshot_table}, which has them all"
            )
        with aws_may_refuse(f"View {export.catalog_name} cannot be created"):
            query = self._client.start_query_execution(
                QueryString=sql,
                ClientRequestToken=view_sql.request_token(export, sql),
                QueryExecutionContext={"Database": self._database},
                WorkGroup=self._workgroup,
            )
        return query["QueryExecutionId"]

    def query_end(self, query_id: str) -> QueryEnded | None:
        """How the query ended; None if it has not."""
        try:
            asked = self._client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
        except self._client.exceptions.InvalidRequestException as error:  # it knows the query no more
            gone = {"ErrorMessage": error.response["Error"]["Message"], "Retryable": True}
            asked = {"State": "FAILED", "AthenaError": gone}
        if asked["State"] in RUNNING:
            return None
        error = asked.get("AthenaError", {})
        return QueryEnded(
            query_id=query_id,
            workgroup=self._workgroup,
            state=asked["State"],
            message=words(error.get("ErrorMessage") or asked.get("StateChangeReason"), NO_MESSAGE),
            error_category=error.get("ErrorCategory"),
            error_type=error.get("ErrorType"),
            called_retryable=error.get("Retryable", False),
        )

    def stop_query(self, query_id: str) -> None:
        self._client.stop_query_execution(QueryExecutionId=query_id)
