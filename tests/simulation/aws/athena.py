"""Athena: queries that publish views. A view shows what the last of its queries that succeeded says."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulation.aws.client import AwsError
from simulation.aws.events import Buses
from simulation.faults import Faults
from simulation.world import HOUR, World

SQL = re.compile(r'CREATE OR REPLACE VIEW "\w+"\."(?P<view>\w+)" AS .*"snapshot_timestamp" = \'(?P<snapshot>[^\']+)\'')
USUAL, SLOW, DDL_TIMEOUT = 4.0, 40 * 60.0, 10 * HOUR


@dataclass
class Query:
    query_id: str
    workgroup: str
    sql: str
    fate: str
    state: str = "QUEUED"
    ended: datetime | None = None
    error: dict[str, Any] | None = None

    @property
    def view(self) -> str:
        return SQL.match(self.sql)["view"]

    @property
    def snapshot(self) -> str:
        return SQL.match(self.sql)["snapshot"]


class Athena:
    def __init__(self, world: World, faults: Faults, buses: Buses) -> None:
        self.queries: dict[str, Query] = {}
        self.views: dict[str, str] = {}  # view -> snapshot
        self._texts: dict[str, str] = {}  # of views, as they are in the catalog
        self.shown: Callable[[Query], None] = lambda query: None
        self._world = world
        self._faults = faults
        self._buses = buses
        self._tokens: dict[str, tuple[tuple[str, str], str]] = {}

    def start_query_execution(
        self, QueryString: str, ClientRequestToken: str, QueryExecutionContext: dict[str, str], WorkGroup: str
    ) -> dict[str, Any]:
        assert SQL.match(QueryString), QueryString
        if known := self._tokens.get(ClientRequestToken):
            asked, query_id = known
            if asked != (QueryString, WorkGroup):
                raise AwsError("InvalidRequestException", "Idempotent parameters do not match")
            return {"QueryExecutionId": query_id}
        query_id = f"query-{len(self.queries) + 1}"
        query = Query(query_id, WorkGroup, QueryString, self._faults.fate("query"))
        self.queries[query_id] = query
        self._tokens[ClientRequestToken] = ((QueryString, WorkGroup), query_id)
        seconds = {"slow": SLOW, "hangs": DDL_TIMEOUT}.get(query.fate, self._world.varies(USUAL, 1.0, 30.0))
        self._world.after(seconds, lambda: self._end(query), awaited=query.fate != "hangs")
        return {"QueryExecutionId": query_id}

    def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:
        query = self._known(QueryExecutionId)
        status: dict[str, Any] = {"State": query.state}
        if query.error:
            status["AthenaError"] = {
                "ErrorCategory": query.error["errorCategory"],
                "Retryable": query.error["retryable"],
                "ErrorMessage": query.error["errorMessage"],
            }
        return {"QueryExecution": {"QueryExecutionId": query.query_id, "WorkGroup": query.workgroup, "Status": status}}

    def stop_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:
        query = self._known(QueryExecutionId)
        if not query.ended:
            self._ended(query, "CANCELLED")
        return {}

    def drop(self, name: str) -> None:
        self.views.pop(name, None)
        self._texts.pop(name, None)

    def view(self, name: str) -> dict[str, Any] | None:
        """The view as the catalog describes it."""
        if name not in self._texts:
            return None
        return {"Name": name, "TableType": "VIRTUAL_VIEW", "ViewOriginalText": self._texts[name]}

    def _known(self, query_id: str) -> Query:
        if query_id not in self.queries:
            raise AwsError("InvalidRequestException", f"QueryExecution {query_id} was not found")
        return self.queries[query_id]

    def _end(self, query: Query) -> None:
        if query.ended:
            return
        match query.fate:
            case "FAILED":
                query.error = {
                    "errorCategory": 2,
                    "errorType": 1306,
                    "retryable": False,
                    "errorMessage": "No such type",
                }
                self._ended(query, "FAILED")
            case "FAILED, retryable":
                query.error = {"errorCategory": 1, "errorType": 401, "retryable": True, "errorMessage": "Out of nodes"}
                self._ended(query, "FAILED")
            case "CANCELLED":
                self._ended(query, "CANCELLED")
            case "hangs":
                query.error = {"errorCategory": 2, "errorType": 5, "retryable": False, "errorMessage": "Query timeout"}
                self._ended(query, "FAILED")
            case _:
                self.views[query.view] = query.snapshot
                self._texts[query.view] = stored(query.sql)
                self._ended(query, "SUCCEEDED")
                self.shown(query)

    def _ended(self, query: Query, state: str) -> None:
        query.state, query.ended = state, self._world.now
        self._world.note("Athena", f"{query.query_id} {state}: view {query.view} of {query.snapshot}")
        detail = {
            "versionId": "0",
            "currentState": state,
            "previousState": "RUNNING",
            "statementType": "DDL",
            "queryExecutionId": query.query_id,
            "workgroupName": query.workgroup,
            "sequenceNumber": "3",
        }
        if query.error:
            detail["athenaError"] = query.error
        self._buses.send("default", "aws.athena", "Athena Query State Change", detail)


def stored(sql: str) -> str:
    """The text of a view that this statement creates."""
    view = json.dumps({"originalSql": sql.partition(" AS ")[2]})
    return f"/* Presto View: {base64.b64encode(view.encode()).decode()} */"
