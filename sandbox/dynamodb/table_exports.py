"""Exports of DynamoDB tables to S3: the current items, in the documented files, written with the caller's role.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import base64
import gzip
import hashlib
import io
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from sandbox.cloud import Cloud, Credentials
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.permissions import is_wrongly_denied
from sandbox.gateway.routes import Routes

LEAST_SECONDS = 1.0  # AWS takes minutes, so a caller has time to record the export
HISTORY_SECONDS = 300  # an ExportTime within this time means now
MOST_LISTED = 25
IN_ONE_PART = TransferConfig(multipart_threshold=1, multipart_chunksize=5 * 1024**3, use_threads=False)
SESSION = [re.compile(rf"<{name}>([^<]+)") for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
ASSUMED = re.compile(r"<Arn>arn:aws:sts::\d+:assumed-role/([^/<]+)/")
PASSED_ON = ("ClientToken", "S3Bucket", "S3BucketOwner", "S3Prefix")


class Export:
    def __init__(self, request: dict[str, Any], table: dict[str, Any], writer: Credentials) -> None:
        self.request, self.writer = request, writer
        self.table_arn, self.table_id = table["TableArn"], table["TableId"]
        self.started = time.time()
        self.id = f"{int(self.started * 1000):014d}-{secrets.token_hex(4)}"
        self.arn = f"{self.table_arn}/export/{self.id}"
        self.export_time = request.get("ExportTime", self.started)
        self.ended: dict[str, Any] = {}  # fields that are known only at the end

    def describe(self) -> dict[str, Any]:
        """Returns the ExportDescription of DescribeExport."""
        return {
            "ExportArn": self.arn,
            "ExportStatus": "IN_PROGRESS",
            "StartTime": self.started,
            "TableArn": self.table_arn,
            "TableId": self.table_id,
            "ExportTime": self.export_time,
            **{name: self.request[name] for name in PASSED_ON if name in self.request},
            "S3SseAlgorithm": "AES256",
            "ExportFormat": "DYNAMODB_JSON",
            "ExportType": "FULL_EXPORT",
            **self.ended,
        }

    def end(self, status: str, **known: Any) -> None:
        self.ended = {"ExportStatus": status, "EndTime": time.time(), **known}


class TableExports:
    def __init__(self, cloud: Cloud, emulator: Cloud) -> None:
        """`emulator` calls the emulator directly, to keep scans out of the call log: AWS reads a backup."""
        self._cloud, self._emulator = cloud, emulator
        self._exports: dict[str, Export] = {}  # by ARN
        self._tokens: dict[str, Export] = {}
        self._sessions: dict[str, Credentials] = {}  # by access key
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------------ the API

    def routes(self) -> Routes:
        handlers = {
            ("dynamodb", "ExportTableToPointInTime"): self.start,
            ("dynamodb", "DescribeExport"): self.describe,
            ("dynamodb", "ListExports"): self.list,
        }
        return Routes(
            denials=dict.fromkeys(handlers, self.is_wrongly_denied),
            handlers={**handlers, ("sts", "AssumeRole"): self.note_session},
        )

    def start(self, call: Call, response: Response) -> Response | dict[str, Any]:
        if not response.ok:
            return response
        request = call.json
        with self._lock:
            token = request.get("ClientToken")
            if token and (earlier := self._tokens.get(token)):
                if earlier.request != request:
                    raise AwsError(
                        "ExportConflictException", f"Client token {token} was used with other parameters: {earlier.arn}"
                    )
                return {"ExportDescription": earlier.describe()}
            export = self._accept(request, self._writer(call))
            self._exports[export.arn] = export
            if token:
                self._tokens[token] = export
        description = export.describe()
        threading.Thread(target=self._run, args=[export], name=f"export {export.id}", daemon=True).start()
        return {"ExportDescription": description}

    def describe(self, call: Call, response: Response) -> Response | dict[str, Any]:
        export = self._exports.get(call.json.get("ExportArn", ""))
        return {"ExportDescription": export.describe()} if export else response

    def list(self, call: Call, response: Response) -> Response | dict[str, Any]:
        """Lists exports in reverse order of their ARNs."""
        if not response.ok:
            return response
        table, start = call.json.get("TableArn"), int(call.json.get("NextToken") or 0)
        end = start + call.json.get("MaxResults", MOST_LISTED)
        arns = sorted(arn for arn, export in list(self._exports.items()) if table in (None, export.table_arn))[::-1]
        shown = [self._exports[arn].describe() for arn in arns[start:end]]
        names = ("ExportArn", "ExportStatus", "ExportType")
        return {
            "ExportSummaries": [{name: description[name] for name in names} for description in shown],
            **({"NextToken": str(end)} if end < len(arns) else {}),
        }

    def is_wrongly_denied(self, call: Call, response: Response) -> bool:
        """Whether the caller's role allows this. AWS checks the table or export, which the emulator does not find."""
        resource = call.json.get("ExportArn") or call.json.get("TableArn")
        return bool(resource) and is_wrongly_denied(self._cloud, response, f"dynamodb:{call.action}", resource)

    def note_session(self, call: Call, response: Response) -> Response:
        """Remembers the credentials that AssumeRole issued, to write files with the role of a later caller.

        The sandbox cannot always assume this role itself: its trust policy can exclude root.
        """
        text = response.body.decode()
        found = [part.search(text) for part in SESSION]
        if response.ok and all(found):
            session = Credentials(*(part[1] for part in found if part))
            self._sessions[session.access_key] = session
            if role := ASSUMED.search(text):
                self._cloud.note_session(session.access_key, role[1])
        return response

    # ------------------------------------------------------------------------------------------------ an export

    def _accept(self, request: dict[str, Any], writer: Credentials) -> Export:
        """Returns the export. Raises AwsError if DynamoDB rejects the request, or the sandbox does not support it."""
        dynamodb = self._emulator.client("dynamodb")
        table = dynamodb.describe_table(TableName=request["TableArn"])["Table"]
        name = table["TableName"]
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        if backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] != "ENABLED":
            raise AwsError(
                "PointInTimeRecoveryUnavailableException", f"Point in time recovery is not enabled for table '{name}'"
            )
        for option, known in (
            ("ExportFormat", "DYNAMODB_JSON"),
            ("ExportType", "FULL_EXPORT"),
            ("S3SseAlgorithm", "AES256"),
        ):
            if request.get(option, known) != known:
                raise AwsError("ValidationException", f"The sandbox supports only {option} {known}")
        if "FilterSpecification" in request:
            raise AwsError("ValidationException", "The sandbox does not support FilterSpecification")
        now = time.time()
        if not now - HISTORY_SECONDS <= request.get("ExportTime", now) <= now:
            raise AwsError("InvalidExportTimeException", "The sandbox exports only the current items: omit ExportTime")
        return Export(request, table, writer)

    def _writer(self, call: Call) -> Credentials:
        """Returns the credentials that write the files: the caller's session, or its function's role, or root."""
        return self._sessions.get(call.access_key or "") or self._cloud.caller(call.caller)

    def _run(self, export: Export) -> None:
        time.sleep(LEAST_SECONDS)
        try:
            export.end("COMPLETED", **self._write(export))
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            export.end(
                "FAILED",
                FailureCode=f"S3{code}",
                FailureMessage=f"{message} (Service: Amazon S3; Status Code: {status}; Error Code: {code})",
            )
        except Exception as error:
            export.end("FAILED", FailureCode="InternalServerError", FailureMessage=f"The sandbox failed: {error!r}")

    def _write(self, export: Export) -> dict[str, Any]:
        """Writes all files. Returns the fields that are known at the end."""
        pages = self._emulator.client("dynamodb").get_paginator("scan").paginate(TableName=export.table_arn)
        items = [item for page in pages for item in page["Items"]]
        bucket = export.request["S3Bucket"]
        files = export_files(
            items,
            bucket=bucket,
            prefix=export.request.get("S3Prefix"),
            table_arn=export.table_arn,
            export_id=export.id,
            at=datetime.fromtimestamp(export.started, UTC),
            ended=datetime.now(UTC),
            export_time=datetime.fromtimestamp(export.export_time, UTC),
            table_id=export.table_id,
        )
        s3 = self._cloud.client("s3", export.writer)
        for key, content in files.items():
            if key.endswith(".gz"):
                s3.upload_fileobj(io.BytesIO(content), bucket, key, Config=IN_ONE_PART)
            else:
                s3.put_object(Bucket=bucket, Key=key, Body=content)
        manifest, content = list(files.items())[-1]
        summary = json.loads(content)
        return {
            "ExportManifest": manifest,
            "ItemCount": summary["itemCount"],
            "BilledSizeBytes": summary["billedSizeBytes"],
        }


