"""Query executions of Athena. A query runs with the role of its caller."""

import io
import re
import threading
import time
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from sandbox.athena.commands import OF_THE_EMULATOR, Commands
from sandbox.athena.statements import Engine, Malformed, Result, Session, statement_of, statement_type
from sandbox.cloud import ACCOUNT, REGION, Cloud, Credentials, split_uri
from sandbox.datalake.catalog import Catalog, Column, QueryFailed
from sandbox.datalake.hive_types import split_type
from sandbox.events.delivery import AwsEvents
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.permissions import is_wrongly_denied
from sandbox.gateway.routes import Routes

ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}
USER_ERROR, GENERIC_TYPE = 2, 1306
PAGE = 1000  # rows
LONGEST_QUERY = 262_144  # bytes of UTF-8: Athena user guide, "Service Quotas"
INTEGERS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}  # digits
TIMES = {"timestamp": 3, "timestamp with time zone": 3}
PRECISION = {**INTEGERS, **TIMES, "float": 17, "double": 17, "varchar": 2147483647}


class Execution:
    def __init__(self, query_id: str, request: dict[str, Any], output: str, caller: Credentials) -> None:
        self.id, self.request, self.caller = query_id, request, caller
        self.sql: str = request["QueryString"]
        self.type = statement_type(self.sql)
        self.workgroup: str = request.get("WorkGroup", "primary")
        context = request.get("QueryExecutionContext", {})
        self.catalog, self.database = (
            context.get("Catalog", "AwsDataCatalog"),
            context.get("Database", "default").strip("`"),
        )
        self.tables = f"{output.rstrip('/')}/tables/{query_id}"
        self.output = f"{output.rstrip('/')}/{query_id}.{'csv' if self.type == 'DML' else 'txt'}"
        self.state = "QUEUED"
        self.reason = ""
        self.submitted = time.time()
        self.completed: float | None = None
        self.bytes_read = 0
        self.result = Result([], [])
        self.session: Session | None = None
        self.cancelled = threading.Event()

    def describe(self) -> dict[str, Any]:
        """Returns the QueryExecution of GetQueryExecution."""
        milliseconds = int(((self.completed or time.time()) - self.submitted) * 1000)
        return {
            "QueryExecutionId": self.id,
            "Query": self.sql.strip(),
            "StatementType": self.type,
            "ResultConfiguration": {"OutputLocation": self.output},
            "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
            "QueryExecutionContext": {"Database": self.database, "Catalog": self.catalog.lower()},
            "Status": {
                "State": self.state,
                "SubmissionDateTime": self.submitted,
                **({"StateChangeReason": self.reason} if self.reason else {}),
                **({"CompletionDateTime": self.completed} if self.completed else {}),
                **({"AthenaError": self.error()} if self.state == "FAILED" else {}),
            },
            "Statistics": {
                "EngineExecutionTimeInMillis": milliseconds,
                "DataScannedInBytes": self.bytes_read,
                "TotalExecutionTimeInMillis": milliseconds,
                "QueryQueueTimeInMillis": 0,
                "QueryPlanningTimeInMillis": 0,
                "ServiceProcessingTimeInMillis": 0,
                **({"DataManifestLocation": self.manifest} if self.result.files else {}),
            },
            "WorkGroup": self.workgroup,
            "EngineVersion": {
                "SelectedEngineVersion": "AUTO",
                "EffectiveEngineVersion": "Athena engine version 3",
            },
        }

    @property
    def manifest(self) -> str:
        return f"{self.tables}-manifest.csv"

    def error(self) -> dict[str, Any]:
        return {
            "ErrorCategory": USER_ERROR,
            "ErrorType": GENERIC_TYPE,
            "Retryable": False,
            "ErrorMessage": self.reason,
        }


