"""What functions and jobs run, compared with the artifacts of a version.

CloudFormation cannot compare it: the code of a function is write-only for CloudFormation. So a change set, drift-aware
or not, neither shows nor restores code that someone replaced.
"""

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from table_exports_cli.system import NAME

LAYER = "layer.zip"
JOB_PARAMETERS = tuple(  # SSM parameters from which table stacks read what their jobs run, as BUCKET/KEY
    f"/{NAME}/{name}" for name in ("job-script", "job-modules", "avro-module")
)


def artifact(function: str) -> str:
    """Return the artifact with the code of a function."""
    return f"{function.removeprefix(f'{NAME}-')}.zip"


class DeployedCode:
    """Compares functions with artifacts, given by their name and as Lambda and S3 give it: the SHA-256 in base64."""

    def __init__(self, client: Any, checksum: Callable[[str], str | None]) -> None:
        self._client = client
        self._checksum = cache(checksum)
        self._of_layer = cache(self._read_layer)

    def missing(self, function: str) -> list[str]:
        """Return the artifacts that the function should run, and does not. None are missing if it does not exist."""
        try:
            found = self._client.get_function_configuration(FunctionName=function)
        except self._client.exceptions.ResourceNotFoundException:
            return []
        own = artifact(function)
        layers = [self._of_layer(layer["Arn"]) for layer in found.get("Layers", [])]
        return [
            *([own] if found["CodeSha256"] != self._checksum(own) else []),
            *([LAYER] if layers != [self._checksum(LAYER)] else []),
        ]

    def _read_layer(self, arn: str) -> str:
        return self._client.get_layer_version_by_arn(Arn=arn)["Content"]["CodeSha256"]


def stored_checksum(s3: Any, bucket: str, key: str) -> str | None:
    """Return the SHA-256 of an object. S3 keeps it if the upload had it, and has verified it. None for no object."""
    try:
        found = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        return found.get("ChecksumSHA256") or checksum(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise


def checksum(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
