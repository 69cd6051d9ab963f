"""The exported DynamoDB tables. Each is accessed in the role of its table stack, which may access no other table."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from table_exports.aws.errors import PERMANENT_CODES, translate_errors
from table_exports.domain import naming
from table_exports.domain.aws_events import NO_MESSAGE, SummaryWritten, TableExportFailed
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.foreign import text_or_default
from table_exports.domain.reading import Table

ARN = r"arn:[!-~]{1,1020}"
NO_TABLE = {"ResourceNotFoundException", "TableNotFoundException"}
PERMANENT_FOR_EXPORTS = PERMANENT_CODES | {
    "ExportConflictException",
    "PointInTimeRecoveryUnavailableException",
    "TableNotFoundException",
    "ValidationException",
}


class Tables:
    def __init__(self, sts: Any, connect: Callable[..., Any]) -> None:
        """`connect` returns a DynamoDB client with the given credentials."""
        self._sts = sts
        self._connect = connect

    def describe(self, export: Export, role_arn: str) -> Table:
        """Describe the table. Raises PermanentError if it does not exist, or access is denied."""
        dynamodb = self._in_role(export, role_arn)
        with translate_errors(f"Table {export.table_name} cannot be described"):
            try:
                table = dynamodb.describe_table(TableName=export.table_name)["Table"]
                backups = dynamodb.describe_continuous_backups(TableName=export.table_name)
            except ClientError as error:
                if error.response["Error"]["Code"] not in NO_TABLE:
                    raise
                raise PermanentError(
                    f"There is no table {export.table_name} in this account and Region: create it, or delete the "
                    "table stack that exports it"
                ) from error
        return Table.described(table, backups["ContinuousBackupsDescription"])

    def start_export(self, export: Export, role_arn: str) -> str:
        """Start DynamoDB's export of the table to S3, and return its ARN.

        A repeated call within eight hours is harmless: the token makes DynamoDB answer with the same export.
        Raises PermanentError if DynamoDB does not accept it.
        """
        dynamodb = self._in_role(export, role_arn)
        place = urlsplit(export.table_export_prefix)
        with translate_errors(
            f"Table {export.table_name} cannot be exported", permanent=PERMANENT_FOR_EXPORTS | NO_TABLE
        ):
            table_arn = dynamodb.describe_table(TableName=export.table_name)["Table"]["TableArn"]
            asked = dynamodb.export_table_to_point_in_time(
                TableArn=table_arn,
                ClientToken=_token(export),
                ExportFormat="DYNAMODB_JSON",
                S3Bucket=place.netloc,
                S3BucketOwner=table_arn.split(":")[4],  # ours: a bucket of this name could be someone else's
                S3Prefix=place.path.lstrip("/"),
            )
        return asked["ExportDescription"]["ExportArn"]

    def export_end(self, export: Export, arn: str, role_arn: str) -> SummaryWritten | TableExportFailed | None:
        """Return how DynamoDB's export of the table ended. None if it has not."""
        dynamodb = self._in_role(export, role_arn)
        try:
            asked = dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
        except dynamodb.exceptions.ExportNotFoundException as error:
            return TableExportFailed(arn=arn, message=text_or_default(error.response["Error"]["Message"], NO_MESSAGE))
        match asked["ExportStatus"]:
            case "COMPLETED":
                place = urlsplit(naming.table_export_summary(export.table_export_prefix, arn))
                return SummaryWritten(bucket=place.netloc, key=place.path.lstrip("/"), arn=arn)
            case "FAILED":
                why = f"{asked.get('FailureCode')}: {asked.get('FailureMessage')}"
                return TableExportFailed(arn=arn, message=text_or_default(why, NO_MESSAGE))
        return None

    def _in_role(self, export: Export, role_arn: str) -> Any:
        with translate_errors(f"The table stack's role {role_arn} cannot be assumed"):
            assumed = self._sts.assume_role(RoleArn=role_arn, RoleSessionName=export.export_id)["Credentials"]
        return self._connect(
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
        )


def _token(export: Export) -> str:
    """Return a token per attempt: DynamoDB answers a known token with the earlier export, even if that failed."""
    return export.export_id if export.attempt == 1 else f"{export.export_id}-{export.attempt}"


class Summaries:
    """The summaries of table exports, which DynamoDB writes to S3."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def arn_in(self, uri: str) -> str | None:
        """Return the ARN of the summary's table export. None if the object is not a summary, or is gone."""
        place = urlsplit(uri)
        try:
            body = self._client.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()
            arn = json.loads(body)["exportArn"]
        except self._client.exceptions.NoSuchKey:
            return None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return arn if isinstance(arn, str) and re.fullmatch(ARN, arn) else None