class Queries:
    def __init__(self, cloud: Cloud, emulator: Cloud, events: AwsEvents, engine: Engine) -> None:
        """`emulator` calls the emulator directly, to see its own execution of a query."""
        self._cloud, self._emulator, self._events, self._engine = cloud, emulator, events, engine
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, Execution] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------------ the API

    def routes(self) -> Routes:
        of_an_execution = ("GetQueryExecution", "GetQueryResults", "StopQueryExecution")
        return Routes(
            denials={("athena", action): self.is_wrongly_denied for action in of_an_execution},
            handlers={
                ("athena", "StartQueryExecution"): self.start,
                ("athena", "GetQueryExecution"): self.get,
                ("athena", "BatchGetQueryExecution"): self.batch_get,
                ("athena", "GetQueryResults"): self.results,
                ("athena", "StopQueryExecution"): self.stop,
                ("athena", "ListQueryExecutions"): self.list,
                ("athena", "GetWorkGroup"): self.workgroup,
            },
        )

    def start(self, call: Call, response: Response) -> Response | dict[str, Any]:
        if not response.ok:
            return response
        request = call.json
        token = request.get("ClientRequestToken")
        with self._lock:
            if token and (earlier := self._tokens.get(token)):
                if earlier.request != request:
                    raise AwsError(
                        "InvalidRequestException", "Idempotent parameters do not match", AthenaErrorCode="INVALID_INPUT"
                    )
                return {"QueryExecutionId": earlier.id}
            execution = self._accept(response.json["QueryExecutionId"], request, self._cloud.caller(call.caller))
            self._executions[execution.id] = execution
            if token:
                self._tokens[token] = execution
        threading.Thread(target=self._run, args=[execution], name=f"query {execution.id}", daemon=True).start()
        return {"QueryExecutionId": execution.id}

    def get(self, call: Call, response: Response) -> Response | dict[str, Any]:
        execution = self._executions.get(call.json["QueryExecutionId"])
        return {"QueryExecution": execution.describe()} if execution else response

    def batch_get(self, call: Call, response: Response) -> dict[str, Any]:
        ids = call.json["QueryExecutionIds"]
        return {
            "QueryExecutions": [self._executions[i].describe() for i in ids if i in self._executions],
            "UnprocessedQueryExecutionIds": [
                {
                    "QueryExecutionId": i,
                    "ErrorCode": "INVALID_INPUT",
                    "ErrorMessage": f"QueryExecution {i} was not found",
                }
                for i in ids
                if i not in self._executions
            ],
        }

    def list(self, call: Call, response: Response) -> Response | dict[str, Any]:
        """Newest first."""
        if not response.ok:
            return response
        workgroup = call.json.get("WorkGroup", "primary")
        ids = [execution.id for execution in self._executions.values() if execution.workgroup == workgroup][::-1]
        return page("QueryExecutionIds", ids, call.json, 50)

    def stop(self, call: Call, response: Response) -> Response | dict[str, Any]:
        execution = self._executions.get(call.json["QueryExecutionId"])
        if execution is None:
            return response
        execution.cancelled.set()
        if execution.session:
            execution.session.cancel()
        return {}

    def results(self, call: Call, response: Response) -> Response | dict[str, Any]:
        execution = self._executions.get(call.json["QueryExecutionId"])
        if execution is None:
            return response
        if execution.state != "SUCCEEDED":
            raise AwsError(
                "InvalidRequestException",
                f"Query did not finish successfully. Final query state: {execution.state}"
                if execution.state in ENDED
                else f"Query has not yet finished. Current state: {execution.state}",
                AthenaErrorCode="INVALID_QUERY_EXECUTION_STATE",
            )
        columns, rows = execution.result.columns, execution.result.rows
        head = [[column.name for column in columns]] if execution.type == "DML" else []
        shown = page("Rows", head + rows, call.json, PAGE)
        data = [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in shown.pop("Rows")]
        metadata = {"ColumnInfo": [column_info(column) for column in columns]}
        return {"UpdateCount": 0, "ResultSet": {"Rows": data, "ResultSetMetadata": metadata}, **shown}

    def is_wrongly_denied(self, call: Call, response: Response) -> bool:
        """Whether the caller's role allows this. AWS checks the query's workgroup, which the emulator does not know."""
        execution = self._executions.get(call.json.get("QueryExecutionId", ""))
        if execution is None:
            return False
        workgroup = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{execution.workgroup}"
        return is_wrongly_denied(self._cloud, response, f"athena:{call.action}", workgroup)

    def workgroup(self, call: Call, response: Response) -> Response | dict[str, Any]:
        """Adds the default settings of AWS."""
        if not response.ok:
            return response
        group = response.json["WorkGroup"]
        defaults = {
            "EnforceWorkGroupConfiguration": group["Name"] != "primary",
            "PublishCloudWatchMetricsEnabled": group["Name"] != "primary",
            "RequesterPaysEnabled": False,
        }
        return {"WorkGroup": {**group, "Configuration": defaults | (group.get("Configuration") or {})}}

    # ------------------------------------------------------------------------------------------------ a query

    def _accept(self, query_id: str, request: dict[str, Any], caller: Credentials) -> Execution:
        """Raises AwsError for a query that Athena does not queue."""
        sql = request["QueryString"]
        if len(sql.encode()) > LONGEST_QUERY:
            raise AwsError(
                "InvalidRequestException",
                f"1 validation error detected: Value '{sql}' at 'queryString' failed to satisfy constraint: "
                f"Member must have length less than or equal to {LONGEST_QUERY}",
                AthenaErrorCode="INVALID_INPUT",
            )
        output = self._output(request)
        try:
            execution = Execution(query_id, request, output, caller)
            if execution.type == "DML":
                self._engine.check(execution.sql)
        except Malformed as error:
            raise AwsError("InvalidRequestException", str(error), AthenaErrorCode="MALFORMED_QUERY") from error
        bucket, _ = split_uri(output)
        try:
            self._cloud.client("s3", caller).get_bucket_location(Bucket=bucket)
        except ClientError as error:
            raise AwsError(
                "InvalidRequestException",
                f"Unable to verify/create output bucket {bucket}",
                AthenaErrorCode="INVALID_INPUT",
            ) from error
        return execution

    def _output(self, request: dict[str, Any]) -> str:
        """Returns the location of results: the workgroup's if it is enforced or the request has none."""
        name = request.get("WorkGroup", "primary")
        settings = self._cloud.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]
        of_workgroup = settings.get("ResultConfiguration", {}).get("OutputLocation")
        of_request = request.get("ResultConfiguration", {}).get("OutputLocation")
        enforced = settings["EnforceWorkGroupConfiguration"]
        return (of_workgroup or of_request) if enforced else (of_request or of_workgroup)

    def _run(self, execution: Execution) -> None:
        self._announce(execution, None, 1)
        execution.state = "RUNNING"
        self._announce(execution, "QUEUED", 2)
        state = "FAILED"
        try:
            self._tidy(execution)
            if not execution.cancelled.is_set():
                execution.result = self._execute(execution)
                self._write(execution)
                state = "SUCCEEDED"
        except (QueryFailed, Malformed) as error:
            execution.reason = str(error)
        except ClientError as error:
            execution.reason = f"Insufficient permissions to execute the query. {error}"
        except Exception as error:
            execution.reason = f"INTERNAL_ERROR: The sandbox failed: {error!r}"
        if execution.cancelled.is_set():
            state, execution.reason = "CANCELLED", "Query cancelled by user"
        execution.session = None
        execution.completed = time.time()
        execution.state = state
        self._announce(execution, "RUNNING", 3)

    def _execute(self, execution: Execution) -> Result:
        if re.match(OF_THE_EMULATOR, statement_of(execution.sql), re.IGNORECASE):
            return self._emulated(execution)
        catalog = Catalog(*(self._cloud.client(service, execution.caller) for service in ("glue", "s3")))
        database = execution.database.lower()
        result = Commands(catalog, database).run(execution.sql)
        if result is None:
            execution.session = self._engine.session(catalog, database, execution.tables)
            result = execution.session.run(execution.sql)
            execution.bytes_read = execution.session.bytes_read
        return result

    def _emulated(self, execution: Execution) -> Result:
        """Returns the result of a statement that the emulator has run, such as CREATE EXTERNAL TABLE."""
        status = self._emulator.client("athena").get_query_execution(QueryExecutionId=execution.id)["QueryExecution"]
        if status["Status"]["State"] != "SUCCEEDED":
            raise QueryFailed(status["Status"].get("StateChangeReason", "GENERIC_INTERNAL_ERROR"))
        return Result([], [])

    def _write(self, execution: Execution) -> None:
        """Writes the result file and the manifest of a created table, with the caller's role."""
        s3 = self._cloud.client("s3", execution.caller)
        contents = {execution.output: result_file(execution.result, execution.type)}
        if files := execution.result.files:
            contents[execution.manifest] = "\n".join(files).encode()
        try:
            for uri, content in contents.items():
                bucket, key = split_uri(uri)
                s3.put_object(Bucket=bucket, Key=key, Body=content)
        except ClientError as error:
            raise QueryFailed(
                f"Access denied when writing output to url: {execution.output} . Please ensure you are allowed to "
                f"access the S3 bucket. {error}"
            ) from error

    def _tidy(self, execution: Execution) -> None:
        """Deletes the result file that the emulator's mock of the query has written."""
        known = self._emulator.client("athena").get_query_execution(QueryExecutionId=execution.id)["QueryExecution"]
        bucket, key = split_uri(f"{known['ResultConfiguration']['OutputLocation']}/{execution.id}.csv")
        for name in (key, f"{key}.metadata"):
            with suppress(ClientError):
                self._emulator.client("s3").delete_object(Bucket=bucket, Key=name)

    def _announce(self, execution: Execution, previous: str | None, number: int) -> None:
        self._events.send(
            "aws.athena",
            "Athena Query State Change",
            {
                "versionId": "0",
                "currentState": execution.state,
                **({"previousState": previous} if previous else {}),
                "statementType": execution.type,
                "queryExecutionId": execution.id,
                "workgroupName": execution.workgroup,
                "sequenceNumber": str(number),
                **({"athenaError": lower_first(execution.error())} if execution.state == "FAILED" else {}),
            },
        )


