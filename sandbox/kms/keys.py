"""IAM checks for customer managed keys, which the emulator stores, but never asks for permission to use.

Only the role's own policies are checked. Key policies and grants are not. A check takes several calls, so there is none
until the first key is created.
"""

from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloud import ACCOUNT, REGION, Cloud
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.permissions import is_allowed, role_arn
from sandbox.gateway.routes import Routes

READING, WRITING = ("kms:Decrypt",), ("kms:GenerateDataKey", "kms:Decrypt")
OF_TABLES = (
    "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "TransactWriteItems", "ExportTableToPointInTime",
)  # fmt: skip
OF_QUEUES = {"SendMessage": WRITING, "ReceiveMessage": READING}
OF_OBJECTS = {"GET": READING, "PUT": WRITING, "POST": WRITING}


class Keys:
    def __init__(self, cloud: Cloud, emulator: Cloud) -> None:
        """`emulator` calls the emulator directly, so that no check is checked itself."""
        self._cloud, self._emulator = cloud, emulator
        self._exist = False

    def routes(self) -> Routes:
        return Routes(
            requests={
                **{("dynamodb", action): self.check_tables for action in OF_TABLES},
                **{("sqs", action): self.check_queue for action in OF_QUEUES},
            },
            handlers={("kms", "CreateKey"): self.note_key},
        )

    def note_key(self, call: Call, response: Response) -> Response:
        self._exist = True
        return response

    def check_tables(self, call: Call) -> Call:
        """Returns the call. Raises AwsError if its role may not decrypt a table in it."""
        if role := self._role(call.access_key, call.caller):
            for table in sorted(tables(call.json)):
                self._check(role, READING, self._key_of_table(table), "dynamodb")
        return call

    def check_queue(self, call: Call) -> Call:
        """Returns the call. Raises AwsError if its role may not use the key of the queue."""
        if role := self._role(call.access_key, call.caller):
            self._check(role, OF_QUEUES[call.action], self._key_of_queue(call.json["QueueUrl"]), "sqs")
        return call

    def check_object(self, method: str, path: str, access_key: str | None, caller: str | None) -> None:
        """Raises AwsError if the role of a call to S3 may not use the key of the bucket."""
        bucket, _, key = path.lstrip("/").partition("/")
        if key and method in OF_OBJECTS and (role := self._role(access_key, caller)):
            self._check(role, OF_OBJECTS[method], self._key_of_bucket(bucket), "s3")

    def _role(self, access_key: str | None, caller: str | None) -> str | None:
        """Returns the name of the role to check, or None if there is no key at all, or root calls."""
        return self._cloud.role_name(access_key, caller) if self._exist else None

    def _check(self, role: str, actions: tuple[str, ...], key: str | None, service: str) -> None:
        if key is None or ":alias/aws/" in key:  # a key that AWS manages is for everyone in the account
            return
        context = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
        for action in actions:
            if not is_allowed(self._emulator, role_arn(role), action, key, context):
                raise AwsError(
                    "AccessDenied" if service == "s3" else "AccessDeniedException",
                    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role} is not authorized to perform: {action} on "
                    f"resource: {key} because no identity-based policy allows the {action} action",
                )

    def _key_of_table(self, table: str) -> str | None:
        try:
            found = self._emulator.client("dynamodb").describe_table(TableName=table)["Table"]
        except ClientError:
            return None  # the emulator returns the error
        return found.get("SSEDescription", {}).get("KMSMasterKeyArn")

    def _key_of_queue(self, url: str) -> str | None:
        sqs = self._emulator.client("sqs")
        try:
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["KmsMasterKeyId"])
        except ClientError:
            return None
        return found.get("Attributes", {}).get("KmsMasterKeyId")

    def _key_of_bucket(self, bucket: str) -> str | None:
        try:
            found = self._emulator.client("s3").get_bucket_encryption(Bucket=bucket)
        except ClientError:
            return None
        [rule] = found["ServerSideEncryptionConfiguration"]["Rules"]
        return rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")


def tables(request: dict[str, Any]) -> set[str]:
    """Returns the names or ARNs of the tables in the request."""
    named = [request.get("TableName") or request.get("TableArn")]
    for item in request.get("TransactItems", []):
        named += [part.get("TableName") for part in item.values()]
    return {name for name in named if name}
