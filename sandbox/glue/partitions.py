"""Partitions of the Glue catalog, where the emulator knows less than AWS.

It has no UpdatePartition, and GetPartitions returns all partitions whatever the expression, segment or page.
"""

from typing import Any

import duckdb
import pyarrow as pa
from botocore.exceptions import ClientError

from sandbox.cloud import Cloud
from sandbox.datalake.hive_types import arrow_of_hive
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.routes import Routes
from sandbox.glue.responses import only_set

PAGE = 1000  # MaxResults' highest value, in botocore's model


class Partitions:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> Routes:
        return Routes(handlers={("glue", "GetPartitions"): self.get, ("glue", "UpdatePartition"): self.update})

    def get(self, call: Call, response: Response) -> Response | dict[str, Any]:
        if not response.ok:
            return response
        request = call.json
        found: list[dict[str, Any]] = only_set(response.json["Partitions"])
        if expression := request.get("Expression"):
            found = matching(found, self._keys(request), expression)
        if segment := request.get("Segment"):
            found = found[segment["SegmentNumber"] :: segment["TotalSegments"]]
        start = int(request.get("NextToken") or 0)
        end = start + (request.get("MaxResults") or PAGE)
        return {"Partitions": found[start:end], **({"NextToken": str(end)} if end < len(found) else {})}

    def _keys(self, request: dict[str, Any]) -> dict[str, pa.DataType]:
        glue = self._cloud.client("glue")
        table = glue.get_table(DatabaseName=request["DatabaseName"], Name=request["TableName"])["Table"]
        return {key["Name"]: arrow_of_hive(key["Type"]) for key in table["PartitionKeys"]}

    def update(self, call: Call, response: Response) -> dict[str, Any]:
        """The emulator has checked that the caller may do this."""
        request = call.json
        entry = {name: request[name] for name in ("PartitionValueList", "PartitionInput")}
        try:
            answer = self._cloud.client("glue").batch_update_partition(
                DatabaseName=request["DatabaseName"], TableName=request["TableName"], Entries=[entry]
            )
        except ClientError as error:
            raise AwsError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        for error in answer["Errors"]:
            raise AwsError(error["ErrorDetail"]["ErrorCode"], error["ErrorDetail"]["ErrorMessage"])
        return {}


def matching(partitions: list[dict[str, Any]], keys: dict[str, pa.DataType], expression: str) -> list[dict[str, Any]]:
    """The partitions whose values fulfill the expression. Raises AwsError if it is not valid."""
    columns = {
        name: pa.array([partition["Values"][position] for partition in partitions], pa.string()).cast(kind)
        for position, (name, kind) in enumerate(keys.items())
    }
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.register("partitions", pa.table(columns))
        try:
            found = connection.execute(f"SELECT {expression} FROM partitions").fetchall()
        except duckdb.Error as error:
            raise AwsError("InvalidInputException", f"Unsupported expression '{expression}': {error}") from error
    return [partition for partition, (fulfilled,) in zip(partitions, found, strict=True) if fulfilled]
