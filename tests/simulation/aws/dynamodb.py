"""The exported tables, and DynamoDB's exports of them to S3; and STS, which lets a service look at one."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulation.aws.client import AwsError
from simulation.aws.events import ACCOUNT, REGION, Buses
from simulation.aws.s3 import S3
from simulation.faults import Faults
from simulation.world import HOUR, World

USUAL, SLOW, HANGS = 300.0, 3 * HOUR, 240 * HOUR


@dataclass
class Table:
    name: str
    attributes: list[str]
    types: dict[str, int] = field(default_factory=dict)  # of items -> how many there are
    recovery: bool = True


@dataclass
class TableExport:
    arn: str
    table: str
    bucket: str
    prefix: str
    fate: str
    status: str = "IN_PROGRESS"
    ended: float | None = None


class Tables:
    def __init__(self, world: World, faults: Faults, buses: Buses, s3: S3) -> None:
        self.tables: dict[str, Table] = {}
        self.exports: dict[str, TableExport] = {}
        self._world = world
        self._faults = faults
        self._buses = buses
        self._s3 = s3
        self._tokens: dict[str, str] = {}

    def describe_table(self, TableName: str) -> dict[str, Any]:
        table = self._known(TableName)
        return {
            "Table": {
                "TableName": table.name,
                "TableArn": _arn(table.name),
                "TableSizeBytes": 2**30,
                "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            }
        }

    def describe_continuous_backups(self, TableName: str) -> dict[str, Any]:
        status = "ENABLED" if self._known(TableName).recovery else "DISABLED"
        recovery = {"PointInTimeRecoveryStatus": status}
        return {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": recovery}}

    def export_table_to_point_in_time(
        self, TableArn: str, ClientToken: str, ExportFormat: str, S3Bucket: str, S3BucketOwner: str, S3Prefix: str
    ) -> dict[str, Any]:
        table = self._known(TableArn.rpartition("/")[2])
        if ClientToken in self._tokens:
            export = self.exports[self._tokens[ClientToken]]
            if (export.table, export.prefix) != (table.name, S3Prefix):
                raise AwsError("ExportConflictException", "The token was used for another export")
            return self._described(export)
        if not table.recovery:
            raise AwsError("PointInTimeRecoveryUnavailableException", "Point in time recovery is not enabled")
        arn = f"{TableArn}/export/0179539921{len(self.exports):04d}-06e2188f"
        export = TableExport(arn, table.name, S3Bucket, S3Prefix, self._faults.fate("table export"))
        self.exports[arn] = export
        self._tokens[ClientToken] = arn
        usual = self._world.varies(USUAL, 60.0, 1200.0)
        seconds = {"slow": SLOW, "hangs": HANGS}.get(export.fate, usual)
        self._world.after(seconds, lambda: self._end(export), awaited=export.fate != "hangs")
        return self._described(export)

    def describe_export(self, ExportArn: str) -> dict[str, Any]:
        if ExportArn not in self.exports:
            raise AwsError("ExportNotFoundException", "Export not found")
        return self._described(self.exports[ExportArn])

    def _end(self, export: TableExport) -> None:
        export.ended = self._world.seconds
        if export.fate == "FAILED":
            export.status = "FAILED"
            self._world.note("DynamoDB", f"{export.arn} FAILED, and nobody is told")
            return
        export.status = "COMPLETED"
        key = f"{export.prefix}/AWSDynamoDB/{export.arn.rpartition('/')[2]}/manifest-summary.json"
        self._s3.objects[export.bucket, key] = json.dumps({"exportArn": export.arn}).encode()
        self._world.note("DynamoDB", f"{export.arn} COMPLETED")
        detail = {"version": "0", "bucket": {"name": export.bucket}, "object": {"key": key}, "reason": "PutObject"}
        self._buses.send("default", "aws.s3", "Object Created", detail)

    def _described(self, export: TableExport) -> dict[str, Any]:
        described = {"ExportArn": export.arn, "ExportStatus": export.status}
        if export.status == "FAILED":
            described |= {"FailureCode": "S3NoSuchBucket", "FailureMessage": "The bucket was not there"}
        return {"ExportDescription": described}

    def _known(self, name: str) -> Table:
        if name not in self.tables:
            raise AwsError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
        return self.tables[name]


class Sts:
    def __init__(self, may_be_assumed: Callable[[str], bool]) -> None:
        self._may_be_assumed = may_be_assumed

    def assume_role(self, RoleArn: str, RoleSessionName: str) -> dict[str, Any]:
        if not self._may_be_assumed(RoleArn):
            raise AwsError("AccessDenied", f"Not authorized to perform sts:AssumeRole on {RoleArn}")
        return {"Credentials": {"AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t"}}

    def get_caller_identity(self) -> dict[str, Any]:
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ann", "UserId": "ann"}


def _arn(table: str) -> str:
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
