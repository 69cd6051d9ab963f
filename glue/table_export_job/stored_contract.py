"""Reads what the stack of a run configures: the column contract, the key for its hashes, and the entities."""

from typing import Any

from botocore.exceptions import ClientError

from table_export_job import entities
from table_export_job.arguments import JobArguments
from table_export_job.clients import connect
from table_export_job.contract import NO_RULES, Contract, has_hash, verified
from table_export_job.errors import PermanentError
from table_export_job.folders import catalog_name
from table_export_job.hashing import Hasher
from table_export_job.routing import Router
from table_export_job.s3 import get

GONE = ("AccessDenied", "NoSuchKey", "NoSuchBucket")  # of GetObject. Without s3:ListBucket, no key is AccessDenied
DEPLOY_AGAIN = "Run make deploy, which stores it again and lets the job's role read it. Then resume the export."
DEFAULT_KEY = "Encrypt it with the key aws/secretsmanager."
CHECK_ARN = "Check HashSecretArn, and that the secret has a value."
NO_KEY = {  # by error code of GetSecretValue: the remedy. Errors with other codes are transient
    "ResourceNotFoundException": CHECK_ARN,
    "InvalidParameterException": CHECK_ARN,
    "InvalidRequestException": "If it is scheduled for deletion, restore it with aws secretsmanager restore-secret.",
    "DecryptionFailure": DEFAULT_KEY,
    "AccessDeniedException": (
        "The job's role may read it, so find what denies that: the policy of the secret, a permissions boundary or a "
        "service control policy."
    ),
}


def read_contract(s3: Any, arguments: JobArguments) -> Contract:
    """Raises PermanentError if it is not what a deployment of this version stored, or lacks the key for hashes."""
    if arguments.columns == "-":
        return NO_RULES
    columns = verified(read_block(s3, arguments.columns, "column contract"), arguments.columns)
    hasher = None
    if has_hash(columns):
        if arguments.hash_secret == "-":
            raise PermanentError("Columns hashes attributes, but the stack has no HashSecretArn. Set it.")
        hasher = Hasher(read_key(arguments.hash_secret))
    return Contract(columns, arguments.format.rules, hasher)


def read_router(s3: Any, arguments: JobArguments, contract: Contract) -> Router | None:
    """The entities of the stack, or None. Raises PermanentError as `read_contract`, or if both do not go together."""
    if arguments.entities == "-":
        return None
    content = read_block(s3, arguments.entities, "block Entities")
    block = entities.verified(content, arguments.entities)
    entities.ensure_valid(block, contract.block, catalog_name(arguments))
    return Router(block)


def read_block(s3: Any, uri: str, name: str) -> bytes:
    try:
        return get(s3, uri)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            raise unreadable(f"The {name} {uri}", error, DEPLOY_AGAIN) from error
        raise


def read_key(arn: str) -> str:
    """Raises PermanentError if the secret has no text that the job can read."""
    try:
        secret = connect("secretsmanager").get_secret_value(SecretId=arn)
    except ClientError as error:
        if remedy := NO_KEY.get(error.response["Error"]["Code"]):
            by_kms = "KMS" in error.response["Error"]["Message"]
            raise unreadable(f"The secret {arn}", error, DEFAULT_KEY if by_kms else remedy) from error
        raise
    if "SecretString" not in secret:
        raise PermanentError(f"The secret {arn} has a binary value. Store the key for hashes as text.")
    return secret["SecretString"]


def unreadable(what: str, error: ClientError, remedy: str) -> PermanentError:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"].rstrip(".")
    return PermanentError(f"{what} cannot be read: {error.operation_name} failed with {code}: {message}. {remedy}")