def export_files(
    items: Iterable[dict[str, Any]],
    *,
    bucket: str,
    prefix: str | None,
    table_arn: str,
    export_id: str,
    at: datetime,
    files: int = 2,
    ended: datetime | None = None,
    export_time: datetime | None = None,
    table_id: str = "12345a12-abcd-123a-ab12-1234abc12345",
) -> dict[str, bytes]:
    """Returns the files of an export that began at `at`, by key, in the order of writing: the summary is last.

    Items are in DynamoDB's JSON; binary values are base64 text, or bytes as boto3 gives them.
    """
    root = "/".join([*([prefix.rstrip("/")] if prefix else []), "AWSDynamoDB", export_id])
    parts: list[list[bytes]] = [[] for _ in range(files)]
    for number, item in enumerate(items):
        parts[number % files].append(line({"Item": item}))
    data, listed = {}, []
    for number, lines in enumerate(parts):
        content = gzip.compress(b"".join(lines), mtime=0)
        digest = hashlib.md5(content).digest()
        key = f"{root}/data/{data_name(export_id, number)}.json.gz"
        data[key] = content
        listed.append(
            {
                "itemCount": len(lines),
                "md5Checksum": base64.b64encode(digest).decode(),
                "etag": f"{hashlib.md5(digest).hexdigest()}-1",  # S3's, of an upload in one part
                "dataFileS3Key": key,
            }
        )
    manifest = b"".join(map(line, listed))
    summary = line(
        {
            "version": "2020-06-30",
            "exportArn": f"{table_arn}/export/{export_id}",
            "startTime": iso(at),
            "endTime": iso(ended or at),
            "tableArn": table_arn,
            "tableId": table_id,
            "exportTime": iso(export_time or at),
            "s3Bucket": bucket,
            "s3Prefix": prefix,
            "s3SseAlgorithm": "AES256",
            "s3SseKmsKeyId": None,
            "manifestFilesS3Key": f"{root}/manifest-files.json",
            "billedSizeBytes": sum(len(text) for lines in parts for text in lines),
            "itemCount": sum(map(len, parts)),
            "outputFormat": "DYNAMODB_JSON",
            "exportType": "FULL_EXPORT",
        }
    ).rstrip()
    return {
        f"{root}/_started": b"",
        **data,
        f"{root}/manifest-files.json": manifest,
        f"{root}/manifest-files.checksum": checksum(manifest),
        f"{root}/manifest-summary.checksum": checksum(summary),
        f"{root}/manifest-summary.json": summary,
    }


def line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=base64_text)
    return text.encode() + b"\n"


def base64_text(binary: bytes) -> str:
    return base64.b64encode(binary).decode()


def data_name(export_id: str, number: int) -> str:
    """Returns 26 letters and digits, as in the file names of AWS."""
    digest = hashlib.md5(f"{export_id}/{number}".encode()).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()


def checksum(content: bytes) -> bytes:
    return base64.b64encode(hashlib.md5(content).digest())


def iso(moment: datetime) -> str:
    """Formats a time as 2026-11-23T02:07:50.123Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