def lower_first(content: dict[str, Any]) -> dict[str, Any]:
    return {name[0].lower() + name[1:]: value for name, value in content.items()}


def page(name: str, items: list[Any], request: dict[str, Any], size: int) -> dict[str, Any]:
    start = int(request.get("NextToken") or 0)
    end = start + (request.get("MaxResults") or size)
    return {name: items[start:end], **({"NextToken": str(end)} if end < len(items) else {})}


def column_info(column: Column) -> dict[str, Any]:
    """Returns the ColumnInfo. A real is a float, and a time has no precision in its name."""
    name, parameters = split_type(re.sub(r"^(time\w*)\(\d+\)", r"\1", column.type))
    name = "float" if name == "real" else name
    precision, scale = map(int, parameters) if name == "decimal" else (PRECISION.get(name, 0), 0)
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": name,
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": name == "varchar",
    }


def result_file(result: Result, statement: str) -> bytes:
    """Returns a query's result as CSV, with every value quoted and NULL empty. Other statements have plain lines."""
    text = io.StringIO()
    if statement == "DML":
        for row in [[column.name for column in result.columns], *result.rows]:
            text.write(",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in row) + "\n")
    else:
        text.writelines("\t".join(v or "" for v in row) + "\n" for row in result.rows)
    return text.getvalue().encode()
